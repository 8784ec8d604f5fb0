"""Decodes stored JSON to the values that duey.payload.encode has written; its docstring lists the tags.

One call of the C decoder, whose object hook resolves tags from the inside out. A name is looked up among the registered
types, a zone in the time zone database, and nothing else is looked up. Whatever the bytes contain, the result is a
value or an UndecodableError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from huey.registry import Message
from huey.utils import Error

from duey.errors import TypeMisfit, UndecodableError
from duey.payload.encode import CONTENT, TAG
from duey.payload.path import MAX_DEPTH
from duey.payload.plain import has_odd_number
from duey.payload.scalars import LEAVES, LONG_INT
from duey.payload.stand_in import stand_in
from duey.payload.types import CarriedError, exception_message, exception_type, expect, registered_name, shown_member

# Encoding needs at most three brackets for one level of nesting, and a few around it.
_MAX_BRACKETS = 3 * MAX_DEPTH + 10
_STRING = re.compile(rb'"[^"]*"')
_TAG_BYTES, _TAGGED = b'"!"', b'{"!":'
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_STR = frozenset({str})
_NO_BRACKET = bytes(b for b in range(256) if chr(b) not in "[]{}")


def stored_json(data: bytes, checked: bool = False) -> Any:
    """The same, with stand-ins for instances of registered types. `checked`: of which instances could be made."""
    return from_json(data, _for_check if checked else _for_display)


def from_json(data: bytes, stored: json.JSONDecoder | None = None) -> Any:
    """The value that to_json has encoded. `stored`: the decoder for stand-ins. Raises UndecodableError."""
    # Counting is cheap, and almost no payload has so many brackets that their depth must be computed.
    if data.count(b"[") + data.count(b"{") > _MAX_BRACKETS and _is_too_deep(data):
        raise UndecodableError(f"the payload is nested deeper than {_MAX_BRACKETS} brackets")
    try:
        text = data.decode()
        # Most values hold no tags and no odd numbers, a call holds the one around it: all else is read in C alone.
        tags = data.count(_TAG_BYTES)
        if stored:
            value, end = stored.raw_decode(text)
        elif has_odd_number(data):
            value, end = _closely.raw_decode(text)
        elif tags <= data.startswith(_TAGGED):
            value, end = _quick.raw_decode(text)
            value = _revive(value) if tags else value
        else:
            value, end = _reviving.raw_decode(text)
        # Escapes are written for control characters only; others may stand for a lone surrogate.
        if "\\u" in text:
            json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UndecodableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UndecodableError(f"the payload is not JSON as Duey writes it ({error})") from None
    if end != len(text):
        raise UndecodableError(f"the payload continues after its end at character {end}")
    return value


def _is_too_deep(data: bytes) -> bool:
    """Whether brackets outside of strings are nested deeper than encoding ever does, or do not match. Without
    recursion: each round removes the innermost level."""
    without_escapes = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = _STRING.sub(b"", without_escapes).translate(_TO_SQUARE, _NO_BRACKET)
    for _ in range(_MAX_BRACKETS):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _reviving_by(readers: Mapping[str, Callable[[Any], Any]]) -> Callable[[dict[str, Any]], Any]:
    """The object hook: an object without a tag is a dict, others are decoded by the reader of their tag."""

    def revive(found: dict[str, Any]) -> Any:
        if TAG not in found:
            return found
        tag = found[TAG]
        reader = readers.get(tag) if type(tag) is str else None
        if reader is None or len(found) != 2 or CONTENT not in found:
            raise UndecodableError(f"the payload holds a tag that this version does not know: {tag!r:.60}")
        try:
            return reader(found[CONTENT])
        except TypeMisfit:
            raise
        except BaseException as error:  # also whatever a registered class raises
            why = exception_message(error)
            if not isinstance(error, UndecodableError):
                why = f"{exception_type(error)}: {why}"
            raise UndecodableError(f"the content of the tag {tag!r} is damaged: {why:.300}") from error

    return revive


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise UndecodableError("the payload holds a number beyond the range of float")
    return value


def _no_constant(name: str) -> Any:
    raise UndecodableError(f"the payload holds {name}, which is not JSON")


def _set(content: Any) -> set[Any]:
    items = set(expect(content, list))
    if len(items) != len(content):
        raise UndecodableError("expected distinct items")
    return items


def _dict(content: Any) -> dict[Any, Any]:
    pairs = {}
    for pair in expect(content, list):
        key, item = expect(pair, list)
        pairs[key] = item
    if len(pairs) != len(content):
        raise UndecodableError("expected distinct keys")
    return pairs


def _registered(content: Any) -> Any:
    name, stored = expect(content, list)
    return registered_name(name).build(stored)


def _stand_in(content: Any) -> Any:
    """What is stored of an instance of a registered type, or the value of a member of an Enum."""
    name, stored = expect(content, list)
    module, _, qualname = expect(name, str).rpartition(".")
    made = stand_in(module, qualname)
    if type(stored) is dict:
        return made(**stored)
    return made(shown_member(name, stored))


def _checked(content: Any) -> Any:
    name, stored = expect(content, list)
    registered_name(name).refuse_misfit(stored)
    return _stand_in(content)


def _exception(content: Any) -> CarriedError:
    kind, message, traceback = (expect(text, str) for text in expect(content, list))
    return CarriedError(kind, message, traceback)


def _optional(*kinds: type) -> frozenset[type]:
    return frozenset({type(None), *kinds})


# The fields that TaskRegistry.create_task unpacks; it only passes the others on.
_MESSAGE_TYPES = (
    (0, _optional(str)),
    (1, _optional(str)),
    (6, _optional(list)),
    (7, _optional(dict)),
    (8, _optional(Message)),
    (9, _optional(Message)),
    (13, _optional(tuple)),
)
_seen_kinds: set[tuple[type, ...]] = set()  # types of the fields of valid messages, of which there are few
_MOST_KINDS = 100
_NO_FIELDS = [None] * len(Message._fields)


def _message(content: Any) -> Message:
    fields = expect(content, list)
    count = len(fields)
    if count > len(_NO_FIELDS):
        raise UndecodableError("the message has fields of a newer Huey: install the Huey that wrote it")
    kinds = tuple(map(type, fields))
    if kinds not in _seen_kinds:
        for position, types in _MESSAGE_TYPES:
            if position < count and kinds[position] not in types:
                raise UndecodableError(f"expected a message, found another thing as its {Message._fields[position]}")
        if len(_seen_kinds) < _MOST_KINDS:
            _seen_kinds.add(kinds)
    fields += _NO_FIELDS[count:]
    if fields[6] is not None:
        fields[6] = tuple(fields[6])
    if fields[7] and not _STR.issuperset(map(type, fields[7])):
        raise UndecodableError("expected a message, found keyword arguments whose names are not text")
    return Message._make(fields)


_READERS: dict[str, Callable[[Any], Any]] = {
    "t": lambda content: tuple(expect(content, list)),
    "s": _set,
    "fs": lambda content: frozenset(_set(content)),
    "d": _dict,
    "m": _message,
    "o": _registered,
    "x": _exception,
    "err": lambda content: Error(expect(content, dict)),
    **{leaf.tag: leaf.read for leaf in (*LEAVES.values(), LONG_INT)},
}
_revive = _reviving_by(_READERS)
_quick = json.JSONDecoder(parse_constant=_no_constant)
_reviving = json.JSONDecoder(object_hook=_revive, parse_constant=_no_constant)
_closely = json.JSONDecoder(object_hook=_revive, parse_float=_finite, parse_constant=_no_constant)
_for_display, _for_check = (
    json.JSONDecoder(
        object_hook=_reviving_by({**_READERS, "o": reader}), parse_float=_finite, parse_constant=_no_constant
    )
    for reader in (_stand_in, _checked)
)
