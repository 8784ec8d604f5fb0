"""Encodes Python values as JSON with tags for their types.

JSON's own values (None, bool, int, float, str, list, dict with str keys) are written as they are. Others become an
object with two keys, `{"!": tag, "v": content}`. A dict that contains the key "!" is written as a list of pairs, so
that no value can be taken for a tag. Tags: t tuple, s set, fs frozenset, d dict as pairs, o registered type ([name,
fields or member]), x exception ([type, message, traceback]), m Huey's Message (fields in Huey's order, without trailing
Nones), err Huey's Error; those of values that contain no others are in duey.payload.scalars.

Encoding is one walk in Python and one call of the C encoder. The walk passes on collections whose members are all
scalars, and relies on the C encoder to check that floats are finite, text is valid Unicode and ints are short enough to
print. If the C encoder raises, a second walk checks each scalar: it writes large ints as hex, and names the path of a
value that cannot be encoded. Types are compared exactly: a subclass of str or dict is refused, because what it adds
would be lost.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NoReturn

from huey.registry import Message
from huey.utils import Error

from duey.errors import TooDeepError, UnserializableError
from duey.payload.path import MAX_DEPTH, ValuePath, brief, path_of, refuse, refuse_depth
from duey.payload.plain import levels, quick_encoder
from duey.payload.scalars import LEAVES, LONG_INT, valid_text
from duey.payload.types import exception_texts, printable, registered_class

TAG, CONTENT = "!", "v"
REGISTERED = b'"!":"o"'  # marks a registered type; cannot occur within a text, where " is escaped

_ATOMS = frozenset({type(None), bool, int, float, str})
_OF_JSON = _ATOMS | {list, dict}
_STR = frozenset({str})
_LONG_INT_BITS = 2000  # below the lowest limit that sys.set_int_max_str_digits allows (640 digits)
_NO_TAIL = (None,) * (len(Message._fields) - 8)
_NONE = type(None)
_HEAD_TYPES = ((0, (str, _NONE)), (1, (str, _NONE)), (6, (tuple, list, _NONE)), (7, (dict, _NONE)))
_MESSAGE_TYPES = (*_HEAD_TYPES, (8, (Message, _NONE)), (9, (Message, _NONE)), (13, (tuple, _NONE)))


def to_json(value: Any, root: str = "") -> bytes:
    """The value as UTF-8 JSON. `root` names it in errors; a Message's own fields need none.

    Raises UnserializableError with the path of the value that cannot be encoded, or TooDeepError.
    """
    is_message = type(value) is Message
    # A Message's args are at the same depth as for check(args), so that both refuse the same values.
    path: ValuePath = (None, (root or ("" if is_message else "value"),), None, -1 if is_message else 0)
    try:
        try:
            return ((is_message and _simple_message(value)) or _encode(_QUICK.pack(value, path))).encode()
        except ValueError:  # NaN, an int too long to print, a lone surrogate (a refused type is a TypeError)
            return _encode(_CAREFUL.pack(value, path)).encode()
    except ValueError as error:  # not found by the second walk, such as an invalid name of an enum's member
        raise UnserializableError(path_of(path) or "the message", f"is not valid JSON ({error})") from None
    except RecursionError:  # the caller's stack is deep already
        raise TooDeepError(path_of(path) or "the message", "is nested too deeply: flatten it") from None


_encode = quick_encoder(json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")))
_quoted: Callable[[str], str] = json.encoder.encode_basestring


def _is_json(values: Sequence[Any], depth: int) -> bool:
    """Whether the C encoder can have all of them as they are, because they hold nothing that takes a tag."""
    for level in levels(values):
        names, allowed = level.names(), _OF_JSON if depth > 0 else _ATOMS
        if not level.kinds <= allowed or TAG in names or not _STR.issuperset(map(type, names)):
            return False
        depth -= 1
    return True


class _Walk:
    """One way to look at a value: values of the `atoms` types are left to the C encoder as they are. More than `many`
    members are looked at together first."""

    def __init__(self, atoms: frozenset[type], many: int = sys.maxsize) -> None:
        self.atoms, self.many = atoms, many

    def pack(self, value: Any, path: ValuePath) -> Any:
        kind = type(value)
        if kind in self.atoms:
            return value
        nesting = _NESTING.get(kind)
        if nesting is not None:
            if path[3] >= MAX_DEPTH:
                refuse_depth(path)
            return nesting(self, value, path)
        leaf = LEAVES.get(kind)
        if leaf is not None:
            return {TAG: leaf.tag, CONTENT: leaf.write(value, path)}
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            return scalar(value, path)
        if registered_class(kind) is not None:
            if path[3] >= MAX_DEPTH:
                refuse_depth(path)
            return _registered(self, value, path)
        if issubclass(kind, BaseException):
            return {TAG: "x", CONTENT: exception_texts(value)}
        refuse(value, path)

    def items(self, values: list[Any] | tuple[Any, ...], path: ValuePath) -> list[Any] | tuple[Any, ...]:
        atoms = self.atoms
        if atoms.issuperset(map(type, values)):
            return values
        depth = path[3] + 1
        if len(values) > self.many and _is_json(values, MAX_DEPTH - depth):
            return values
        return [
            item if type(item) in atoms else self.pack(item, (path, index, values, depth))
            for index, item in enumerate(values)
        ]


_QUICK = _Walk(_ATOMS, 50)
_CAREFUL = _Walk(frozenset({type(None), bool}))


# Collections.


def _tuple(walk: _Walk, value: tuple[Any, ...], path: ValuePath) -> Any:
    return {TAG: "t", CONTENT: walk.items(value, path)}


def _dict(walk: _Walk, value: dict[Any, Any], path: ValuePath) -> Any:
    atoms, depth = walk.atoms, path[3] + 1
    if not _STR.issuperset(map(type, value)) or TAG in value:
        return {TAG: "d", CONTENT: _pairs(walk, value, path)}
    if str not in atoms:
        for key in value:
            walk.pack(key, (path, (" (a key)",), value, depth))
    if atoms.issuperset(map(type, value.values())):
        return value
    if len(value) > walk.many and _is_json(list(value.values()), MAX_DEPTH - depth):
        return value
    return {
        key: item if type(item) in atoms else walk.pack(item, (path, key, value, depth)) for key, item in value.items()
    }


def _pairs(walk: _Walk, value: dict[Any, Any], path: ValuePath) -> list[Any]:
    depth = path[3] + 1
    pairs = []
    for key, item in value.items():
        step = key if type(key) is str else (f"[{brief(key)}]",)
        packed_key = walk.pack(key, (path, (" (a key)",), value, depth))
        pairs.append([packed_key, walk.pack(item, (path, step, value, depth))])
    return pairs


def _set(walk: _Walk, value: set[Any] | frozenset[Any], path: ValuePath) -> Any:
    items = list(value)
    if not walk.atoms.issuperset(map(type, items)):
        step = (path, (" (an item)",), value, path[3] + 1)
        items = [walk.pack(item, step) for item in items]
    return {TAG: "s" if type(value) is set else "fs", CONTENT: items}


def _registered(walk: _Walk, value: Any, path: ValuePath) -> Any:
    entry = registered_class(type(value))
    assert entry is not None
    if isinstance(value, Enum):
        return {TAG: "o", CONTENT: [entry.name, entry.member(value)]}
    try:
        parts = list(entry.parts(value))
    except Exception as error:  # a field was deleted, or a property raises
        raise UnserializableError(path_of(path), f"its fields cannot be read ({error!r:.200})") from error
    depth = path[3] + 1
    fields = {name: walk.pack(part, (path, ("." + name,), value, depth)) for name, part in parts}
    return {TAG: "o", CONTENT: [entry.name, fields]}


def _message(walk: _Walk, message: Message, path: ValuePath) -> Any:
    atoms, depth = walk.atoms, path[3] + 1
    head, args, kwargs, tail = message[:6], message[6], message[7], message[8:]
    short = tail == _NO_TAIL
    # What decoding does not expect must not be written.
    for position, kinds in _HEAD_TYPES if short else _MESSAGE_TYPES:
        if type(message[position]) not in kinds:
            _refuse_field(message, position, path)
    if kwargs and not _STR.issuperset(map(type, kwargs)):
        raise UnserializableError(path_of((path, (".kwargs",), message, 0)), "expected text as its keys")
    body = list(head) if atoms.issuperset(map(type, head)) else _fields(walk, message, path, 0, 6)
    body.append(args if args is None else walk.items(args, (path, (".args",), message, depth)))
    body.append(kwargs if kwargs is None else _dict(walk, kwargs, (path, (".kwargs",), message, depth)))
    if not short:
        body += _fields(walk, message, path, 8, len(message))
    while body and body[-1] is None:
        body.pop()
    return {TAG: "m", CONTENT: body}


def _simple_message(message: Message) -> str:
    """The same text for a third of the cost, if the message only calls a task with scalars; otherwise ""."""
    (
        job_id, name, eta, retries, retry_delay, priority, args, kwargs,
        on_complete, on_error, expires, expires_resolved, timeout, chord, backoff,
    ) = message  # fmt: skip
    options = (retries, retry_delay, priority, expires, timeout, backoff)
    if not (
        eta is on_complete is on_error is expires_resolved is chord is None and type(job_id) is type(name) is str
        and type(args) is tuple and type(kwargs) is dict and _ATOMS.issuperset(map(type, options + args))
    ):  # fmt: skip
        return ""
    named = "{}"
    if kwargs:
        if TAG in kwargs or not (_STR.issuperset(map(type, kwargs)) and _ATOMS.issuperset(map(type, kwargs.values()))):
            return ""
        named = _encode(kwargs)
    before, after = _around_call(name, *options)
    return f'{{"!":"m","v":[{_quoted(job_id)},{before},{_encode(args)},{named}{after}]}}'


@lru_cache(maxsize=256, typed=True)
def _around_call(name: str, *options: Any) -> tuple[str, str]:
    """What stands before and after the arguments."""
    retries, retry_delay, priority, expires, timeout, backoff = options
    after = [None, None, expires, None, timeout, None, backoff]
    while after and after[-1] is None:
        after.pop()
    return _encode([name, None, retries, retry_delay, priority])[1:-1], "".join(f",{_encode(each)}" for each in after)


def _fields(walk: _Walk, message: Message, path: ValuePath, start: int, end: int) -> list[Any]:
    names, depth, atoms = message._fields, path[3] + 1, walk.atoms
    return [
        value if type(value) in atoms else walk.pack(value, (path, (f".{names[position]}",), message, depth))
        for position, value in enumerate(message[start:end], start)
    ]


def _refuse_field(message: Message, position: int, path: ValuePath) -> NoReturn:
    place = path_of((path, (f".{message._fields[position]}",), message, 0))
    kind = dict(_MESSAGE_TYPES)[position][0]
    raise UnserializableError(place, f"expected a {kind.__name__}, found {brief(message[position])}")


def _error(walk: _Walk, error: Error, path: ValuePath) -> Any:
    metadata = error.metadata
    if type(metadata) is not dict:
        raise UnserializableError(path_of(path), f"an Error holds a dict, found {brief(metadata)}")
    # A failure must be stored even if its message contains a file name that is not valid Unicode.
    texts = {key: printable(item) if type(item) is str else item for key, item in metadata.items()}
    return {TAG: "err", CONTENT: _dict(walk, texts, path)}


_NESTING: dict[type, Callable[[_Walk, Any, ValuePath], Any]] = {
    tuple: _tuple,
    dict: _dict,
    list: _Walk.items,
    set: _set,
    frozenset: _set,
    Message: _message,
    Error: _error,
}


# Scalars, for the second walk.


def _int(value: int, path: ValuePath) -> Any:
    if value.bit_length() <= _LONG_INT_BITS:
        return value
    return {TAG: LONG_INT.tag, CONTENT: LONG_INT.write(value, path)}


def _float(value: float, path: ValuePath) -> float:
    if not math.isfinite(value):
        raise UnserializableError(
            path_of(path), f"JSON has no {value}: pass None, text, or a Decimal, which can be {value}"
        )
    return value


_SCALARS: dict[type, Callable[[Any, ValuePath], Any]] = {int: _int, float: _float, str: valid_text}
