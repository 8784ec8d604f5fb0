"""When worker processes and accounts were last seen.

A dead worker is shown for a day with the jobs it was running. A page can show what is new since an account's last
visit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from duey.model.job import WorkerInfo
from duey.monitor.history import plain
from duey.monitor.history.database import Database
from duey.monitor.history.errors import HistoryUnavailable
from duey.monitor.history.schema import DAY_S, LAST_SEEN, WORKERS
from duey.monitor.history.values import SeenWorker

W = WORKERS.c
MAX_SHOWN = 500

SEE = """INSERT INTO workers (id, seen_at, data) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, data = excluded.data"""
GONE = "DELETE FROM workers WHERE seen_at < ?"


class Workers:
    """Stores and reads worker processes. Every method may raise HistoryUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def note(self, infos: Sequence[WorkerInfo]) -> None:
        """Store the current workers. One that is dead or not listed keeps the time when it was last seen alive."""
        now = self._clock()
        with self._database.writing() as db:
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

    def seen(self) -> tuple[SeenWorker, ...]:
        """Return the worker processes of the last day, newest first."""
        query = WORKERS.select().where(W.seen_at >= self._clock() - DAY_S).order_by(W.seen_at.desc(), W.id.desc())
        with self._database.reading() as db:
            return tuple(_shown(row) for row in query.limit(MAX_SHOWN).execute(db))


def _data(info: WorkerInfo) -> dict[str, Any]:
    running = [(run.job_id, run.task, run.started_at) for run in info.running[:MAX_SHOWN]]
    return {
            "host": info.host, "pid": info.pid, "started_at": info.started_at, "workers": info.workers,
            "worker_type": info.worker_type, "queues": info.queues, "alive": info.alive, "running": running,
    }  # fmt: skip


def _shown(row: dict[str, Any]) -> SeenWorker:
    data = json.loads(row["data"])
    running = tuple((job_id, task, started_at) for job_id, task, started_at in data["running"])
    return SeenWorker(
        id=row["id"], host=data["host"], pid=data["pid"], started_at=data["started_at"], seen_at=row["seen_at"],
        workers=data["workers"], worker_type=data["worker_type"], queues=tuple(data["queues"]), alive=data["alive"],
        running=running,
    )  # fmt: skip


V = LAST_SEEN.c
PAUSE_S = 30 * 60.0  # after such a pause a new visit begins
NOTED_EVERY_S = 30.0  # pages poll, so not every look is written


class LastSeen:
    """Notes visits. Never raises."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def note_visit(self, account: str) -> float | None:
        """Note a look; return when the previous visit ended, or None for the first visit."""
        now, account = self._clock(), plain.text(account, 500)
        try:
            with self._database.reading() as db:
                row = LAST_SEEN.select(V.seen_at, V.previous_at).where(V.account == account).tuples().first(db)
        except HistoryUnavailable:
            return None
        if row is None:
            self._database.write_if_free(LAST_SEEN.insert(account=account, seen_at=now).on_conflict_ignore())
            return None
        seen_at, previous_at = row
        if now - seen_at > PAUSE_S:
            previous_at = seen_at
        if now - seen_at > NOTED_EVERY_S:
            change = LAST_SEEN.update(seen_at=now, previous_at=previous_at)
            self._database.write_if_free(change.where((V.account == account) & (V.seen_at == seen_at)))
        return previous_at if previous_at is None else float(previous_at)
