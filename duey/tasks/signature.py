"""The signature of a task: the names and places of its parameters, and their hints as types and as text.

Consumers read it for the names alone, by which values are redacted. `duey.control.call` checks calls against it.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union, get_args, get_origin, get_type_hints

from duey.model.job import Parameter
from duey.payload.plain import to_plain

_BY_HUEY = "task"  # with context=True, Huey passes the task under this name
_EMPTY, _KIND = inspect.Parameter.empty, inspect.Parameter
_KINDS: dict[Any, str] = {
    _KIND.KEYWORD_ONLY: "keyword",
    _KIND.VAR_POSITIONAL: "var_positional",
    _KIND.VAR_KEYWORD: "var_keyword",
}


class Slot(NamedTuple):
    """How a parameter can be given: at a position (None: only by name), by name (False: only by position)."""

    parameter: inspect.Parameter
    place: int | None = None
    by_name: bool = True

    @property
    def name(self) -> str:
        return self.parameter.name

    @property
    def required(self) -> bool:
        return self.parameter.default is _EMPTY


class Signature:
    """The signature of one task function. `rest` is its `*args`, `others` its `**kwargs`, `by_huey` a hidden name."""

    def __init__(self, func: Callable[..., Any], task_name: str, context: bool = False) -> None:
        """`context` is the task's option of that name: Huey passes `task`, so that parameter is hidden."""
        self.task_name = task_name
        self.doc = inspect.getdoc(func) or ""
        self.by_huey = _BY_HUEY if context else None
        self.slots: list[Slot] = []
        self.rest: Slot | None = None
        self.others: Slot | None = None
        self._namespace: Mapping[str, Any] = getattr(inspect.unwrap(func), "__globals__", {})
        self._shown: list[tuple[inspect.Parameter, str]] = []
        by_place = True
        for parameter in _parameters(func):
            kind = parameter.kind
            if parameter.name == self.by_huey:
                # Huey passes it by name, so no value can be given by position from here on.
                by_place = by_place and kind is _KIND.KEYWORD_ONLY
                continue
            if kind is _KIND.VAR_POSITIONAL:
                if not by_place:
                    continue
                self.rest = Slot(parameter)
            elif kind is _KIND.VAR_KEYWORD:
                self.others = Slot(parameter)
            else:
                place = len(self.slots) if by_place and kind is not _KIND.KEYWORD_ONLY else None
                self.slots.append(Slot(parameter, place, kind is not _KIND.POSITIONAL_ONLY))
            self._shown.append((parameter, _KINDS.get(kind, "positional" if by_place else "keyword")))
        self.placed = [slot for slot in self.slots if slot.place is not None]

    def names_of(self, count: int) -> list[str]:
        """The names of the parameters for `count` values by position; "" for a surplus value."""
        names = [slot.name for slot in self.placed[:count]]
        return names + [self.rest.name if self.rest else ""] * (count - len(names))

    def hint(self, parameter: inspect.Parameter) -> Any:
        """The hint as a type; Any if there is none or it cannot be resolved. A default of None accepts null."""
        if parameter.annotation is _EMPTY:
            return Any
        hint = _resolved(parameter.annotation, self._namespace)
        if parameter.default is not None or hint is Any:
            return hint
        try:
            return Optional[hint]  # noqa: UP045 - hints that are no classes have no `|`
        except TypeError:
            return Any

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that a caller can give, for people."""
        return tuple(self._described(parameter, kind) for parameter, kind in self._shown)

    def _described(self, parameter: inspect.Parameter, kind: str) -> Parameter:
        hint, has_default = self.hint(parameter), parameter.default is not _EMPTY
        unresolved = hint is Any and isinstance(parameter.annotation, str)
        text = parameter.annotation if unresolved else hint_text(hint)
        return Parameter(
            name=parameter.name,
            type="any" if text in ("Any", "typing.Any") else text,
            required=not has_default and not kind.startswith("var"),
            default=to_plain(parameter.default) if has_default else None,
            kind=kind,
        )


class Arity:
    """Whether a call has the arguments that a function takes, by number and name. `context`: as for Signature."""

    def __init__(self, func: Callable[..., Any], context: bool = False) -> None:
        parameters, by_place = [], True
        for each in _parameters(func):
            if context and each.name == _BY_HUEY:
                by_place = False
            elif by_place or each.kind in (_KIND.KEYWORD_ONLY, _KIND.VAR_KEYWORD):
                parameters.append(each)
            elif each.kind is not _KIND.VAR_POSITIONAL:
                parameters.append(each.replace(kind=_KIND.KEYWORD_ONLY))
        self._signature = inspect.Signature(parameters)
        self._simple = all(each.kind in (_KIND.POSITIONAL_OR_KEYWORD, _KIND.KEYWORD_ONLY) for each in parameters)
        self._placed = [each.name for each in parameters if each.kind is _KIND.POSITIONAL_OR_KEYWORD]
        self._named = frozenset(self._placed) | {each.name for each in parameters if each.kind is _KIND.KEYWORD_ONLY}
        needed = [each for each in parameters if each.default is _EMPTY]
        self._least = sum(each.kind is _KIND.POSITIONAL_OR_KEYWORD for each in needed)
        self._needed = [each.name for each in needed if each.kind is _KIND.KEYWORD_ONLY]

    def check(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise the TypeError that calling the function with these arguments would raise."""
        count, names = len(args), kwargs.keys()
        if (
            self._simple and count <= len(self._placed) and names <= self._named
            and (count >= self._least or names >= set(self._placed[count : self._least]))
            and (not self._needed or names >= set(self._needed))
            and (not names or names.isdisjoint(self._placed[:count]))
        ):  # fmt: skip
            return
        try:  # slower, and right for each kind of parameter
            self._signature.bind(*args, **kwargs)
        except TypeError as exc:
            raise TypeError(f"task {task}: {exc}") from None


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


def _resolved(annotation: Any, namespace: Mapping[str, Any]) -> Any:
    """An annotation with text resolved to types, or Any if that fails. `namespace`: that of its module."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(holder, dict(namespace), include_extras=True)["it"]
    except Exception:  # evaluating an author's text may raise anything
        return Any


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
    if origin is Annotated:
        return hint_text(members[0])
    if origin in (Union, types.UnionType):
        return " | ".join(hint_text(member) for member in members)
    if origin is Literal:
        return f"Literal[{', '.join(repr(to_plain(member)) for member in members)}]"
    name = getattr(origin or hint, "__name__", None) or str(hint).replace("typing.", "")
    return f"{name}[{', '.join(map(hint_text, members))}]" if members else name
