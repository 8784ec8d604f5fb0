"""Reads jobs, counts and queues, without changing anything.

Each query is a script, so that a job is never seen in two places. Long lists are read in steps, the newest first,
because Redis executes one script at a time.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from duey import clock, errors
from duey.model.job import Counts, QueueInfo
from duey.payload.plain import LISTED_BYTES
from duey.storage import presence
from duey.storage.contract import Queries
from duey.storage.huey_adapter import kind_of
from duey.storage.redis import codec
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.resp import in_pairs
from duey.storage.redis.worker.presence import OnThisHost, running_of
from duey.storage.values import StoredJob

STEP = 1000  # jobs read by one script
LOOK_S = 5.0  # longest delay if a wake-up is lost


class RedisQueries(OnThisHost, Queries):
    """A part of RedisStorage."""

    def read_ahead(self, *reads: Callable[[], object]) -> AbstractContextManager[None]:
        with contextlib.suppress(errors.DueyError):  # which each read raises itself
            self.server.open()
        return self.server.ahead.reading(reads)

    def get_job(self, job_id: str) -> StoredJob | None:
        answer = self.server.run("get_job", job_id, again=True)
        if answer is None:
            return None
        *fields, reported = answer
        found = codec.stored_of(fields)
        if not found.token:
            return found
        return found.as_it_runs(presence.slots_of(self.folder, found.worker or 0) or running_of(reported))

    def list_jobs(
        self, state: str | None, tasks: Sequence[str] | None, q: str | None, limit: int, before: int | None,
        by: str | None = None,
    ) -> list[StoredJob]:  # fmt: skip
        found: list[StoredJob] = []
        below: Any = "+inf" if before is None else before
        lower = (q or "").encode().lower()  # ASCII only, like Lua's
        end = "" if by is None else codec.head_end(by)
        while len(found) < limit:
            words = (
                state or "",
                "\n".join(tasks or ()),
                lower,
                limit - len(found),
                below,
                STEP,
                q or "",
                LISTED_BYTES,
                end,
            )
            below, *jobs = self.server.run("walk", *words, again=True)
            found += map(codec.stored_of, jobs)
            if not below:
                break
        return found

    def counts(self) -> Counts:
        scheduled, ready, running, retrying, blocked, events, oldest = self.server.run("counts", again=True)
        since = waiting_since(oldest) if oldest else None
        return Counts(scheduled, ready, running, retrying, blocked, since, events)

    def queue_infos(self) -> list[QueueInfo]:
        infos, now = [], clock.now()
        for name, ready, held, paused, *heads in self.server.run("queues", again=True):
            age_s = max(0.0, now - min(map(waiting_since, heads))) if heads else None
            infos.append(QueueInfo(name.decode(), ready + held, age_s, bool(paused)))
        return sorted(infos, key=lambda info: info.name)

    def pauses(self) -> set[tuple[str, str]]:
        found = self.server.command(b"SMEMBERS", self.server.key("pauses"))
        pairs = (why.decode().partition(" ") for why in found)
        return {(kind, name) for kind, _, name in pairs}

    def stop_requested(self, seqs: Sequence[int]) -> set[int]:
        key = self.server.key("cancel_requests")
        return {seq for seq in seqs if self.server.command(b"SISMEMBER", key, seq)}

    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        name, deadline = uuid.uuid4().hex, time.monotonic() + timeout_s
        try:
            while True:
                if self.server.run("wait", job_id, name, 1, kind_of(job_id), clock.now(), again=True):
                    return True
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self.server.wait_at(f"wait:{name}", min(left_s, LOOK_S))
        finally:
            with contextlib.suppress(errors.StorageUnavailable):
                self.server.run("wait", job_id, name, 0, again=True)

    # for Huey

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        queues = self.server.command(b"SMEMBERS", self.server.key("queues"))
        return self._payloads([f"ready:{queue.decode()}" for queue in queues], 16, limit)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return self._payloads(["scheduled", "retrying"], 0, limit)

    def _payloads(self, names: Sequence[str], begins: int, limit: int | None) -> list[bytes]:
        """The payloads of the jobs in these places, in the order in which they would run. `begins`: where in a member
        the id begins."""
        last = -1 if limit is None else limit - 1
        found: list[tuple[float, bytes]] = []
        for name in names:
            answer = self.server.command(b"ZRANGE", self.server.key(name), 0, last, "WITHSCORES")
            found += [(float(score), member) for member, score in in_pairs(answer)]
        found.sort()
        ids = [member[begins:].decode() for _, member in found[: None if limit is None else max(0, limit)]]
        bodies: list[bytes | None] = []
        for i in range(0, len(ids), STEP):
            bodies += self.server.command(b"MGET", *(self.server.key(f"body:{each}") for each in ids[i : i + STEP]))
        return [body.partition(b"\n")[2] for body in bodies if body is not None]


def read_job(server: Server, job_id: str) -> StoredJob | None:
    """One job, or None, without whether its body has begun."""
    found = server.run("get_job", job_id, again=True)
    return None if found is None else codec.stored_of(found[:-1])


def waiting_since(m: bytes) -> float:
    """Since when a job is ready (epoch seconds), from its `m`."""
    enqueued_at, eta, *_ = json.loads(b"[" + m + b"]")
    return max(enqueued_at, eta or 0)
