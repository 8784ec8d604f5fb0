"""Compiles type hints, once, into checks of the values of a call.

A hint is a scalar, a choice (Union, Literal, Enum), a collection, a class with named fields (dataclass, TypedDict,
NamedTuple), or another class, of which only instances are accepted. A class may contain itself. A hint that cannot be
compiled accepts anything.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import typing
from collections.abc import Iterable
from enum import Enum
from pathlib import PurePath
from typing import Any, Literal, TypeVar, get_args, get_origin

from duey.tasks.signature.containers import (
    Shape,
    choice_hint,
    dict_hint,
    instance_hint,
    list_hint,
    set_hint,
    tuple_hint,
    union_hint,
)
from duey.tasks.signature.scalars import ANY, LEAVES, Hint, path_hint
from duey.tasks.signature.text import UNIONS, class_hints, wrapper_of

_LISTS = {list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable, abc.Reversible}
_SETS = {set, frozenset, abc.Set, abc.MutableSet}
_DICTS = {dict, abc.Mapping, abc.MutableMapping}
_NAMED = 8  # fields that a message lists


class Compiler:
    """Compiles the hints of one signature. Remembers classes, because a class may contain itself."""

    def __init__(self) -> None:
        self._known: dict[Any, Hint] = {}

    def hint(self, hint: Any) -> Hint:
        """The compiled form of a resolved hint. Never raises: an unknown hint accepts anything."""
        try:
            return self._special(hint) or self._plain_class(hint)
        except Exception:  # metaclasses and odd annotations may raise anything
            return ANY

    def _special(self, hint: Any) -> Hint | None:
        """Special forms of typing, which are neither a class nor a parametrized class."""
        origin, members = get_origin(hint), get_args(hint)
        if hint is None:
            return LEAVES[type(None)]
        if wrapper_of(hint):
            return self.hint(members[0])
        if origin in UNIONS:
            return union_hint([self.hint(member) for member in members])
        if origin is Literal:
            return choice_hint(members)
        if isinstance(hint, TypeVar):
            choices = [hint.__bound__] if hint.__bound__ else list(hint.__constraints__)
            return union_hint([self.hint(choice) for choice in choices]) if choices else ANY
        if hasattr(hint, "__supertype__"):  # NewType
            return self.hint(hint.__supertype__)
        if type(hint).__name__ == "TypeAliasType":  # `type Json = ...`, which may name itself
            return self._alias(hint)
        return None

    def _alias(self, alias: Any) -> Hint:
        if alias not in self._known:
            target: list[Hint] = []
            self._known[alias] = Hint(f"a value of the form {alias}", lambda value: target[0].check(value))
            target.append(self.hint(alias.__value__))
        return self._known[alias]

    def _plain_class(self, hint: Any) -> Hint:
        kind = get_origin(hint) or hint
        if not isinstance(kind, type) or kind is object or kind is Any:
            return ANY
        return LEAVES.get(kind) or self._collection(kind, get_args(hint), hint) or self._class(kind)

    def _collection(self, kind: type, members: tuple[Any, ...], hint: Any) -> Hint | None:
        first = self.hint(members[0]) if members else ANY
        if kind in _LISTS:
            return list_hint(first, list)
        if kind in _SETS:
            return set_hint(first, frozenset if kind is frozenset else set)
        if kind in _DICTS:
            return dict_hint(first, self.hint(members[1]) if members else ANY)
        if kind is not tuple:
            return None
        if hint is tuple or hint is typing.Tuple or "Unpack" in str(hint) or "*" in str(hint):  # noqa: UP006
            return list_hint(ANY, tuple)
        if len(members) == 2 and members[1] is ...:
            return list_hint(first, tuple)
        return tuple_hint([self.hint(member) for member in members if member != ()])

    def _class(self, kind: Any) -> Hint:
        if issubclass(kind, Enum):
            return choice_hint(tuple(kind), kind)
        if issubclass(kind, PurePath):
            return path_hint(kind)
        if kind not in self._known:
            if issubclass(kind, tuple) and hasattr(kind, "_fields"):
                required = [name for name in kind._fields if name not in kind._field_defaults]
                self._shape(kind, kind._fields, required)
            elif issubclass(kind, dict) and hasattr(kind, "__required_keys__"):
                self._shape(kind, class_hints(kind), _required_keys(kind))
            elif dataclasses.is_dataclass(kind):
                fields = [field for field in dataclasses.fields(kind) if field.init]
                required = [field.name for field in fields if _has_no_default(field)]
                self._shape(kind, [field.name for field in fields], required)
            else:
                self._known[kind] = instance_hint(kind)
        return self._known[kind]

    def _shape(self, kind: Any, names: Iterable[str], required: Iterable[str]) -> None:
        names = list(names)
        listed = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        shape = Shape(kind, f"an object with {listed} ({kind.__name__})", {}, tuple(required), {})
        # Stored before its fields are compiled, because a field may contain this class again.
        self._known[kind] = Hint(shape.expected, shape.check, shape.likely)
        hints = class_hints(kind)
        for name in names:
            shape.fields[name] = self.hint(hints.get(name, Any))
            if get_origin(hints.get(name)) is Literal:
                shape.tags[name] = shape.fields[name].check


def _required_keys(typed_dict: Any) -> list[str]:
    """The required keys. typing itself does not recognize NotRequired in annotations that are text."""
    wrappers = {name: wrapper_of(hint) for name, hint in class_hints(typed_dict).items()}
    required = typed_dict.__required_keys__
    return [n for n, by in wrappers.items() if by == "Required" or (n in required and by != "NotRequired")]


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
