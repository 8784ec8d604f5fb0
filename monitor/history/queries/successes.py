"""What differs between a job and the last one of its task that was done before it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import peewee

from duey.monitor.history import plain
from duey.monitor.history.queries import Queries
from duey.monitor.history.schema import JOBS, WORKERS
from duey.monitor.history.values import Difference, LastSuccess

J, W = JOBS.c, WORKERS.c
MAX_DIFFERENCES = 12
MAX_CHARS = 120
MUCH = 3.0  # durations differ if one is so many times the other,
MUCH_MS = 100.0  # and the longer one is longer than this
MISSING = object()


class Successes(Queries):
    """Compares jobs."""

    def since_last_success(self, job_id: str) -> LastSuccess | None:
        """Return the last job of the same task that was accepted before and is done, and what differs. None if the job
        is not in the history, or if there is no such job."""
        with self._database.reading() as db:
            row = JOBS.select().where(J.id == plain.text(job_id)).first(db)
            if row is None:
                return None
            earlier = (J.task == row["task"]) & (J.state == "done") & (J.n < row["n"])
            good = JOBS.select().where(earlier).order_by(J.n.desc()).limit(1).first(db)
            if good is None:
                return None
            found = tuple(_differences(row, good, _worker(db, row), _worker(db, good)))
        return LastSuccess(good["id"], good["finished_at"], found[:MAX_DIFFERENCES])


def _differences(
    row: Mapping[str, Any], good: Mapping[str, Any], worker: Mapping[str, Any], before: Mapping[str, Any]
) -> Iterator[Difference]:
    for label, name in (("code", "code"), ("host", "host")):
        if worker.get(name) and before.get(name) and worker[name] != before[name]:
            yield Difference(label, str(worker[name]), str(before[name]))
    now, then = _arguments(row), _arguments(good)
    for name in [*now, *(name for name in then if name not in now)]:
        value, earlier = now.get(name, MISSING), then.get(name, MISSING)
        if value != earlier:
            yield Difference(f"argument {name}", _shown(value), _shown(earlier))
    for label, name in (("ran for", "run_ms"), ("waited for", "wait_ms")):
        ms, earlier_ms = row[name], good[name]
        if ms is not None and earlier_ms is not None:
            low, high = sorted((ms, earlier_ms))
            if high > MUCH_MS and high > MUCH * low:
                yield Difference(label, _span(ms), _span(earlier_ms))


def _arguments(row: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name; by position where the name is not known."""
    names, args = plain.decode(row["names"], []), plain.decode(row["args"], [])
    named = {str(names[i]) if i < len(names) else str(i): value for i, value in enumerate(args)}
    return {**named, **plain.decode(row["kwargs"], {})}


def _worker(db: peewee.Database, row: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the worker process that ran a job, for a day after its end."""
    data = None if row["worker"] is None else WORKERS.select(W.data).where(W.id == str(row["worker"])).scalar(db)
    return {} if data is None else dict(json.loads(data))


def _shown(value: Any) -> str:
    if value is MISSING:
        return "none"
    text = plain.encode(value, 4096)
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1]}…"


def _span(ms: float) -> str:
    return f"{ms / 1000:.3g} s" if ms >= 1000 else f"{ms:.0f} ms"
