"""Reads the keys of any schema version without changing anything: for checks.

Opening them as the service does creates and migrates them. So there are no scripts here, only reading commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from duey.model.job import JobRecord
from duey.model.schedule import ScheduleRow
from duey.storage.redis.connection.preflight import present_prefix
from duey.storage.values import called

STEP = 200  # jobs


def jobs(server: Any) -> Iterator[JobRecord]:
    """The jobs that have not ended, oldest first, read one by one: what they call, and where it is signed for."""
    prefix, after = present_prefix(server), "-inf"
    while found := server.command(
        b"ZRANGEBYSCORE", f"{prefix}:live", after, "+inf", "WITHSCORES", "LIMIT", 0, STEP
    ):  # fmt: skip
        for job_id in found[::2]:
            body = server.command(b"GET", f"{prefix}:body:".encode() + job_id)
            if body is None:  # it has ended, and was removed
                continue
            head, _, payload = body.partition(b"\n")
            _, task, queue, _, _, _, chord, context, *_ = json.loads(b"[" + head)
            yield called(job_id.decode(), task, queue, chord, context, payload)
        after = f"({found[-1].decode()}"


def schedules(server: Any) -> Iterator[ScheduleRow]:
    """The schedules that were made at run time."""
    prefix = present_prefix(server)
    for name in sorted(server.command(b"SMEMBERS", f"{prefix}:schedules")):
        fields = (b"source", b"spec", b"paused", b"last", b"since")
        source, spec, paused, last, since = server.command(b"HMGET", f"{prefix}:schedule:".encode() + name, *fields)
        if source == b"made":
            yield ScheduleRow(name.decode(), "made", spec.decode(), paused == b"1", float(last), float(since))


def workers(server: Any) -> Iterator[tuple[str, str]]:
    """The host of each worker process that is alive, and the fingerprint of the task modules that it runs."""
    prefix, (instant, micro) = present_prefix(server), map(int, server.command(b"TIME"))
    for n in server.command(b"ZRANGEBYSCORE", f"{prefix}:leases", instant * 1000 + micro // 1000, "+inf"):
        host, code = server.command(b"HMGET", f"{prefix}:worker:".encode() + n, b"host", b"code")
        yield (host or b"?").decode(errors="replace"), (code or b"").decode()
