"""What was last seen: worker processes, the codes that they ran, and the visits of accounts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from duey.monitor.history import plain
from duey.monitor.history.errors import HistoryUnavailable
from duey.monitor.history.queries import Queries
from duey.monitor.history.schema import DAY_S, LAST_SEEN, WORKERS
from duey.monitor.history.values import SeenWorker

V, W = LAST_SEEN.c, WORKERS.c
MAX_WORKERS = 500
PAUSE_S = 30 * 60.0  # after such a pause a new visit begins
DEPLOYS = """SELECT at, code FROM deploys WHERE at >= ? AND at > (SELECT MIN(at) FROM deploys)
    ORDER BY at DESC LIMIT 50"""
DEATHS = """SELECT CAST(worker AS TEXT), COALESCE(reason, 'it died') FROM entries
    WHERE kind IN ('rescued', 'died') AND at > ? ORDER BY at"""
NOTED_EVERY_S = 30.0  # not each page is written


class Seen(Queries):
    """Reads what the recorder copied, and notes visits."""

    def seen_workers(self) -> tuple[SeenWorker, ...]:
        """Return the worker processes of the last day as they were last seen, newest first, live ones included."""
        query = WORKERS.select().where(W.seen_at >= self._clock() - DAY_S).order_by(W.seen_at.desc(), W.id.desc())
        with self._database.reading() as db:
            deaths = dict(db.execute_sql(DEATHS, (self._clock() - DAY_S,)).fetchall())
            return tuple(_shown(row, deaths) for row in query.limit(MAX_WORKERS).execute(db))

    def deploys(self, since: float) -> tuple[tuple[float, str], ...]:
        """Return when which code was first seen in a worker, oldest first, at most 50. The first of all is none."""
        with self._database.reading() as db:
            rows = db.execute_sql(DEPLOYS, (since,)).fetchall()
        return tuple((at, code) for at, code in reversed(rows))

    def code_at(self, at: float) -> str:
        """Return the newest code that was seen in a worker up to then, '' if none is known."""
        with self._database.reading() as db:
            row = db.execute_sql("SELECT code FROM deploys WHERE at <= ? ORDER BY at DESC LIMIT 1", (at,)).fetchone()
        return str(row[0]) if row else ""

    def note_visit(self, account: str, looks: bool = True) -> float | None:
        """Return when the account's previous visit ended, or None for the first visit. A visit ends half an hour after
        its last page. `looks` False: a page that is open refreshed itself, which is no visit.

        Never raises or waits: if the file is locked, nothing is written.
        """
        now, account = self._clock(), plain.text(account, 500)
        try:
            with self._database.reading() as db:
                row = LAST_SEEN.select(V.seen_at, V.previous_at).where(V.account == account).tuples().first(db)
        except HistoryUnavailable:
            return None
        if row is None:
            if looks:
                self._database.write_if_free(LAST_SEEN.insert(account=account, seen_at=now).on_conflict_ignore())
            return None
        seen_at, previous_at = row
        if now - seen_at > PAUSE_S:
            previous_at = seen_at
        if looks and now - seen_at > NOTED_EVERY_S:
            change = LAST_SEEN.update(seen_at=now, previous_at=previous_at)
            self._database.write_if_free(change.where((V.account == account) & (V.seen_at == seen_at)))
        return previous_at if previous_at is None else float(previous_at)

    def mark_seen(self, account: str) -> None:
        """Count all until now as seen by the account. Raises HistoryUnavailable."""
        now = self._clock()
        new = LAST_SEEN.insert(account=plain.text(account, 500), seen_at=now, previous_at=now)
        with self._database.writing() as db:
            new.on_conflict(conflict_target=[V.account], update={V.seen_at: now, V.previous_at: now}).execute(db)


def _shown(row: dict[str, Any], deaths: Mapping[str, str]) -> SeenWorker:
    data = json.loads(row["data"])
    running = tuple((job_id, task, started_at) for job_id, task, started_at in data["running"])
    return SeenWorker(
        id=row["id"], host=data["host"], pid=data["pid"], started_at=data["started_at"], seen_at=row["seen_at"],
        workers=data["workers"], worker_type=data["worker_type"], queues=tuple(data["queues"]), alive=data["alive"],
        running=running, consumer=data.get("consumer", ""), death=deaths.get(row["id"]),
    )  # fmt: skip
