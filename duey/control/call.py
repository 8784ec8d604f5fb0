"""Checks a call against its task's signature.

`bind` converts the JSON values of a call to the types of the hints, or names all problems at once: missing, surplus,
unknown (with the nearest name) and duplicate arguments, and each value that its hint refuses, with its path. Defaults
are not filled in, because the function may have changed by the time the job runs. The schemas are built at the first
call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import Any

from duey.control.hints import Check
from duey.control.refusal import MAX_CONVERSIONS, TOO_MANY, Refused, at_field, bounded, converted, found, nearest
from duey.control.refusal import MAX_PROBLEMS as MAX_PROBLEMS
from duey.errors import FieldError, InvalidArguments
from duey.model.job import Parameter
from duey.payload.path import MAX_DEPTH
from duey.payload.plain import is_plain
from duey.payload.types import is_unicode
from duey.tasks.registry import KnownTasks
from duey.tasks.signature import Signature, Slot, hint_text

Call = tuple[tuple[Any, ...], dict[str, Any]]


class CallSchema:
    """The schema of the calls of one task."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        slots = [*signature.slots, *filter(None, (signature.rest, signature.others))]
        self._checks = {slot.name: self._check_of(slot) for slot in slots}
        self._rest = self._checks[signature.rest.name] if signature.rest else None
        self._rest_is_any, self._others_is_any = (
            each is not None and signature.hint(each.parameter) is Any for each in (signature.rest, signature.others)
        )
        self._others = self._checks[signature.others.name] if signature.others else None
        self._placed = tuple(self._checks[slot.name] for slot in signature.placed)
        self._converts = any(check.converts for check in self._checks.values())
        self._by_name = {slot.name: slot for slot in signature.slots if slot.by_name}
        self._required = [slot for slot in signature.slots if slot.required]
        # With so many values by position, no required one can be missing.
        needed = (sys.maxsize if slot.place is None else slot.place + 1 for slot in self._required)
        self._enough = max(needed, default=0)

    def _check_of(self, slot: Slot) -> Check:
        hint, annotation = self._signature.hint(slot.parameter), slot.parameter.annotation
        check = Check(hint)
        if hint is Any and isinstance(annotation, str) and annotation.rpartition(".")[2] != "Any":
            check.unusable = "a name in it is not known when the module has been imported"
        return check

    def unusable(self) -> dict[str, str]:
        """Why the hint of a parameter cannot be used, so that it accepts anything, by the parameter's name."""
        return {name: check.unusable for name, check in self._checks.items() if check.unusable}

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters with their JSON schemas."""
        checks = self._checks
        return tuple(replace(each, schema=checks[each.name].json_schema()) for each in self._signature.parameters)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """The converted arguments, by position and by name as they were given.

        Raises InvalidArguments with the first MAX_PROBLEMS problems, with paths such as `args[0].items[3]` and
        `kwargs.to`.
        """
        problems: list[FieldError] = []
        checks = self._placed
        more = list(args[len(checks) :])
        if more and self._rest is None:
            problems.append(self._surplus(len(args)))
        elif more and self._rest is not None and not (self._rest_is_any and is_plain(more, depth=MAX_DEPTH)):
            checks += (self._rest,) * len(more)  # one by one, which takes longer
            more = []
        try:
            bound = [check(value) for check, value in zip(checks, args)] + more  # noqa: B905 - either may be longer
        except Refused:
            bound = []
            for index, (check, value) in enumerate(zip(checks, args)):  # noqa: B905 - as above
                try:
                    check(value)
                except Refused as refused:
                    problems += refused.below(f"args[{index}]")
                if len(problems) > MAX_PROBLEMS:
                    break
        named = self._bind_names(kwargs, len(args), problems) if kwargs else {}
        if len(args) < self._enough:
            problems += self._missing(len(args), kwargs)
        if not problems and self._converts and converted([bound, named]) > MAX_CONVERSIONS:
            problems.append(FieldError("args", TOO_MANY))
        if problems:
            raise InvalidArguments(self._signature.task_name, bounded(problems))
        return tuple(bound), named

    def _bind_names(self, kwargs: Mapping[str, Any], count: int, problems: list[FieldError]) -> dict[str, Any]:
        named = {}
        takes_all = self._others_is_any and is_plain(dict(kwargs), depth=MAX_DEPTH)
        for name, value in kwargs.items():
            slot = self._by_name.get(name)
            if slot is None and takes_all and name != self._signature.by_huey:
                named[name] = value
                continue
            if slot is None:
                check: Callable[[Any], Any] = partial(self._check_other, name)
            elif slot.place is not None and slot.place < count:
                sentence = f"expected {name} once, found it also as args[{slot.place}]: leave one out"
                problems.append(FieldError("kwargs" + at_field(name), sentence))
                continue
            else:
                check = self._checks[name]
            try:
                named[name] = check(value)
            except Refused as refused:
                problems += refused.below("kwargs" + at_field(name))
            if len(problems) > MAX_PROBLEMS:
                break
        return named

    def _check_other(self, name: Any, value: Any) -> Any:
        """Check an argument whose name no parameter has: accept it for **kwargs, or refuse it with advice."""
        if not isinstance(name, str) or not is_unicode(name):
            sentence = f"expected the name of a parameter, found {found(name)}"
        elif name == self._signature.by_huey:
            sentence = "the service gives this parameter itself: leave it out"
        elif self._others is not None:
            return self._others(value)
        elif places := [slot.place for slot in self._signature.placed if slot.name == name]:
            sentence = f"expected by position, found by name: give it as args[{places[0]}]"
        else:
            sentence = f"{self._signature.task_name} has no such parameter{nearest(name, self._by_name)}"
        raise Refused([FieldError("", sentence)])

    def _surplus(self, count: int) -> FieldError:
        most = len(self._placed)
        values = f"at most {most} value{'s' * (most > 1)}" if most else "no value"
        return FieldError(f"args[{most}]", f"expected {values} by position, found {count}")

    def _missing(self, count: int, kwargs: Mapping[str, Any]) -> list[FieldError]:
        problems = []
        for slot in self._required:
            if (slot.place is not None and slot.place < count) or (slot.by_name and slot.name in kwargs):
                continue
            place, name = f"args[{slot.place}]", f"kwargs.{slot.name}"
            where = " or ".join([place] * (slot.place is not None) + [name] * slot.by_name)
            hint = hint_text(self._signature.hint(slot.parameter))
            sentence = f"expected {slot.name} ({hint}), found nothing: give it as {where}"
            problems.append(FieldError(name if slot.by_name else place, sentence))
        return problems


@lru_cache(maxsize=10_000)
def call_schema(signature: Signature) -> CallSchema:
    """The schema of a task's calls, built at its first use."""
    return CallSchema(signature)


def bind(signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
    """The converted arguments, as CallSchema.bind gives them."""
    return call_schema(signature).bind(args, kwargs)


def unusable_hints(known: KnownTasks) -> list[str]:
    """A sentence for each hint that cannot be used, so that its parameter accepts anything."""
    return [
        f"task {known.full(cls)}: the hint of {name} cannot be used, so anything is accepted: {why}"
        for cls in known.all()
        for name, why in call_schema(known.signature(cls)).unusable().items()
    ]
