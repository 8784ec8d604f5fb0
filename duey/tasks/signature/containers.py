"""Checks of values that contain others (collections, named fields) or may be one of several types.

All of them collect every problem of their members before they refuse. They build new collections for the task, so that
those of the caller are never half converted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from duey.errors import FieldError
from duey.payload.path import type_name
from duey.payload.plain import to_plain
from duey.payload.types import exception_message
from duey.tasks.signature.refusal import (
    MAX_PROBLEMS,
    Refused,
    at_field,
    at_index,
    at_key,
    check_each,
    count_conversion,
    mismatch,
    nearest,
    shown,
)
from duey.tasks.signature.scalars import ANY, LEAVES, Check, Hint

_SHOWN_CHOICES = 8
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(\.[0-9]{1,300})?")


# Collections.


def list_hint(item: Hint, kind: type) -> Hint:
    """A list, or a tuple of any length if `kind` is tuple."""
    item_check = item.check

    def check(value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise mismatch("a list", value)
        if item.accepts_all(value):
            items = list(value)
        else:
            items = check_each(((index, each, item_check) for index, each in enumerate(value)), at_index)
        return items if kind is list else tuple(items)

    return Hint("a list", check)


def tuple_hint(items: Sequence[Hint]) -> Hint:
    """A tuple with a hint for each position."""
    expected = f"a list of {len(items)}" if items else "an empty list"

    def check(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(items):
            raise mismatch(expected, value)
        members = zip(range(len(items)), value, (item.check for item in items), strict=True)
        return tuple(check_each(members, at_index))

    return Hint(expected, check)


def set_hint(item: Hint, kind: type) -> Hint:
    """A set or frozenset, from a list. Duplicates are dropped."""

    def check_item(value: Any) -> Any:
        made = item.check(value)
        try:
            hash(made)
        except TypeError:
            raise mismatch("what can stand in a set", value) from None
        return made

    def check(value: Any) -> Any:
        if not isinstance(value, (list, tuple, set, frozenset)):
            raise mismatch("a list", value)
        if item.accepts_all(value):
            return kind(value)
        return kind(check_each(((index, each, check_item) for index, each in enumerate(value)), at_index))

    return Hint("a list", check)


def dict_hint(key: Hint, member: Hint) -> Hint:
    """A dict. Keys in JSON are text, so a key that should be a number is read from its text."""

    by_number = key in (LEAVES[int], LEAVES[float])

    def check_key(value: Any) -> Any:
        number = _NUMBER.fullmatch(value) if by_number and type(value) is str else None
        if number is not None and not (number[1] and key is LEAVES[int]):
            count_conversion()
            return key.check(float(value) if number[1] else int(value))
        try:
            return key.check(value)
        except Refused:
            number = _NUMBER.fullmatch(value) if type(value) is str else None
            if number is None:
                raise
            return key.check(float(value) if number[1] else int(value))

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mismatch("an object", value)
        keys: list[Any] = list(value)
        if not key.accepts_all(keys):
            keys = check_each(((each, each, check_key) for each in value), lambda each: at_key(each) + " (a key)")
        members: list[Any] = list(value.values())
        if not member.accepts_all(members):
            members = check_each(((each, value[each], member.check) for each in value), at_key)
        made = dict(zip(keys, members, strict=True))
        if len(made) < len(keys):
            raise Refused([FieldError("", "expected different keys, found two that mean the same")])
        return made

    return Hint("an object", check)


# Choices.


def union_hint(hints: Sequence[Hint]) -> Hint:
    """One of several hints: the first that accepts the value unchanged, otherwise the first that accepts it."""
    expected = _any_of(list(dict.fromkeys(hint.expected for hint in hints)))
    exact: frozenset[type] = frozenset().union(*(hint.exact for hint in hints))
    several_shapes = sum(hint.likely is not None for hint in hints) > 1

    def meant(value: Any) -> Iterator[Hint]:
        for hint in hints:
            # Without this check, a tree of such objects would be walked twice at each level.
            if not (several_shapes and hint.likely and type(value) is dict and not hint.likely(value)):
                yield hint

    def check(value: Any) -> Any:
        kind = type(value)
        if kind in exact and (kind is not str or value.isascii()) and (kind is not float or math.isfinite(value)):
            return value
        fitting: list[Any] = []
        inner: list[Refused] = []
        for hint in meant(value):
            try:
                made = hint.check(value)
            except Refused as refused:
                if any(problem.path for problem in refused.problems):
                    inner.append(refused)
                continue
            if _unchanged(made, value):
                return made
            fitting.append(made)
        if fitting:
            return fitting[0]
        # Only one hint looked into the value, so its problems are the relevant ones.
        raise inner[0] if len(inner) == 1 else mismatch(expected, value)

    return Hint(expected, check, exact=exact)


def choice_hint(choices: Sequence[Any], enum: type[Enum] | None = None) -> Hint:
    """The values of a Literal, or the members of an Enum: by value, then by name."""
    names = dict(enum.__members__) if enum else {c.name: c for c in choices if isinstance(c, Enum)}
    expected = _any_of([shown(to_plain(choice)) for choice in choices], "one of ")
    # True == 1 == 1.0, so the type is compared too.
    by_value: dict[Any, Any] = {}
    for choice in [*names.values(), *choices]:
        for value in (choice, choice.value) if isinstance(choice, Enum) else (choice,):
            if value.__hash__ is not None:
                by_value.setdefault((type(value), value), choice)
    kinds = {type(choice.value) for choice in names.values()} if enum else set()

    def check(value: Any) -> Any:
        if enum and isinstance(value, enum):
            return value
        if names:
            count_conversion()
        if value.__hash__ is not None and (type(value), value) in by_value:
            return by_value[type(value), value]
        if enum and type(value) in kinds:
            try:
                return enum(value)  # a combination of flags, or what the author's _missing_ knows
            except Exception:  # _missing_ may raise anything
                pass
        if type(value) is str and value in names:
            return names[value]
        raise mismatch(expected, value)

    return Hint(expected, check)


def _any_of(texts: list[str], prefix: str = "") -> str:
    """`a, b or c`, not too many of them."""
    if len(texts) > _SHOWN_CHOICES:
        return f"{prefix}{', '.join(texts[:_SHOWN_CHOICES])} …"
    return f"{prefix}{', '.join(texts[:-1])} or {texts[-1]}" if len(texts) > 1 else "".join(texts)


def _unchanged(made: Any, value: Any) -> bool:
    """Whether nothing was converted, at any depth."""
    if made is value:
        return True
    if type(made) is not type(value):
        return False
    if isinstance(value, (list, tuple)):
        return len(made) == len(value) and all(map(_unchanged, made, value))
    if isinstance(value, dict):
        return made.keys() == value.keys() and all(_unchanged(made[key], value[key]) for key in value)
    return isinstance(value, (set, frozenset)) and made == value


# Objects with named fields, and all other classes.


class Shape(NamedTuple):
    """A class with named fields. `tags`: its Literal fields, which distinguish the members of a Union."""

    kind: Any
    expected: str
    fields: dict[str, Hint]
    required: tuple[str, ...]
    tags: dict[str, Check]

    def likely(self, value: dict[str, Any]) -> bool:
        """Whether the names of the fields and the values of its Literal fields match."""
        if not (value.keys() <= self.fields.keys() and value.keys() >= set(self.required)):
            return False
        try:
            for name in self.tags.keys() & value.keys():
                self.tags[name](value[name])
        except Refused:
            return False
        return True

    def check(self, value: Any) -> Any:
        """An instance from an object, or for a NamedTuple also from a list in the order of its fields."""
        if type(value) is dict:
            return self._build(self._named(value))
        if not issubclass(self.kind, dict) and isinstance(value, self.kind):
            return value
        if isinstance(value, Mapping):
            return self._build(self._named(value))
        fits = isinstance(value, (list, tuple)) and len(self.required) <= len(value) <= len(self.fields)
        if not (fits and issubclass(self.kind, tuple)):
            raise mismatch(self.expected, value)
        members = zip(range(len(value)), value, (hint.check for hint in self.fields.values()))  # noqa: B905
        return self._build(dict(zip(self.fields, check_each(members, at_index))))  # noqa: B905 - defaults follow

    def _named(self, value: Mapping[str, Any]) -> dict[str, Any]:
        unknown = [] if value.keys() <= self.fields.keys() else [name for name in value if name not in self.fields]
        problems = [
            FieldError(at_field(name), f"{self.kind.__name__} has no such field{nearest(name, self.fields)}")
            for name in unknown[: MAX_PROBLEMS + 1]
        ]
        problems += [
            FieldError(at_field(name), f"expected {self.fields[name].expected}, found nothing: add the field")
            for name in self.required
            if name not in value
        ]
        checked = {}
        for name, hint in self.fields.items():
            if name in value:
                try:
                    checked[name] = hint.check(value[name])
                except Refused as refused:
                    problems += refused.below(at_field(name))
        if problems:
            raise Refused(problems)
        return checked

    def _build(self, fields: dict[str, Any]) -> Any:
        if not issubclass(self.kind, dict):
            count_conversion()
        try:
            return self.kind(**fields)
        except Exception as error:  # the author's own checks may raise anything
            sentence = f"{self.kind.__name__} refuses it: {exception_message(error)[:200]}"
            raise Refused([FieldError("", sentence)]) from None


def instance_hint(kind: Any) -> Hint:
    """Any other class: only instances are accepted, because JSON has no form for them."""
    try:
        isinstance(None, kind)
    except TypeError:  # a Protocol that is not runtime_checkable
        return ANY
    expected = f"a Python value of the type {type_name(kind)}"

    def check(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        raise mismatch(expected, value)

    return Hint(expected, check)
