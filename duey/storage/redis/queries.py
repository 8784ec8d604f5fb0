"""Reads jobs, counts and queues, without changing anything.

Each query is a script, so that a job is never seen in two places. Long lists are read in steps, the newest first,
because Redis executes one script at a time.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from duey import clock, errors
from duey.model.event import BLOCKED, COUNTED, DONE, UNBLOCKED, Event
from duey.model.job import Counts, QueueInfo
from duey.payload.plain import LISTED_BYTES
from duey.storage.compaction import STEP as COMPACTED
from duey.storage.compaction import Pair, Seen
from duey.storage.redis import codec
from duey.storage.redis.client import Server
from duey.storage.redis.kv import kind_of
from duey.storage.values import EventRow, StoredJob

STEP = 1000  # jobs read by one script


def get_job(server: Server, job_id: str) -> StoredJob | None:
    """One job, or None."""
    found = server.run("get_job", job_id, again=True)
    return None if found is None else codec.stored_of(found)


def list_jobs(
    server: Server, state: str | None, task: str | None, q: str | None, limit: int, before: int | None,
    by: str | None = None,
) -> list[StoredJob]:  # fmt: skip
    """Jobs that match, newest first, with a seq below `before`."""
    found: list[StoredJob] = []
    below: Any = "+inf" if before is None else before
    lower = (q or "").encode().lower()  # ASCII only, like Lua's
    while len(found) < limit:
        below, *jobs = server.run(
            "walk",
            state or "",
            task or "",
            lower,
            limit - len(found),
            below,
            STEP,
            q or "",
            LISTED_BYTES,
            "" if by is None else codec.head_end(by),
            again=True,
        )
        found += map(codec.stored_of, jobs)
        if not below:
            break
    return found


def waiting_since(m: bytes) -> float:
    """Since when a job is ready (epoch seconds), from its `m`."""
    enqueued_at, eta, *_ = json.loads(b"[" + m + b"]")
    return max(enqueued_at, eta or 0)


def counts(server: Server) -> Counts:
    """How many jobs are in which state."""
    scheduled, ready, running, retrying, blocked, events, oldest = server.run("counts", again=True)
    since = waiting_since(oldest) if oldest else None
    return Counts(scheduled, ready, running, retrying, blocked, since, events)


def queue_infos(server: Server, now: float) -> list[QueueInfo]:
    """Every queue that has waiting jobs or is paused."""
    infos = []
    for name, ready, held, paused, *heads in server.run("queues", again=True):
        age_s = max(0.0, now - min(map(waiting_since, heads))) if heads else None
        infos.append(QueueInfo(name.decode(), ready + held, age_s, bool(paused)))
    return sorted(infos, key=lambda info: info.name)


def payloads(server: Server, place: str, limit: int | None) -> list[bytes]:
    """The payloads of the jobs in one place (ready or scheduled), in the order in which they would run."""
    if place == "ready":
        queues = server.command(b"SMEMBERS", server.key("queues"))
        names, begins = [f"ready:{queue.decode()}" for queue in queues], 16
    else:
        names, begins = ["scheduled", "retrying"], 0
    last = -1 if limit is None else limit - 1
    found: list[tuple[float, bytes]] = []
    for name in names:
        answer = server.command(b"ZRANGE", server.key(name), 0, last, "WITHSCORES")
        found += [(float(score), member) for member, score in in_pairs(answer)]
    found.sort()
    ids = [member[begins:].decode() for _, member in found[: None if limit is None else max(0, limit)]]
    bodies: list[bytes | None] = []
    for i in range(0, len(ids), STEP):
        bodies += server.command(b"MGET", *(server.key(f"body:{each}") for each in ids[i : i + STEP]))
    return [body.partition(b"\n")[2] for body in bodies if body is not None]


def in_pairs(answer: Any) -> list[Any]:
    """Names and values of an answer as a flat list, for either version of the protocol."""
    if isinstance(answer, dict):
        return list(answer.items())
    if answer and isinstance(answer[0], (list, tuple)):
        return list(answer)
    return list(zip(answer[::2], answer[1::2], strict=True))


def unknown_before(server: Server, instant: float) -> list[str]:
    """Some of the jobs that were set aside before the instant because no consumer knows their task."""
    found = server.command(b"ZRANGEBYSCORE", server.key("unknown"), "-inf", instant, "LIMIT", 0, 100)
    return [each.decode() for each in found]


BYTES_MAX = 8 * 1024 * 1024  # read at once, because a few jobs may be large
OLD_KINDS = {b"parked": BLOCKED, b"unparked": UNBLOCKED}  # as version 2 wrote them


def read_outbox(server: Server, limit: int) -> list[EventRow]:
    """The oldest events in order. Those of jobs that were removed are removed, too."""
    while True:
        removed, *found = server.run("read_outbox", limit, BYTES_MAX, again=True)
        if found or not removed:
            return [row_of(each) for each in found]


def row_of(answer: Sequence[Any]) -> EventRow:
    """An event from the answer of read_outbox.lua."""
    number, kind_bytes, event_json, detail, m, carries_call, body, result = answer
    kind = OLD_KINDS.get(kind_bytes) or kind_bytes.decode()
    by, at, started_at, attempt = json.loads(event_json)
    token, job = codec.token_of(by), None
    if kind != COUNTED:
        head, _, payload = body.partition(b"\n")
        job = codec.record_of(
            0, json.loads(b"[" + head), json.loads(b"[" + m + b"]"), payload if carries_call else b""
        )  # fmt: skip
    return EventRow(
        int(number.partition(b"-")[0]), kind, token, at, started_at, attempt, codec.worker_of(token),
        None if detail is None else detail.decode(), result if kind == DONE else None, job,
    )  # fmt: skip


def delete_events(server: Server, events: Sequence[Event | EventRow]) -> None:
    """Remove events that were recorded."""
    for i in range(0, len(events), STEP):
        server.command(b"XDEL", server.key("outbox"), *(f"{e.seq}-0" for e in events[i : i + STEP]))


def chord_results(server: Server, cid: str) -> list[bytes]:
    """The parts of a complete chord, in the order of its members."""
    found = server.command(b"HGETALL", server.key(f"chord:{cid}"))
    parts = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
    return [parts[index] for index in sorted(parts, key=int)]


def pauses(server: Server) -> set[tuple[str, str]]:
    """(kind, name) of every pause."""
    found = server.command(b"SMEMBERS", server.key("pauses"))
    pairs = (why.decode().partition(" ") for why in found)
    return {(kind, name) for kind, _, name in pairs}


LOOK_S = 5.0  # longest delay if a wake-up is lost


def wait_ended(server: Server, job_id: str, timeout_s: float) -> bool:
    """Wait until the job has ended or the key exists. False after `timeout_s`."""
    name, deadline = uuid.uuid4().hex, time.monotonic() + timeout_s
    try:
        while True:
            if server.run("wait", job_id, name, 1, kind_of(job_id), clock.now(), again=True):
                return True
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            server.wait_at(f"wait:{name}", min(left_s, LOOK_S))
    finally:
        with contextlib.suppress(errors.StorageUnavailable):
            server.run("wait", job_id, name, 0, again=True)


ENTRIES = 1000  # entries in one command


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
            some = self._server.command(b"XRANGE", self._server.key("outbox"), f"{after + 1}-0", "+", "COUNT", ENTRIES)
            found += map(seen, some)
            if len(some) < ENTRIES:
                break
            after = found[-1].number
        return found

    def compact(self, pairs: Sequence[Pair], untouched: int) -> int:
        numbers: Iterable[int] = (number for pair in pairs for number in pair)
        return int(self._server.run("compact", untouched, *numbers))


def seen(entry: Sequence[Any]) -> Seen:
    """The event of an entry of the stream."""
    number, fields = entry
    e = dict(zip(fields[::2], fields[1::2], strict=True))
    _, _, started_at, attempt = json.loads(e[b"e"])
    is_plain = attempt == 1 and started_at is not None and b"d" not in e
    return Seen(int(number.partition(b"-")[0]), int(e[b"s"] or 0), e[b"k"].decode(), is_plain)
