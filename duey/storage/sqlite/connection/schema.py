"""The tables of queue.db, their version, and the migrations.

The place of a job is its state. Its row in `jobs` does not change while it waits or runs (only a retry or the death of
a worker changes counters in it). Besides, the job is in exactly one of five tables:

    ready      may run now, in the order (queue, rank = -priority, seq)
    scheduled  will run at an instant: scheduled (attempt 0) or retrying
    blocked    set aside, in its order, with the reason: paused, over a limit, or a task that no consumer knows
    claimed    held by a worker: token = worker number << 32 | counter, never used again
    finished   done, failed, canceled or expired, with the result, until gone_at

A new one may be in `inbox` instead, without a row in `jobs`, until the next transaction (`steps.inbox`).

`outbox` holds what happened, for the history. An event is written in the transaction of the change itself. All instants
are UTC epoch seconds.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from duey import schema_copy
from duey.errors import SchemaMismatch
from duey.model.job import STATED, JobRecord

VERSION = 5

DDL = (
    "create table meta (key text primary key, value) without rowid",
    """create table jobs (
        seq integer primary key autoincrement,
        id text not null unique,
        task text not null,             -- module.name
        queue text not null,
        priority real not null,
        enqueued_at real not null,
        eta real,                       -- when it should run; null: at once
        expires_at real,
        retries integer not null,       -- left
        retry_delay_s real not null,    -- before the next retry
        timeout_s real,
        flags integer not null,         -- duey.model.job.ONCE ...
        unique_key text,
        unique_s real,                  -- longest time that it holds the key
        parent text,                    -- id of the job that enqueued it
        chord text,                     -- id of the chord whose parts are its last argument
        context text,                   -- JSON object
        attempt integer not null default 0,     -- attempts that ended
        crashes integer not null default 0,     -- workers that died while running it
        tree_deaths integer not null default 0, -- whole consumers that died while running it
        failures integer not null default 0,    -- failed attempts; the back-off depends on them
        failed_at real,                         -- time of the first of them
        by text,                        -- who enqueued it
        waits_for text,                 -- what it waited for before its last retry: lock NAME
        payload blob not null,
        sequel text)                    -- what follows its end: duey.model.sequel; null: not known""",
    # jobs that were accepted and have no row in `jobs` yet: duey.storage.sqlite.steps.inbox
    """create table inbox (n integer primary key, id text not null, task text not null, queue text not null,
        priority real not null, enqueued_at real not null, eta real, expires_at real, retries integer not null,
        retry_delay_s real not null, timeout_s real, flags integer not null, unique_key text, unique_s real,
        parent text, chord text, context text, by text, payload blob not null, sequel text)""",
    """create table ready (queue text not null, rank real not null, seq integer not null,
        primary key (queue, rank, seq)) without rowid""",
    "create table scheduled (at real not null, seq integer not null, primary key (at, seq)) without rowid",
    """create table blocked (seq integer primary key, kind text not null, name text not null, rank real not null,
        at real not null)""",
    "create index blocked_by on blocked (kind, name, rank, seq)",
    # limit_name: the task in whose limit it takes a place
    """create table claimed (token integer primary key, seq integer not null, worker integer not null,
        at real not null, limit_name text)""",
    "create index claimed_limit on claimed (limit_name) where limit_name is not null",
    # state of the limits of tasks: duey.storage.sqlite.steps.policies
    """create table limits (name text primary key, places integer, token_s real, burst real not null,
        tokens real not null, at real not null, opens_at real) without rowid""",
    """create table finished (seq integer primary key, state text not null, attempt integer not null, started_at real,
        finished_at real not null, worker integer, gone_at real, result blob)""",
    "create index finished_gone on finished (gone_at)",
    "create index jobs_tried on jobs (seq) where attempt > 0",
    # job 0: it belongs to none (duey.model.event.JOBLESS)
    """create table outbox (seq integer primary key, job integer not null, kind text not null, token integer not null,
        at real not null, started_at real, attempt integer not null, detail text)""",
    # running jobs that were asked to stop
    "create table cancel_requests (seq integer primary key, at real not null)",
    # last progress of a running body
    "create table progress (seq integer primary key, data text not null, at real not null)",
    # checkpoints of a body
    """create table checkpoints (seq integer not null, key text not null, data blob not null, primary key (seq, key))
        without rowid""",
    # holder of a unique key. until: when it expires at the latest, null: never; fixed: it lasts until then in any case
    """create table unique_locks (key text primary key, seq integer not null, until real, fixed integer not null)
        without rowid""",
    "create index unique_locks_seq on unique_locks (seq)",
    "create table chord_parts (cid text, idx integer, value blob not null, primary key (cid, idx)) without rowid",
    """create table idempotency (token text, key text, fingerprint text not null, ids text not null, at real not null,
        primary key (token, key)) without rowid""",
    "create index idempotency_at on idempotency (at)",
    "create table pauses (kind text, name text, at real not null, primary key (kind, name)) without rowid",
    """create table workers (n integer primary key autoincrement, consumer text not null, host text not null,
        pid integer not null, started_at real not null, threads integer not null, kind text not null,
        queues text not null, tasks text not null, quiet integer not null default 0,
        stop integer not null default 0, code text not null default '')""",
    """create table schedules (name text primary key, source text not null, spec text not null,
        paused integer not null default 0, last real not null, since real not null) without rowid""",
    """create table slots (schedule text not null, at real not null, outcome text not null, job_id text, reason text,
        noted_at real not null, primary key (schedule, at)) without rowid""",
    "create index slots_waiting on slots (schedule, at) where outcome = 'waiting'",
    # Huey's key/value store: results under ids that are no job, and values of users
    "create table kv (key text primary key, value blob not null, expires_at real) without rowid",
    # revocations: 'r:<job id>' and 'rt:<task>'
    "create table revocations (key text primary key, value blob not null) without rowid",
    """create table locks (key text primary key, value blob not null, worker integer, expires_at real)
        without rowid""",
    "create table counters (key text primary key, value integer not null) without rowid",
)


# What versions before 4 called otherwise. Names changed while 4 was being made: a file may say 4 and have the old ones.
OLD_TABLES = {
    "due": "scheduled", "parked": "blocked", "claims": "claimed", "gates": "limits", "ended": "finished",
    "events": "outbox", "stops": "cancel_requests", "keys": "unique_locks", "marks": "revocations",
}  # fmt: skip
OLD_COLUMNS = (("jobs", "deliveries", "crashes"), ("claimed", "gate", "limit_name"))
OLD_INDEXES = ("parked_by", "claims_gate", "ended_gone", "keys_seq")
OLD_KINDS = {"parked": "blocked", "unparked": "unblocked"}  # of events

# Statements from each version to the next, from 4 on. New tables, columns and indexes need none: `_complete` adds them.
STEPS: dict[int, tuple[str, ...]] = {}


def version_of(con: sqlite3.Connection) -> int:
    """The schema version in the file, 0 for an empty one."""
    tables = named(con, "table")
    if "meta" not in tables:
        return 0
    row = con.execute("select value from meta where key = 'schema'").fetchone()
    version = int(row[0]) if row else 0
    return 3 if version == 4 and "due" in tables else version


def prepare(con: sqlite3.Connection, path: str) -> None:
    """Create or migrate the tables in one transaction. Raises SchemaMismatch for a newer version or another program's
    file, and NoCopy."""
    if version_of(con) == VERSION:
        return
    con.execute("begin immediate")
    try:
        found = version_of(con)  # another process may have migrated it meanwhile
        if found > VERSION:
            raise SchemaMismatch(
                f"{path} has schema version {found} and this Duey knows {VERSION}: install the newer Duey again"
            )
        if found == 0:
            foreign = con.execute("select name from sqlite_master where type = 'table' limit 1").fetchone()
            if foreign:
                raise SchemaMismatch(
                    f"{path} is another program's database (it has a table {foreign[0]!r}): name a new file in "
                    "[storage] path"
                )
            for statement in DDL:
                con.execute(statement)
        else:
            schema_copy.keep(path, found, VERSION)
            _migrate(con, found)
        con.execute("replace into meta values ('schema', ?)", (VERSION,))
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def _migrate(con: sqlite3.Connection, found: int) -> None:
    """Bring the tables of version `found` to the present form."""
    if found < 4:
        _rename(con)
    for version in range(max(found, 4), VERSION):
        for statement in STEPS.get(version, ()):
            con.execute(statement)
    _complete(con)


def _rename(con: sqlite3.Connection) -> None:
    """Give tables, columns, indexes and events the names of version 4."""
    for old, new in OLD_TABLES.items():
        if old in named(con, "table"):
            con.execute(f"alter table {old} rename to {new}")
    for table, old, new in OLD_COLUMNS:
        if old in _columns(con, table):
            con.execute(f"alter table {table} rename column {old} to {new}")
    for index in OLD_INDEXES:
        con.execute(f"drop index if exists {index}")
    for old, new in OLD_KINDS.items():
        con.execute("update outbox set kind = ? where kind = ?", (new, old))


def _complete(con: sqlite3.Connection) -> None:
    """Add the tables, columns and indexes that are missing."""
    with closing(sqlite3.connect(":memory:")) as new:
        for statement in DDL:
            new.execute(statement)
        for table in sorted(named(new, "table") & named(con, "table")):
            there = _columns(con, table)
            for name, (kind, needed, default) in _columns(new, table).items():
                if name not in there:
                    rest = f"not null default {default}" if needed else ""
                    con.execute(f"alter table {table} add column {name} {kind} {rest}")
        for kind in ("table", "index"):
            for name in sorted(named(new, kind) - named(con, kind)):
                con.execute(new.execute("select sql from sqlite_master where name = ?", (name,)).fetchone()[0])


def named(con: sqlite3.Connection, kind: str) -> set[str]:
    """The names of the tables, or of the indexes."""
    found = con.execute("select name from sqlite_master where type = ? and name not like 'sqlite_%'", (kind,))
    return {row[0] for row in found}


def _columns(con: sqlite3.Connection, table: str) -> dict[str, tuple[str, bool, str | None]]:
    """The columns of a table: type, whether it is needed, default."""
    return {row[1]: (row[2], bool(row[3]), row[4]) for row in con.execute(f"pragma table_info({table})")}


# Each field of a record is a column.
JOB = ", ".join(JobRecord._fields[:STATED])
RECORD = ", ".join(f"j.{name}" for name in JobRecord._fields)
EVENT = "insert into outbox (job, kind, token, at, started_at, attempt, detail) values (?, ?, ?, ?, ?, ?, ?)"


def manual_token(con: sqlite3.Connection) -> int:
    """A new token for something that no worker did. Negative, and never used again, because it identifies events."""
    row = con.execute(
        "insert into meta values ('hand', 1) on conflict (key) do update set value = value + 1 returning value"
    ).fetchall()[0]
    return -int(row[0])
