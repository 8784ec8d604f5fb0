"""Converts annotations from text to types (`resolve`, `class_hints`) and back (`hint_text`).

Annotations may be text (`from __future__ import annotations`, names that exist only for type checkers). What cannot be
resolved becomes `Any`, so that the task can be called nevertheless.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from duey.payload.plain import to_plain

UNIONS = (Union, types.UnionType)
_WRAPPERS = frozenset({"Annotated", "Required", "NotRequired", "ReadOnly", "Final", "ClassVar"})


def resolve(annotation: Any, namespace: Mapping[str, Any]) -> Any:
    """An annotation with text resolved to types, or Any if that fails. `namespace`: that of its module."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(holder, dict(namespace), include_extras=True)["it"]
    except Exception:  # evaluating an author's text may raise anything
        return Any


def class_hints(cls: Any) -> dict[str, Any]:
    """The hints of a class's fields by name, including its bases. One that cannot be resolved is Any."""
    try:
        return get_type_hints(cls, include_extras=True)
    except Exception:  # as above
        hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        namespace = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        for name, annotation in vars(base).get("__annotations__", {}).items():
            hints[name] = resolve(annotation, namespace)
    return hints


def wrapper_of(hint: Any) -> str | None:
    """The name of a wrapper around a hint ("Annotated" of `Annotated[int, ...]`), or None."""
    origin = get_origin(hint)
    name = getattr(origin, "_name", None) or getattr(origin, "__name__", None)
    return name if name in _WRAPPERS else None


def hint_text(hint: Any) -> str:
    """A hint as text, such as `int` or `list[str] | None`; `any` if there is none."""
    origin, members = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return "any"
    if hint is None or hint is type(None):
        return "None"
    if hint is ...:
        return "..."
    if isinstance(hint, (list, tuple)):  # the parameters of a Callable; tuple[()]
        return f"[{', '.join(map(hint_text, hint))}]"
    if wrapper_of(hint):
        return hint_text(members[0])
    if origin in UNIONS:
        return " | ".join(hint_text(member) for member in members)
    if origin is Literal:
        return f"Literal[{', '.join(repr(to_plain(member)) for member in members)}]"
    name = getattr(origin or hint, "__name__", None) or str(hint).replace("typing.", "")
    return f"{name}[{', '.join(map(hint_text, members))}]" if members else name
