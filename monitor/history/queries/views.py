"""Turns rows of `jobs` and `entries` into the values that the history returns, with the names of the tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import peewee

from duey.model.event import ENQUEUED, RELEASED, RESCUED, RETRYING
from duey.model.job import DONE, ENDED, FAILED, SCHEDULED, Failure, Job
from duey.model.log_lines import shown
from duey.monitor.history import plain
from duey.monitor.history.schema import TASKS
from duey.monitor.history.values import Attempt, JobRow, LogLine, Step
from duey.payload.plain import WHOLE, Bounds, plain_call, to_plain

HANDLER = "on_failed"


class Names:
    """The task names at one point in time."""

    def __init__(self, db: peewee.Database) -> None:
        self.qualnames = [row[0] for row in TASKS.select(TASKS.c.qualname).tuples().execute(db)]
        self._by_short: dict[str, list[str]] = {}
        for qualname in self.qualnames:
            self._by_short.setdefault(last_part(qualname), []).append(qualname)

    def short(self, qualname: str) -> str:
        """Return the short name if it is unique, otherwise the full one."""
        last = last_part(qualname)
        return qualname if len(self._by_short.get(last, ())) > 1 else last

    def find(self, name: str) -> list[str]:
        """Return the full names for a short or full name. An unknown name is returned as it is."""
        found = self._by_short.get(name, [])
        return sorted({*found, name} if name in self.qualnames or not found else found)


def last_part(qualname: str) -> str:
    """Return the name without its module. A failure handler keeps its task's name (`charge.on_failed`)."""
    parts = qualname.rsplit(".", 2)
    return ".".join(parts[-2:]) if parts[-1] == HANDLER else parts[-1]


Row = Mapping[str, Any]
ATTEMPTS = frozenset({RETRYING, RELEASED, RESCUED, *ENDED})


def job_row(row: Row, names: Names, bounds: Bounds = WHOLE) -> JobRow:
    return JobRow(row["n"], job(row, names, bounds), row["changed_at"], row["fingerprint"])


def job(row: Row, names: Names, bounds: Bounds = WHOLE) -> Job:
    """Return the job, with arguments and result within bounds. The error is set only if the job failed last."""
    args, kwargs, result = plain.decode(row["args"], []), plain.decode(row["kwargs"], {}), plain.decode(row["result"])
    if bounds is not WHOLE:
        (args, kwargs), result = plain_call(args, kwargs, bounds), to_plain(result, bounds)
    state, error = row["state"], None
    if state in (FAILED, RETRYING) and row["error_type"] is not None:
        error = Failure(row["error_type"], row["error_message"] or "")
    return Job(
        id=row["id"], task=names.short(row["task"]), qualname=row["task"], queue=row["queue"],
        args=args, kwargs=kwargs, state=state,
        priority=row["priority"], attempt=row["attempt"], retries_left=row["retries_left"],
        crashes=row["crashes"], enqueued_at=row["enqueued_at"], eta=row["eta"], started_at=row["started_at"],
        finished_at=row["finished_at"], wait_ms=row["wait_ms"], run_ms=row["run_ms"],
        progress=plain.decode(row["progress"]), result=result,
        result_stored=state != DONE or row["result"] != "", error=error, reason=row["reason"],
        context=plain.decode(row["context"], {}), worker=_text(row["worker"]), parent=row["parent"], by=row["by"],
        expires_at=row["expires_at"],
    )  # fmt: skip


def attempts(row: Row, entries: Sequence[Row]) -> tuple[Attempt, ...]:
    """Return the attempts, newest first. If the last end has no entry, it is taken from the job's row."""
    found = [attempt(entry) for entry in entries if entry["kind"] in ATTEMPTS and entry["number"]]
    if has_plain_end(row, entries) and row["started_at"] is not None:
        found.append(
            Attempt(
                row["attempt"], row["state"], _text(row["worker"]), row["started_at"], row["finished_at"],
                row["wait_ms"], row["run_ms"], cpu_ms=row["cpu_ms"], peak_bytes=row["peak_bytes"],
            )
        )  # fmt: skip
    return tuple(reversed(found))


def attempt(entry: Row) -> Attempt:
    lines = plain.decode(entry["logs"], [])
    return Attempt(
        number=entry["number"], outcome=entry["kind"], worker=_text(entry["worker"]),
        started_at=entry["started_at"], finished_at=entry["at"], wait_ms=entry["wait_ms"], run_ms=entry["run_ms"],
        error=failure(entry, entry["traceback"] or ""), fingerprint=entry["fingerprint"],
        logs=tuple(log_line(line) for line in lines if isinstance(line, list)),
        cpu_ms=entry["cpu_ms"], peak_bytes=entry["peak_bytes"],
    )  # fmt: skip


def log_line(line: Sequence[Any]) -> LogLine:
    """Return a stored line (duey.model.log_lines)."""
    at, level, text = (*line, None, None, None)[:3]
    text = text if type(text) is int else plain.text(text or "", 64 * 1024)
    return shown((plain.number(at), plain.text(level or ""), text))


def failure(entry: Row, traceback: str = "") -> Failure | None:
    if entry["error_type"] is None:
        return None
    return Failure(entry["error_type"], entry["error_message"] or "", traceback)


def timeline(row: Row, entries: Sequence[Row]) -> tuple[Step, ...]:
    """Return the steps, newest first, each with the time since the one before it."""
    steps: list[Step] = []
    for at, kind, worker, reason, error in sorted(_happened(row, entries), key=lambda step: step[0]):
        since_ms = round(max(0.0, at - steps[-1].at) * 1000, 3) if steps else None
        steps.append(Step(at, kind, since_ms, worker, reason, error))
    return tuple(reversed(steps))


Happened = tuple[float, str, "str | None", "str | None", "Failure | None"]


def _happened(row: Row, entries: Sequence[Row]) -> Iterator[Happened]:
    if row["accepted"]:
        yield row["enqueued_at"], ENQUEUED, None, _due(row), None
    for entry in entries:
        worker = _text(entry["worker"])
        if entry["started_at"] is not None:
            yield entry["started_at"], "started", worker, None, None
        yield entry["at"], entry["kind"], worker, entry["reason"], failure(entry)
    if has_plain_end(row, entries):
        worker = _text(row["worker"])
        if row["started_at"] is not None:
            yield row["started_at"], "started", worker, None, None
        yield row["finished_at"], row["state"], worker, None, None


def _due(row: Row) -> str | None:
    return "for later" if row["state"] == SCHEDULED else None


def has_plain_end(row: Row, entries: Sequence[Row]) -> bool:
    """Return whether the job has ended and its end has no row in `entries`."""
    if row["state"] not in ENDED:
        return False
    end = (row["finished_at"], row["state"], row["token"])
    return all((entry["at"], entry["kind"], entry["token"]) != end for entry in entries)


def _text(worker: int | None) -> str | None:
    return None if worker is None else str(worker)
