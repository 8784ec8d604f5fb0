"""Writing a batch: what the history knows of its jobs, the fold, and the rows that come of it, in one transaction.

The transaction holds the look and the writing: two recorders that meet (a lease lost unseen) follow one another, and
the second finds every event known. Statements run through peewee's cursor by the thousand; the last one of them is
the commit, which is synced. If the process dies before it nothing was recorded, and the events are still there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from peewee import SqliteDatabase

from duey.model.event import COUNTED, Event
from duey.monitor.history import job_state
from duey.monitor.history.database import Database
from duey.monitor.history.job_state import JobState
from duey.monitor.history.projection import ENTRY_COLUMNS, Projection
from duey.monitor.history.schema import CALL, CHANGING, DAY_S, ENDING, FIGURE_VALUES, HOUR_S, MINUTE_S
from duey.monitor.history.tallies import GroupTally, Tally

# Our ids are ordered by time, those that clients choose need not be: a batch of these touches the whole of their index.
# Four times as much recorded 3 % more of them a second, and stayed with the process.
CACHE_KB = 8 * 1024
VARIABLES = 500  # in one statement; SQLite before 3.32 took 999
ENTRIES_KEPT = 1000  # of one job: one that is retried for ever must not fill the disk


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _update(columns: Sequence[str]) -> str:
    return f"UPDATE jobs SET {', '.join(f'{column} = ?' for column in columns)} WHERE n = ?"


GROUP = (
    "fingerprint", "type", "message", "task", "frames", "state", "count", "first_seen", "last_seen", "last_job_id",
    "fixed_at", "regressed_at",
)  # fmt: skip
READ_JOBS = f"SELECT {', '.join(job_state.READ)} FROM jobs WHERE id IN ({{}})"
READ_IDENTITIES = "SELECT job, at, kind, token FROM entries WHERE job IN ({})"
READ_COUNTS = f"SELECT at, token FROM entries WHERE job = 0 AND at BETWEEN ? AND ? AND kind = '{COUNTED}'"
INSERT_JOBS = _insert("jobs", job_state.INSERTED)
UPDATE_JOBS, UPDATE_DONE, UPDATE_CALLS = _update(CHANGING), _update(ENDING), _update(CALL)
INSERT_ENTRIES = _insert("entries", ENTRY_COLUMNS)
TRIM_ENTRIES = """DELETE FROM entries WHERE job = ? AND n <= (
    SELECT n FROM entries WHERE job = ? ORDER BY n DESC LIMIT 1 OFFSET ?)"""
READ_FIGURES = f"SELECT {', '.join(FIGURE_VALUES)} FROM figures WHERE tier_s = ? AND at = ? AND task = ?"
DELETE_FIGURES = "DELETE FROM figures WHERE tier_s = ? AND at = ? AND task = ?"
INSERT_FIGURES = _insert("figures", ("tier_s", "at", "task", *FIGURE_VALUES))
READ_GROUP = f"SELECT {', '.join(GROUP[1:])} FROM error_groups WHERE fingerprint = ?"
DELETE_GROUP = "DELETE FROM error_groups WHERE fingerprint = ?"
INSERT_GROUP = _insert("error_groups", GROUP)
ADD_HOURS = """INSERT INTO error_hours (fingerprint, at, count) VALUES (?, ?, ?)
    ON CONFLICT (fingerprint, at) DO UPDATE SET count = error_hours.count + excluded.count"""
SEE_TASKS = """INSERT INTO tasks (qualname, first_at, last_at) VALUES (?, ?, ?) ON CONFLICT (qualname) DO UPDATE SET
    first_at = MIN(tasks.first_at, excluded.first_at), last_at = MAX(tasks.last_at, excluded.last_at)"""
MARK = """INSERT INTO marks (name, value) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = {}"""
SET_MARK, ADD_MARK = MARK.format("excluded.value"), MARK.format("marks.value + excluded.value")


def record(database: Database, events: Sequence[Event], max_value_chars: int, clock: Callable[[], float]) -> Projection:
    """Record a batch; what came of it. Raises HistoryUnavailable, and then nothing was recorded."""
    with database.writing() as db:
        db.execute_sql(f"PRAGMA cache_size = -{CACHE_KB}")
        fold = Projection(read_states(db, events), next_number(db), max_value_chars)
        fold.known_counts = read_counts(db, events)
        for event in events:
            fold.apply(event)
        if not fold.applied:
            return fold
        states = fold.states.values()
        cursor = db.cursor()
        write_jobs(cursor, states)
        cursor.executemany(INSERT_ENTRIES, fold.entries)
        trim_entries(cursor, states)
        write_figures(cursor, fold.tallies)
        write_groups(cursor, fold.groups)
        cursor.executemany(SEE_TASKS, [(task, first, last) for task, (first, last) in fold.tasks.items()])
        cursor.execute(ADD_MARK, ("jobs", fold.begun))
        cursor.execute(SET_MARK, ("recorded_at", clock()))
        if fold.counted:
            cursor.execute(ADD_MARK, ("counted", fold.counted))
            cursor.execute(SET_MARK, ("counted_at", clock()))
    return fold


# how the jobs of a batch stand


def read_states(db: SqliteDatabase, events: Iterable[Event]) -> dict[str, JobState]:
    """The jobs of a batch that the history knows, by id, with what is known to have happened to them."""
    cursor = db.cursor()
    ids = list({job_state.id_of(event) for event in events if event.kind != COUNTED})
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


def read_counts(db: SqliteDatabase, events: Iterable[Event]) -> set[tuple[float, int]]:
    """(at, token) of the `counted` events that the history knows, as far as the batch needs them."""
    instants = [event.at for event in events if event.kind == COUNTED]
    return set(db.execute_sql(READ_COUNTS, (min(instants), max(instants)))) if instants else set()


def next_number(db: SqliteDatabase) -> int:
    """Larger than that of every job; the write lock is held, so nobody else takes it."""
    row = db.execute_sql("SELECT MAX(n) FROM jobs").fetchone()
    return (row[0] or 0) + 1


# what the fold has made


def write_jobs(cursor: Any, states: Iterable[JobState]) -> None:
    cursor.executemany(UPDATE_DONE, map(job_state.as_done, [s for s in states if s.is_done and not s.is_changed]))
    changed = [s for s in states if s.is_changed]
    cursor.executemany(INSERT_JOBS, map(job_state.as_inserted, [s for s in changed if s.is_new]))
    cursor.executemany(UPDATE_JOBS, map(job_state.as_changed, [s for s in changed if not s.is_new]))
    cursor.executemany(UPDATE_CALLS, map(job_state.as_call, [s for s in changed if s.call_is_new and not s.is_new]))


def trim_entries(cursor: Any, states: Iterable[JobState]) -> None:
    # Some at a time, so that the many retries of one job do not each pay for it.
    for s in states:
        if s.is_changed and s.entries > ENTRIES_KEPT + 100:
            cursor.execute(TRIM_ENTRIES, (s.n, s.n, ENTRIES_KEPT))
            cursor.execute("UPDATE jobs SET entries = ? WHERE n = ?", (ENTRIES_KEPT, s.n))


def write_figures(cursor: Any, tallies: dict[tuple[int, str], Tally]) -> None:
    tiers: dict[tuple[int, int, str], Tally] = {}
    for (minute, task), tally in tallies.items():
        tiers[MINUTE_S, minute, task] = tally
        for tier_s in (HOUR_S, DAY_S):
            tiers.setdefault((tier_s, minute // tier_s * tier_s, task), Tally()).add(tally)
    rows = []
    for key, tally in tiers.items():
        row = cursor.execute(READ_FIGURES, key).fetchone()
        if row is not None:
            tally.add_row(row)
        rows.append((*key, *tally.as_row()))
    cursor.executemany(DELETE_FIGURES, tiers)
    cursor.executemany(INSERT_FIGURES, rows)


def write_groups(cursor: Any, groups: dict[str, GroupTally]) -> None:
    """New groups are open; one that was fixed before it failed again is opened, and has regressed."""
    rows: list[tuple[Any, ...]] = []
    for fingerprint, new in groups.items():
        row = cursor.execute(READ_GROUP, (fingerprint,)).fetchone()
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
    cursor.executemany(DELETE_GROUP, [(fingerprint,) for fingerprint in groups])
    cursor.executemany(INSERT_GROUP, rows)
    hours = [(fingerprint, at, count) for fingerprint, new in groups.items() for at, count in new.hours.items()]
    cursor.executemany(ADD_HOURS, hours)


def _chunks(values: list[Any]) -> Iterable[list[Any]]:
    return (values[i : i + VARIABLES] for i in range(0, len(values), VARIABLES))


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))
