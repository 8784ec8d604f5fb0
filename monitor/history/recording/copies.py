"""Copies what the queue's storage forgets: worker processes, and slots of schedules with their outcomes.

A worker process is kept for a day after it was last seen alive. The engine keeps the newest slots of each schedule; a
slot is written again if its outcome changes. A slot that ran is also in the history as a job.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from duey.model.job import WorkerInfo
from duey.monitor.history import plain
from duey.monitor.history.database import Database
from duey.monitor.history.schema import DAY_S, WORKERS

MAX_RUNNING = 500  # jobs of one worker process
SEE = """INSERT INTO workers (id, seen_at, data) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, data = excluded.data"""
DEPLOYED = "INSERT INTO deploys (code, at) VALUES (?, ?) ON CONFLICT (code) DO NOTHING"
GONE = "DELETE FROM workers WHERE seen_at < ?"
COPIED = """INSERT INTO slots (schedule, at, outcome, job_id, reason) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (schedule, at) DO UPDATE SET outcome = excluded.outcome, job_id = excluded.job_id,
    reason = excluded.reason
    WHERE slots.outcome <> excluded.outcome OR COALESCE(slots.job_id, '') <> COALESCE(excluded.job_id, '')"""


class EngineSlot(Protocol):
    """A slot of the engine (duey.control.schedules.Slot)."""

    @property
    def at(self) -> float: ...
    @property
    def outcome(self) -> str: ...
    @property
    def job_id(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...


class Timetable(Protocol):
    """A schedule with its newest slots (duey.control.schedules.Schedule)."""

    @property
    def name(self) -> str: ...
    @property
    def slots(self) -> Sequence[EngineSlot]: ...


def note_workers(database: Database, infos: Sequence[WorkerInfo], now: float) -> None:
    """Store the current workers. One that is dead or not listed keeps the time when it was last seen alive."""
    with database.writing() as db:
        known = {row["id"]: row for row in WORKERS.select().execute(db)}
        rows = [
            (
                info.id,
                now if info.alive else known[info.id]["seen_at"] if info.id in known else info.heartbeat_at,
                json.dumps(_data(info)),
            )
            for info in infos
        ]
        for id in known.keys() - {info.id for info in infos}:
            data = json.loads(known[id]["data"])
            if data["alive"]:
                rows.append((id, known[id]["seen_at"], json.dumps({**data, "alive": False})))
        db.cursor().executemany(SEE, rows)
        db.execute_sql(GONE, (now - DAY_S,))
        db.cursor().executemany(DEPLOYED, [(each.code, each.started_at) for each in infos if each.code])


def note_slots(database: Database, schedules: Iterable[Timetable]) -> None:
    """Store the current slots of the engine."""
    rows = [
        (plain.text(each.name, 500), slot.at, slot.outcome, slot.job_id, plain.text_or_none(slot.reason))
        for each in schedules
        for slot in each.slots
    ]
    if rows:
        with database.writing() as db:
            db.cursor().executemany(COPIED, rows)


def _data(info: WorkerInfo) -> dict[str, Any]:
    running = [(run.job_id, run.task, run.started_at) for run in info.running[:MAX_RUNNING]]
    return {
            "host": info.host, "pid": info.pid, "started_at": info.started_at, "workers": info.workers,
            "worker_type": info.worker_type, "queues": info.queues, "alive": info.alive, "running": running,
            "code": info.code, "consumer": info.consumer,
    }  # fmt: skip
