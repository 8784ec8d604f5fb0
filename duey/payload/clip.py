"""Cutting what is too large to keep, so that its JSON (compact, UTF-8) fits; what was left out is said there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

from duey.payload.plain import to_plain

_LEAST_BYTES = 24
_EIGHTH = 8  # a member that gets less than this part of its holder's room is left out: no heap of crumbs
_MORE = "…"
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def clip(value: Any, max_bytes: int) -> tuple[Any, bool]:
    """The plain value, cut so that its JSON has at most `max_bytes` (no less than 2), and whether it was cut.

    Long texts end with `…` and how many characters were left out, lists and objects with how many members;
    room is shared so that small members stay whole. The value itself is never changed; what is not plain is
    made so.
    """
    clipped = False
    try:
        size = json_bytes(value)
    except (TypeError, ValueError, RecursionError):
        value, clipped = to_plain(value), True
        size = json_bytes(value)
    if size <= max_bytes:
        return value, clipped
    try:
        return _cut(value, max(max_bytes, 2)), True
    except RecursionError:  # too deep for Python, if not for the encoder written in C
        return _cut(to_plain(value), max(max_bytes, 2)), True


def json_bytes(value: Any) -> int:
    """The size of a plain value as compact JSON in UTF-8."""
    text = _encode(value)
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _cut(value: Any, room: int) -> Any:
    """The value in at most `room` bytes (2 or more)."""
    if json_bytes(value) <= room:
        return value
    if isinstance(value, str):
        return _cut_text(value, room)
    if isinstance(value, (list, tuple)):
        return _cut_list(value, room)
    if isinstance(value, dict):
        return _cut_dict(value, room)
    return _cut_text(_encode(value), room)


def _cut_text(text: str, room: int) -> str:
    ending = f"{_MORE} ({len(text)} characters left out)"
    if json_bytes(ending) > room:
        ending = _MORE if json_bytes(_MORE) <= room else ""
        return text[: _fitting_chars(text, room - json_bytes(ending))] + ending
    fits = _fitting_chars(text, room - json_bytes(ending))
    return f"{text[:fits]}{_MORE} ({len(text) - fits} characters left out)"


def _fitting_chars(text: str, room: int) -> int:
    """How many characters fit into `room` bytes of JSON, quotes not counted."""
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        if json_bytes(text[:middle]) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _cut_list(items: Sequence[Any], room: int) -> list[Any]:
    marker = f"{_MORE} {len(items)} more"
    rooms = _share([(1, item) for item in items[:room]], len(items), room - 2, json_bytes(marker) + 1)
    cut = [_cut(item, item_room) for item, item_room in zip(items, rooms, strict=False)]
    left_out = len(items) - len(cut)
    if left_out and json_bytes(cut) + json_bytes(marker) + 1 <= room:
        cut.append(f"{_MORE} {left_out} more")
    return cut


def _cut_dict(members: dict[str, Any], room: int) -> dict[str, Any]:
    marker = {_MORE: f"{len(members)} more"}
    key_room = max(_LEAST_BYTES, room // 4)
    entries = [(_cut(key, key_room), member) for key, member in islice(members.items(), room)]
    costs = [(json_bytes({key: 0}) - 2, member) for key, member in entries]
    rooms = _share(costs, len(members), room - 2, json_bytes(marker))
    cut: dict[str, Any] = {}
    for (key, member), member_room in zip(entries, rooms, strict=False):
        cut.setdefault(key, _cut(member, member_room))  # cut keys may be the same
    left_out = len(members) - len(cut)
    if left_out and json_bytes(cut) + json_bytes(marker) <= room:
        cut[_MORE] = f"{left_out} more"
    return cut


def _share(members: Sequence[tuple[int, Any]], count: int, room: int, marker_bytes: int) -> list[int]:
    """The bytes for the value of each member that is kept, the first ones of `count`.

    A member is (bytes around the value: comma, key; the value).
    """
    least_each = max(_LEAST_BYTES, room // _EIGHTH)
    sizes: list[int] = []
    least: list[int] = []
    free = room
    for overhead, member in members:
        size = json_bytes(member)
        free -= overhead + min(size, least_each)
        if free < 0:
            free += overhead + min(size, least_each)
            break
        sizes.append(size)
        least.append(overhead + min(size, least_each))
    if len(sizes) < count:
        free -= marker_bytes
        while least and free < 0:
            free += least.pop()
    rooms = [min(size, least_each) for size in sizes[: len(least)]]
    # The smallest first, so that what one does not need goes to the larger ones.
    for done, index in enumerate(sorted(range(len(rooms)), key=sizes.__getitem__)):
        more = min(sizes[index] - rooms[index], max(free, 0) // (len(rooms) - done))
        rooms[index] += more
        free -= more
    return rooms
