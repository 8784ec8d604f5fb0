"""Compaction of the event backlog on Redis: see duey.storage.compaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from duey.storage.compaction import STEP, Pair, Seen
from duey.storage.redis.client import Server

LOOK = 1000  # entries in one command


class RedisBacklog:
    """The events of one service."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def count(self) -> int:
        return int(self._server.command(b"XLEN", self._server.key("events")))

    def look(self, after: int, untouched: int) -> Sequence[Seen]:
        head = self._server.run("untouched", untouched, again=True)
        if head is None:
            return []
        found: list[Seen] = []
        after = max(after, int(head))
        while len(found) < STEP:
            some = self._server.command(b"XRANGE", self._server.key("events"), f"{after + 1}-0", "+", "COUNT", LOOK)
            found += map(seen, some)
            if len(some) < LOOK:
                break
            after = found[-1].number
        return found

    def fold(self, pairs: Sequence[Pair], untouched: int) -> int:
        numbers: Iterable[int] = (number for pair in pairs for number in pair)
        return int(self._server.run("fold", untouched, *numbers))


def seen(entry: Sequence[Any]) -> Seen:
    """The event of an entry of the stream."""
    number, fields = entry
    e = dict(zip(fields[::2], fields[1::2], strict=True))
    _, _, started_at, attempt = json.loads(e[b"e"])
    is_plain = attempt == 1 and started_at is not None and b"d" not in e
    return Seen(int(number.partition(b"-")[0]), int(e[b"s"] or 0), e[b"k"].decode(), is_plain)
