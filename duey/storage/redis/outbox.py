"""The outbox: events that the history reads, in order, and compaction if it does not."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from duey.model.event import BLOCKED, DONE, JOBLESS, OWNER_S, UNBLOCKED, Event, OutboxLost, OutboxOwner
from duey.storage.compaction import STEP as COMPACTED
from duey.storage.compaction import Pair, Seen
from duey.storage.contract import Outbox
from duey.storage.redis import codec
from duey.storage.redis.connection.client import Server
from duey.storage.values import EventRow, worker_of

STEP = 1000  # events in one command
BYTES_MAX = 8 * 1024 * 1024  # read at once, because a few jobs may be large
OLD_KINDS = {b"parked": BLOCKED, b"unparked": UNBLOCKED}  # as version 2 wrote them


class RedisOutbox(Outbox):
    """A part of RedisStorage."""

    server: Server
    _read_mark = ""  # of the last reading by the owner's recorder

    def read_outbox(self, limit: int, term: int | None = None) -> list[EventRow]:
        """Events of jobs that were removed are removed, too."""
        words: tuple[Any, ...] = ("", "")
        if term is not None:
            words = term, uuid.uuid4().hex
            self._read_mark = words[1]
        while True:
            answer = self.server.run("read_outbox", limit, BYTES_MAX, *words, again=True)
            if answer is None:
                raise OutboxLost
            removed, *found = answer
            if found or not removed:
                return [row_of(each) for each in found]

    def delete_events(self, events: Sequence[Event | EventRow], term: int = 0) -> None:
        """Nothing is removed if the server has lost what was read: it is read again."""
        for i in range(0, len(events), STEP):
            ids = (f"{e.seq}-0" for e in events[i : i + STEP])
            if not self.server.run("delete_events", term, self._read_mark, *ids, again=True):
                raise OutboxLost

    def own_outbox(self, history: str, where: str, take_over: bool = False) -> OutboxOwner:
        return owner_of(self.server.run("own_outbox", history, where, int(take_over), int(OWNER_S), again=True))

    def leave_outbox(self, term: int) -> None:
        self.server.run("leave_outbox", term, again=True)

    def outbox_owner(self) -> OutboxOwner | None:
        return read_owner(self.server)


def read_owner(server: Server) -> OutboxOwner | None:
    """The owner of the events, also of a queue that was moved: it needs no script."""
    found = server.command(b"HMGET", server.key("outbox_owner"), *OutboxOwner._fields)
    return None if found[0] is None else owner_of(found)


def owner_of(answer: Sequence[bytes]) -> OutboxOwner:
    """The owner from the fields of `outbox_owner`."""
    history, where, term, at = (each.decode() for each in answer)
    return OutboxOwner(history, where, int(term), float(at))


def row_of(answer: Sequence[Any]) -> EventRow:
    """An event from the answer of read_outbox.lua."""
    number, kind_bytes, event_json, detail, m, carries_call, body, result = answer
    kind = OLD_KINDS.get(kind_bytes) or kind_bytes.decode()
    by, at, started_at, attempt = json.loads(event_json)
    token, job = codec.token_of(by), None
    if kind not in JOBLESS:
        head, _, payload = body.partition(b"\n")
        job = codec.record_of([0, None, 0, 0, *codec.fields_of(m, head)], payload if carries_call else b"")
    return EventRow(
        int(number.partition(b"-")[0]), kind, token, at, started_at, attempt, worker_of(token),
        None if detail is None else detail.decode(), result if kind == DONE else None, job,
    )  # fmt: skip


class RedisBacklog:
    """The events of one service."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def count(self) -> int:
        return int(self._server.command(b"XLEN", self._server.key("outbox")))

    def read_after(self, after: int, untouched: int) -> Sequence[Seen]:
        head = self._server.run("untouched", untouched, again=True)
        if head is None:
            return []
        found: list[Seen] = []
        after = max(after, int(head))
        while len(found) < COMPACTED:
            some = self._server.command(b"XRANGE", self._server.key("outbox"), f"{after + 1}-0", "+", "COUNT", STEP)
            found += map(seen, some)
            if len(some) < STEP:
                break
            after = found[-1].number
        return found

    def compact(self, pairs: Sequence[Pair], untouched: int) -> int:
        numbers: Iterable[int] = (number for pair in pairs for number in pair)
        return int(self._server.run("compact", untouched, *numbers))

    def drop(self, most: int, untouched: int) -> int:
        return int(self._server.run("drop_oldest", untouched, min(most, STEP)))


def seen(entry: Sequence[Any]) -> Seen:
    """The event of an entry of the stream."""
    number, fields = entry
    e = dict(zip(fields[::2], fields[1::2], strict=True))
    _, _, started_at, attempt = json.loads(e[b"e"])
    detail = e.get(b"d", b"")
    tells_more = detail and not (detail.startswith(b'{"usage":') and detail.count(b",") == 1)
    is_plain = attempt == 1 and started_at is not None and not tells_more
    return Seen(int(number.partition(b"-")[0]), int(e[b"s"] or 0), e[b"k"].decode(), is_plain)
