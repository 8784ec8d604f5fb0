"""Writes a batch in one transaction: reads the state of its jobs, applies the events, and writes the rows.

Because the transaction covers reading and writing, two recorders (if a lease was lost unnoticed) write one after the
other, and the second finds every event known. Statements run in thousands through peewee's cursor. The commit is
synced. If the process dies before it, nothing was recorded and the events are still in the queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import peewee

from duey.model.event import JOBLESS, Event
from duey.monitor.history.columns import CALL, CHANGING, ENDING, FIGURE_VALUES
from duey.monitor.history.database import Database
from duey.monitor.history.dialect import VARIABLES, begin_batch, insert
from duey.monitor.history.recording import entries, job_state
from duey.monitor.history.recording.causes import GroupTally
from duey.monitor.history.recording.job_state import JobState
from duey.monitor.history.recording.projection import Projection
from duey.monitor.history.schema import DAY_S, HOUR_S, MINUTE_S
from duey.monitor.history.tallies import Tally

ENTRIES_KEPT = 1000  # of one job, so that a job that is retried endlessly does not fill the disk


def _update(columns: Sequence[str]) -> str:
    return f"UPDATE jobs SET {', '.join(f'{column} = ?' for column in columns)} WHERE n = ?"


GROUP = (
    "fingerprint", "type", "message", "task", "frames", "state", "count", "first_seen", "last_seen", "last_job_id",
    "fixed_at", "regressed_at",
)  # fmt: skip
READ_JOBS = f"SELECT {', '.join(job_state.READ)} FROM jobs WHERE id IN ({{}})"
READ_IDENTITIES = "SELECT job, at, kind, token FROM entries WHERE job IN ({})"
READ_JOBLESS = "SELECT at, kind, token FROM entries WHERE job = 0 AND at BETWEEN ? AND ?"
UPDATE_JOBS, UPDATE_DONE, UPDATE_CALLS = _update(CHANGING), _update(ENDING), _update(CALL)
TRIM_ENTRIES = """DELETE FROM entries WHERE job = ? AND n <= (
    SELECT n FROM entries WHERE job = ? ORDER BY n DESC LIMIT 1 OFFSET ?)"""
FIGURE = ("tier_s", "at", "task", *FIGURE_VALUES)
READ_FIGURES = f"""SELECT {", ".join(FIGURE)} FROM (VALUES {{}}) AS wanted
    JOIN figures ON tier_s = column1 AND at = column2 AND task = column3"""
DELETE_FIGURES = "DELETE FROM figures WHERE tier_s = ? AND at = ? AND task = ?"
READ_GROUPS = f"SELECT {', '.join(GROUP)} FROM error_groups WHERE fingerprint IN ({{}})"
DELETE_GROUP = "DELETE FROM error_groups WHERE fingerprint = ?"
ADD_HOURS = """INSERT INTO error_hours (fingerprint, at, count) VALUES (?, ?, ?)
    ON CONFLICT (fingerprint, at) DO UPDATE SET count = error_hours.count + excluded.count"""
SEE_TASKS = """INSERT INTO tasks (qualname, first_at, last_at) VALUES (?, ?, ?) ON CONFLICT (qualname) DO UPDATE SET
    first_at = CASE WHEN excluded.first_at < tasks.first_at THEN excluded.first_at ELSE tasks.first_at END,
    last_at = CASE WHEN excluded.last_at > tasks.last_at THEN excluded.last_at ELSE tasks.last_at END"""
MARK = """INSERT INTO marks (name, value) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = {}"""
SET_MARK, ADD_MARK = MARK.format("excluded.value"), MARK.format("marks.value + excluded.value")


def record(database: Database, events: Sequence[Event], max_value_chars: int, clock: Callable[[], float]) -> Projection:
    """Record a batch; return its projection. Raises HistoryUnavailable; nothing was recorded then."""
    with database.writing() as db:
        begin_batch(db)
        fold = Projection(read_states(db, events), next_number(db), max_value_chars)
        fold.jobless = read_jobless(db, events)
        for event in events:
            fold.apply(event)
        if not fold.applied:
            return fold
        states = fold.states.values()
        cursor = db.cursor()
        write_jobs(db, states)
        insert(db, "entries", entries.COLUMNS, fold.entries)
        trim_entries(cursor, states)
        write_figures(db, fold.tallies)
        write_groups(db, fold.groups)
        cursor.executemany(SEE_TASKS, [(task, first, last) for task, (first, last) in fold.tasks.items()])
        cursor.execute(ADD_MARK, ("jobs", fold.begun))
        cursor.execute(SET_MARK, ("recorded_at", clock()))
        if fold.counted:
            cursor.execute(ADD_MARK, ("counted", fold.counted))
            cursor.execute(SET_MARK, ("counted_at", clock()))
    return fold


# stored state of the jobs in a batch


def read_states(db: peewee.Database, events: Iterable[Event]) -> dict[str, JobState]:
    """Return the stored jobs of a batch by id, with the identities of their entries."""
    cursor = db.cursor()
    ids = list({job_state.id_of(event) for event in events if event.kind not in JOBLESS})
    states: dict[str, JobState] = {}
    for some in _chunks(ids):
        for row in cursor.execute(READ_JOBS.format(_marks(some)), some):
            state = job_state.read(row)
            states[state.id] = state
    by_n = {state.n: state for state in states.values() if state.entries}
    for numbers in _chunks(list(by_n)):
        for n, at, kind, token in cursor.execute(READ_IDENTITIES.format(_marks(numbers)), numbers):
            by_n[n].known.add((at, kind, token))
    return states


def read_jobless(db: peewee.Database, events: Iterable[Event]) -> set[tuple[float, str, int]]:
    """Return (at, kind, token) of the stored events without a job, for the times in the batch."""
    instants = [event.at for event in events if event.kind in JOBLESS]
    return set(db.execute_sql(READ_JOBLESS, (min(instants), max(instants)))) if instants else set()


def next_number(db: peewee.Database) -> int:
    """Return a number larger than that of every job. The caller holds the write lock."""
    row = db.execute_sql("SELECT MAX(n) FROM jobs").fetchone()
    return (row[0] or 0) + 1


# results of the projection


def write_jobs(db: peewee.Database, states: Iterable[JobState]) -> None:
    cursor = db.cursor()
    cursor.executemany(UPDATE_DONE, map(job_state.as_done, [s for s in states if s.is_done and not s.is_changed]))
    changed = [s for s in states if s.is_changed]
    insert(db, "jobs", job_state.INSERTED, map(job_state.as_inserted, [s for s in changed if s.is_new]))
    cursor.executemany(UPDATE_JOBS, map(job_state.as_changed, [s for s in changed if not s.is_new]))
    cursor.executemany(UPDATE_CALLS, map(job_state.as_call, [s for s in changed if s.call_is_new and not s.is_new]))


def trim_entries(cursor: Any, states: Iterable[JobState]) -> None:
    # Only after 100 more, so that not every retry of a job deletes a row.
    for s in states:
        if s.is_changed and s.entries > ENTRIES_KEPT + 100:
            cursor.execute(TRIM_ENTRIES, (s.n, s.n, ENTRIES_KEPT))
            cursor.execute("UPDATE jobs SET entries = ? WHERE n = ?", (ENTRIES_KEPT, s.n))


def write_figures(db: peewee.Database, tallies: dict[tuple[int, str], Tally]) -> None:
    tiers: dict[tuple[int, int, str], Tally] = {}
    for (minute, task), tally in tallies.items():
        tiers[MINUTE_S, minute, task] = tally
        for tier_s in (HOUR_S, DAY_S):
            tiers.setdefault((tier_s, minute // tier_s * tier_s, task), Tally()).add(tally)
    cursor = db.cursor()
    known = []
    for some in _chunks(list(tiers), VARIABLES // 3):
        sql = READ_FIGURES.format(",".join(["(?, ?, ?)"] * len(some)))
        for tier_s, at, task, *row in cursor.execute(sql, list(chain.from_iterable(some))):
            tiers[tier_s, at, task].add_row(row)
            known.append((tier_s, at, task))
    cursor.executemany(DELETE_FIGURES, known)
    insert(db, "figures", FIGURE, ((*key, *tally.as_row()) for key, tally in tiers.items()))


def write_groups(db: peewee.Database, groups: dict[str, GroupTally]) -> None:
    """Write the error groups. New ones are open. A fixed one that failed again is opened and marked as regressed."""
    cursor = db.cursor()
    known: dict[str, tuple[Any, ...]] = {}
    for some in _chunks(list(groups)):
        known.update((row[0], row[1:]) for row in cursor.execute(READ_GROUPS.format(_marks(some)), some))
    rows: list[tuple[Any, ...]] = []
    for fingerprint, new in groups.items():
        row = known.get(fingerprint)
        if row is None:
            rows.append(
                (
                    fingerprint, new.type, new.message, new.task, json.dumps(new.frames), "open", new.count,
                    new.first_seen, new.last_seen, new.last_job_id, None, None,
                )
            )  # fmt: skip
            continue
        kind, message, task, frames, state, count, first, last, last_job_id, fixed_at, regressed_at = row
        if new.last_seen >= last:
            last, message, last_job_id = new.last_seen, new.message, new.last_job_id
        if state == "fixed" and new.last_seen > fixed_at:
            state, fixed_at, regressed_at = "open", None, new.last_seen
        rows.append(
            (
                fingerprint, kind, message, task, frames, state, count + new.count, min(first, new.first_seen), last,
                last_job_id, fixed_at, regressed_at,
            )
        )  # fmt: skip
    cursor.executemany(DELETE_GROUP, [(fingerprint,) for fingerprint in known])
    insert(db, "error_groups", GROUP, rows)
    hours = [(fingerprint, at, count) for fingerprint, new in groups.items() for at, count in new.hours.items()]
    cursor.executemany(ADD_HOURS, hours)


def _chunks(values: list[Any], size: int = VARIABLES) -> Iterable[list[Any]]:
    return (values[i : i + size] for i in range(0, len(values), size))


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))
