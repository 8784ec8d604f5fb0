"""The signature of a task: what its function accepts. Calls are checked against it.

It is read once for each function, when the task is registered, and its hints are compiled then. `bind` converts the
JSON values of a call to the types of the hints. If that fails, it names all problems at once: missing, surplus, unknown
(with the nearest name) and duplicate arguments, and each value that its hint refuses, with its path. Defaults are not
filled in, because the function may have changed by the time the job runs.

A parameter whose default is None accepts null, whatever its hint is.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from duey.errors import FieldError, InvalidArguments
from duey.model.job import Parameter
from duey.payload.plain import to_plain
from duey.payload.types import is_unicode
from duey.tasks.signature.hints import Compiler
from duey.tasks.signature.refusal import (
    MAX_CONVERSIONS,
    MAX_PROBLEMS,
    Refused,
    TooManyConversions,
    at_field,
    conversions,
    found,
    nearest,
)
from duey.tasks.signature.scalars import Check, Hint
from duey.tasks.signature.text import hint_text, resolve

_BY_HUEY = "task"  # with context=True, Huey passes the task under this name
_EMPTY, _KIND = inspect.Parameter.empty, inspect.Parameter
_KINDS: dict[Any, str] = {
    _KIND.KEYWORD_ONLY: "keyword",
    _KIND.VAR_POSITIONAL: "var_positional",
    _KIND.VAR_KEYWORD: "var_keyword",
}


class _Slot(NamedTuple):
    """How a parameter can be given: at a position (None: only by name), by name (False: only by position)."""

    name: str
    hint: Hint
    place: int | None
    by_name: bool
    required: bool


class Signature:
    """The signature of one task function. `parameters` and `doc` describe it, `bind` checks a call."""

    def __init__(self, func: Callable[..., Any], task_name: str, context: bool = False) -> None:
        """`context` is the task's option of that name: Huey passes `task`, so that parameter is hidden."""
        self.task_name = task_name
        self.doc = inspect.getdoc(func) or ""
        self._by_huey = _BY_HUEY if context else None
        self._slots: list[_Slot] = []
        self._rest: tuple[str, Hint] | None = None  # *args
        self._others: Check | None = None  # **kwargs
        self.parameters = self._read(func)
        self._placed = [slot for slot in self._slots if slot.place is not None]
        self._checks: tuple[Check, ...] = tuple(slot.hint.check for slot in self._placed)
        self._by_name = {slot.name: slot for slot in self._slots if slot.by_name}
        self._required = [slot for slot in self._slots if slot.required]
        # With so many values by position, no required one can be missing.
        needed = (sys.maxsize if slot.place is None else slot.place + 1 for slot in self._required)
        self._enough = max(needed, default=0)

    def _read(self, func: Callable[..., Any]) -> tuple[Parameter, ...]:
        compiler, namespace = Compiler(), getattr(inspect.unwrap(func), "__globals__", {})
        shown: list[Parameter] = []
        by_place = True
        for parameter in _parameters(func):
            name, kind = parameter.name, parameter.kind
            if name == self._by_huey:
                # Huey passes it by name, so no value can be given by position from here on.
                by_place = by_place and kind is _KIND.KEYWORD_ONLY
                continue
            hint = _hint_of(parameter, namespace)
            compiled = compiler.hint(hint)
            if kind is _KIND.VAR_POSITIONAL:
                if not by_place:
                    continue
                self._rest = (name, compiled)
            elif kind is _KIND.VAR_KEYWORD:
                self._others = compiled.check
            else:
                place = len(self._slots) if by_place and kind is not _KIND.KEYWORD_ONLY else None
                by_name = kind is not _KIND.POSITIONAL_ONLY
                self._slots.append(_Slot(name, compiled, place, by_name, parameter.default is _EMPTY))
            shown.append(_as_shown(parameter, hint, by_place))
        return tuple(shown)

    def names_of(self, count: int) -> list[str]:
        """The names of the parameters for `count` values by position; "" for a surplus value."""
        names = [slot.name for slot in self._placed[:count]]
        return names + [self._rest[0] if self._rest else ""] * (count - len(names))

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The converted arguments, by position and by name as they were given.

        Raises InvalidArguments with the first MAX_PROBLEMS problems, with paths such as `args[0].items[3]` and
        `kwargs.to`.
        """
        problems: list[FieldError] = []
        conversions.left = MAX_CONVERSIONS
        try:
            bound = self._bind_places(args, problems)
            named = self._bind_names(kwargs, len(args), problems) if kwargs else {}
        except RecursionError:
            problems.append(FieldError("args", "is nested too deeply: pass it flatter"))
        except TooManyConversions:
            most = (
                f"expected at most {MAX_CONVERSIONS} dates, durations, UUIDs, paths, objects and the like in one call"
            )
            problems = [FieldError("args", f"{most}, found more: pass a file or another reference to them")]
        if len(args) < self._enough:
            problems += self._missing(len(args), kwargs)
        if problems:
            raise InvalidArguments(self.task_name, _bounded(problems))
        return tuple(bound), named

    def _bind_places(self, args: Sequence[Any], problems: list[FieldError]) -> list[Any]:
        checks, rest = self._checks, args[len(self._checks) :]
        if rest and self._rest is None:
            problems.append(self._surplus(len(args)))
            rest = ()
        sound = len(rest) if self._rest and self._rest[1].accepts_all(rest) else 0
        if rest and self._rest and not sound:
            checks += (self._rest[1].check,) * len(rest)
        bound = []
        for index, (value, check) in enumerate(zip(args, checks, strict=False)):
            try:
                bound.append(check(value))
            except Refused as refused:
                problems += refused.below(f"args[{index}]")
                if len(problems) > MAX_PROBLEMS:
                    break
        return [*bound, *rest[:sound]]

    def _bind_names(self, kwargs: Mapping[str, Any], count: int, problems: list[FieldError]) -> dict[str, Any]:
        named = {}
        for name, value in kwargs.items():
            slot = self._by_name.get(name)
            try:
                if slot is None:
                    named[name] = self._check_other(name, value)
                elif slot.place is not None and slot.place < count:
                    sentence = f"expected {name} once, found it also as args[{slot.place}]: leave one out"
                    raise Refused([FieldError("", sentence)])
                else:
                    named[name] = slot.hint.check(value)
            except Refused as refused:
                problems += refused.below("kwargs" + at_field(name))
                if len(problems) > MAX_PROBLEMS:
                    break
        return named

    def _check_other(self, name: Any, value: Any) -> Any:
        """Check an argument whose name no parameter has: accept it for **kwargs, or refuse it with advice."""
        if not isinstance(name, str) or not is_unicode(name):
            sentence = f"expected the name of a parameter, found {found(name)}"
        elif name == self._by_huey:
            sentence = "the service gives this parameter itself: leave it out"
        elif self._others is not None:
            return self._others(value)
        elif places := [slot.place for slot in self._placed if slot.name == name]:
            sentence = f"expected by place, found by name: give it as args[{places[0]}]"
        else:
            sentence = f"{self.task_name} has no such parameter{nearest(name, self._by_name)}"
        raise Refused([FieldError("", sentence)])

    def _surplus(self, count: int) -> FieldError:
        most = len(self._checks)
        values = f"at most {most} value{'s' * (most > 1)}" if most else "no value"
        return FieldError(f"args[{most}]", f"expected {values} by place, found {count}")

    def _missing(self, count: int, kwargs: Mapping[str, Any]) -> list[FieldError]:
        problems = []
        for slot in self._required:
            if (slot.place is not None and slot.place < count) or (slot.by_name and slot.name in kwargs):
                continue
            place, name = f"args[{slot.place}]", f"kwargs.{slot.name}"
            where = " or ".join([place] * (slot.place is not None) + [name] * slot.by_name)
            sentence = f"expected {slot.hint.expected}, found nothing: give {slot.name} as {where}"
            problems.append(FieldError(name if slot.by_name else place, sentence))
        return problems


def _parameters(func: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    """The parameters of a function. If it has no signature, as some written in C, it accepts anything."""
    try:
        if sys.version_info >= (3, 14):
            import annotationlib  # annotations are evaluated late there; one unknown name must not fail all

            form = annotationlib.Format.FORWARDREF
            return list(inspect.signature(func, annotation_format=form).parameters.values())
        return list(inspect.signature(func).parameters.values())
    except (ValueError, TypeError):
        return [_KIND("args", _KIND.VAR_POSITIONAL), _KIND("kwargs", _KIND.VAR_KEYWORD)]


def _hint_of(parameter: inspect.Parameter, namespace: Mapping[str, Any]) -> Any:
    if parameter.annotation is _EMPTY:
        return Any
    hint = resolve(parameter.annotation, namespace)
    if parameter.default is not None or hint is Any:
        return hint
    try:
        return Optional[hint]  # noqa: UP045 - hints that are no classes have no `|`
    except TypeError:
        return Any


def _as_shown(parameter: inspect.Parameter, hint: Any, by_place: bool) -> Parameter:
    unresolved = hint is Any and isinstance(parameter.annotation, str)
    text = parameter.annotation if unresolved else hint_text(hint)
    variable = parameter.kind in (_KIND.VAR_POSITIONAL, _KIND.VAR_KEYWORD)
    has_default = parameter.default is not _EMPTY
    return Parameter(
        name=parameter.name,
        type="any" if text in ("Any", "typing.Any") else text,
        required=not has_default and not variable,
        default=to_plain(parameter.default) if has_default else None,
        kind=_KINDS.get(parameter.kind, "positional" if by_place else "keyword"),
    )


def _bounded(problems: list[FieldError]) -> list[FieldError]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    last = problems[MAX_PROBLEMS - 1]
    sentence = f"{last.message} (there are more problems than the {MAX_PROBLEMS} that are listed)"
    return [*problems[: MAX_PROBLEMS - 1], FieldError(last.path, sentence)]
