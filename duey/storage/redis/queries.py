"""Reads jobs, counts and queues, without changing anything.

Each query is a script, so that a job is never seen in two places. Long lists are read in steps, the newest first,
because Redis executes one script at a time.
"""

from __future__ import annotations

import json
from typing import Any

from duey.model.job import Counts, QueueInfo
from duey.payload.plain import LISTED_BYTES
from duey.storage.contract import StoredJob
from duey.storage.redis import codec
from duey.storage.redis.client import Server

STEP = 1000  # jobs read by one script


def look(server: Server, job_id: str) -> codec.Seen | None:
    """One job, or None."""
    found = server.run("look", job_id, again=True)
    return None if found is None else codec.seen_of(found)


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
        found += [codec.seen_of(each).job for each in jobs]
        if not below:
            break
    return found


def waiting_since(m: bytes) -> float:
    """Since when a job is ready (epoch seconds), from its `m`."""
    enqueued_at, eta, *_ = json.loads(b"[" + m + b"]")
    return max(enqueued_at, eta or 0)


def counts(server: Server) -> Counts:
    """How many jobs are in which state."""
    scheduled, ready, running, retrying, parked, events, oldest = server.run("counts", again=True)
    since = waiting_since(oldest) if oldest else None
    return Counts(scheduled, ready + parked, running, retrying, parked, since, events)


def queue_infos(server: Server, now: float) -> list[QueueInfo]:
    """Every queue that has waiting jobs or is paused."""
    infos = []
    for name, ready, held, paused, *heads in server.run("queues", again=True):
        age_s = max(0.0, now - min(map(waiting_since, heads))) if heads else None
        infos.append(QueueInfo(name.decode(), ready + held, age_s, bool(paused)))
    return sorted(infos, key=lambda info: info.name)


def payloads(server: Server, place: str, limit: int | None) -> list[bytes]:
    """The payloads of the jobs in one place (ready or due), in the order in which they would run."""
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
