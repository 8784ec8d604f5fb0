"""Gives what is recorded under a task's former name (`aliases=`) its present name, so that pages, figures and searches
show it as one task.

In steps so small that no writer waits noticeably. The former name stays in `tasks` until nothing else has it, so that
the next step, or another process, goes on where one ended. A process with older code may record it again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import peewee

from duey.monitor.history.columns import FIGURE_VALUES
from duey.monitor.history.database import Database
from duey.monitor.history.recording.writing import SEE_TASKS
from duey.monitor.history.tallies import Tally

CHUNK = 500  # rows in one transaction
VALUES = ", ".join(FIGURE_VALUES)
KNOWN = "SELECT 1 FROM tasks WHERE qualname = ?"
JOBS = "UPDATE jobs SET task = ? WHERE n IN (SELECT n FROM jobs WHERE task = ? LIMIT ?)"
FIGURES = f"SELECT tier_s, at, {VALUES} FROM figures WHERE task = ? LIMIT ?"
FIGURE = f"SELECT {VALUES} FROM figures WHERE tier_s = ? AND at = ? AND task = ?"
REMOVE = "DELETE FROM figures WHERE tier_s = ? AND at = ? AND task = ?"
WRITE = f"INSERT INTO figures (tier_s, at, task, {VALUES}) VALUES (?, ?, ?{', ?' * len(FIGURE_VALUES)})"
SEEN = "SELECT first_at, last_at FROM tasks WHERE qualname = ?"
REST = (  # the present name, the former one
    "UPDATE error_groups SET task = ? WHERE task = ?",
    "DELETE FROM slots WHERE schedule = ? AND at IN (SELECT at FROM slots WHERE schedule = ?)",
    "UPDATE slots SET schedule = ? WHERE schedule = ?",
)


def rename_tasks(database: Database, renamed: Mapping[str, str], give_up_at: float) -> bool:
    """Do what can be done until `give_up_at` (monotonic); return whether nothing is left. `renamed`: the present name
    for each former one."""
    for former, present in renamed.items():
        while _step(database, former, present):
            if time.monotonic() >= give_up_at:
                return False
    return True


def _step(database: Database, former: str, present: str) -> bool:
    """Rename some rows in one transaction. Returns whether there may be more."""
    with database.reading() as db:
        if db.execute_sql(KNOWN, (former,)).fetchone() is None:
            return False
    with database.writing() as db:
        if db.execute_sql(JOBS, (present, former, CHUNK)).rowcount:
            return True
        if _merge_figures(db, former, present):
            return True
        for statement in REST:
            db.execute_sql(statement, (present, former))
        seen = db.execute_sql(SEEN, (former,)).fetchone()
        if seen is not None:  # another process may have renamed it meanwhile
            db.execute_sql(SEE_TASKS, (present, *seen))
        db.execute_sql("DELETE FROM tasks WHERE qualname = ?", (former,))
    return False


def _merge_figures(db: peewee.Database, former: str, present: str) -> bool:
    """Add figures of the former name to those of the present one. Returns whether there were any."""
    found = db.execute_sql(FIGURES, (former, CHUNK)).fetchall()
    for tier_s, at, *row in found:
        tally = Tally()
        tally.add_row(row)
        if there := db.execute_sql(FIGURE, (tier_s, at, present)).fetchone():
            tally.add_row(there)
        for task in (former, present):
            db.execute_sql(REMOVE, (tier_s, at, task))
        db.execute_sql(WRITE, (tier_s, at, present, *tally.as_row()))
    return bool(found)
