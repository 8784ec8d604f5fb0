"""Unique jobs: the key that a job holds, for how long, and what happens to another job with the same key.

With `unique=True` a job holds a key from when it is enqueued until it ends; with `unique=seconds` at most so long. The
key is the task with its arguments, or the result of `unique_key`. `unique_scope` says until when: "end" (of the job),
"start" (of its body) or "time" (for the seconds, whatever happens to the job). `unique_conflict` decides about a second
job: "return" answers with the job that holds the key, "replace" cancels a waiting holder (a running one is returned),
"raise" refuses with UniqueConflict. The storage decides in the transaction that accepts the job, and frees the key in
the one that ends or starts it.

Steps of a pipeline and members and callbacks of a chord are not unique: they are never dropped.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from duey import errors
from duey.model.job import FREED_AT_START, FREED_BY_TIME, REFUSES, REPLACES
from duey.payload.encode import to_json

SCOPES = {"end": 0, "start": FREED_AT_START, "time": FREED_BY_TIME}
CONFLICTS = {"return": 0, "replace": REPLACES, "raise": REFUSES}


@dataclass(frozen=True)
class Uniqueness:
    """The options of a task for unique jobs. `hold_s` None: until the scope ends."""

    task: str
    function: Callable[..., Any]
    key: Callable[..., Any] | None
    hold_s: float | None

    def key_of(self, qualname: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        """The key of a call. Raises BadRequest if `unique_key` raises."""
        if self.key is None:
            return f"{qualname}#{digest(self._arguments(args, kwargs))}"
        try:
            value = self.key(*args, **kwargs)
        except Exception as exc:
            raise errors.BadRequest(
                f"unique_key of task {self.task} failed on these arguments ({type(exc).__name__}: {exc}): correct it"
            ) from exc
        return f"{qualname}:{value}" if isinstance(value, str) else f"{qualname}#{digest(value)}"

    def _arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The arguments by name, including defaults, so that f(1) and f(a=1) are the same call."""
        try:
            bound = inspect.signature(self.function).bind_partial(*args, **kwargs)
        except TypeError:
            return [list(args), dict(kwargs)]
        bound.apply_defaults()
        return dict(bound.arguments)


def uniqueness_of(task: str, function: Callable[..., Any], settings: Mapping[str, Any]) -> Uniqueness | None:
    """The options for unique jobs; None if jobs of the task are not unique. Raises Misconfigured."""
    unique = settings.get("unique", False)
    if unique is False:
        surplus = [name for name in ("unique_key", "unique_scope", "unique_conflict") if name in settings]
        if surplus:
            raise errors.Misconfigured(f"task {task}: {surplus[0]} needs unique=True or unique=seconds beside it")
        return None
    if settings.get("unique_scope") == "time" and unique is True:
        raise errors.Misconfigured(f"task {task}: unique_scope='time' needs the seconds: unique=60")
    hold_s = None if unique is True else float(unique)
    return Uniqueness(task, function, settings.get("unique_key"), hold_s)


def flags_of(settings: Mapping[str, Any]) -> int:
    """The flags that each job of the task carries."""
    return SCOPES[settings.get("unique_scope", "end")] | CONFLICTS[settings.get("unique_conflict", "return")]


def digest(value: Any) -> str:
    """A short text that is the same for equal values in any process. Raises UnserializableError."""
    try:
        return hashlib.sha256(_texts([value])[0].encode()).hexdigest()[:32]
    except RecursionError:
        raise errors.TooDeepError("a value of the unique key", "holds itself, or is nested too deeply") from None


# The text that does not depend on the order of dicts and sets: JSON in which each scalar is the text of its JSON.
# Storages hold digests of it, so it must not change. All values of one type that stand equally deep are written
# together, mostly in C, because whoever enqueues chooses how many there are.


def _texts(values: Sequence[Any]) -> list[str]:
    """The text of each value."""
    kinds = set(map(type, values))
    if len(kinds) == 1:
        return list(_of_one_type(kinds.pop(), values))
    by_kind = {kind: _of_one_type(kind, [each for each in values if type(each) is kind]) for kind in kinds}
    return list(map(next, map(by_kind.__getitem__, map(type, values))))


def _of_one_type(kind: type, values: Sequence[Any]) -> Iterator[str]:
    if issubclass(kind, Mapping):
        names, members = _members(values), _members([each.values() for each in values])
        pairs = iter([f"[{name},{member}]" for name, member in zip(names, members, strict=True)])
        return iter([f'{{"m":[{",".join(sorted(islice(pairs, len(each))))}]}}' for each in values])
    if issubclass(kind, (set, frozenset)):
        items = _members(values)
        return iter([f'{{"s":[{",".join(sorted(islice(items, len(each))))}]}}' for each in values])
    if issubclass(kind, (list, tuple)):
        items = _members(values)
        return iter([f"[{','.join(islice(items, len(each)))}]" for each in values])
    if kind is int and min(values) > -_LONG and max(values) < _LONG:  # to_json has a form of its own for longer ones
        return iter([f'"{each}"' for each in values])
    if kind is float and all(map(math.isfinite, values)):
        return map('"{!r}"'.format, values)
    if kind is str and "".join(values).isascii():
        return map(encode_basestring_ascii, map(encode_basestring, values))
    if kind in _CONSTANTS:
        return map(_CONSTANTS[kind].__getitem__, values)
    return (encode_basestring_ascii(to_json(each).decode()) for each in values)


def _members(collections: Sequence[Iterable[Any]]) -> Iterator[str]:
    """The texts of the members of all of them, in order."""
    members = list(chain.from_iterable(collections))
    if len(members) > _MOST:
        raise errors.TooDeepError("a value of the unique key", "holds itself, or too many values: pass less")
    return iter(_texts(members))


_LONG, _MOST = 1 << 64, 10_000_000
_CONSTANTS: dict[type, dict[Any, str]] = {type(None): {None: '"null"'}, bool: {False: '"false"', True: '"true"'}}
