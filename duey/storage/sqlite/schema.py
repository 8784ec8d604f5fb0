"""The tables of queue.db, their version, and the migrations.

The place of a job is its state. Its row in `jobs` does not change while it waits or runs (only a retry or the death of
a worker changes counters in it). Besides, the job is in exactly one of five tables:

    ready      may run now, in the order (queue, rank = -priority, seq)
    scheduled  will run at an instant: scheduled (attempt 0) or retrying
    blocked    set aside, in its order, with the reason: paused, over a limit, or a task that no consumer knows
    claimed    held by a worker: token = worker number << 32 | counter, never used again
    finished   done, failed, canceled or expired, with the result, until gone_at

`outbox` holds what happened, for the history. An event is written in the transaction of the change itself. All instants
are UTC epoch seconds.
"""

from __future__ import annotations

import sqlite3

from duey.errors import SchemaMismatch
from duey.model.job import STATED, JobRecord

VERSION = 4

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
        chord text,                     -- id of the chord whose parts are its first argument
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
    # state of the limits of tasks: duey.storage.sqlite.policies
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


# Migrations from each version to the next.
STEPS = {
    1: ("alter table workers add column code text not null default ''",),
    2: (
        "alter table jobs add column sequel text",
        "alter table jobs add column by text",
        "alter table jobs add column tree_deaths integer not null default 0",
    ),
    3: (
        "alter table jobs add column waits_for text",
        "alter table jobs rename column deliveries to crashes",
        "alter table due rename to scheduled",
        "alter table parked rename to blocked",
        "drop index parked_by",
        "create index blocked_by on blocked (kind, name, rank, seq)",
        "alter table claims rename to claimed",
        "alter table claimed rename column gate to limit_name",
        "drop index claims_gate",
        "create index claimed_limit on claimed (limit_name) where limit_name is not null",
        "alter table gates rename to limits",
        "alter table ended rename to finished",
        "drop index ended_gone",
        "create index finished_gone on finished (gone_at)",
        "alter table events rename to outbox",
        "update outbox set kind = 'blocked' where kind = 'parked'",
        "update outbox set kind = 'unblocked' where kind = 'unparked'",
        "alter table stops rename to cancel_requests",
        "alter table keys rename to unique_locks",
        "drop index keys_seq",
        "create index unique_locks_seq on unique_locks (seq)",
        "alter table marks rename to revocations",
    ),
}


def version_of(con: sqlite3.Connection) -> int:
    """The schema version in the file, 0 for an empty one."""
    if not con.execute("select 1 from sqlite_master where type = 'table' and name = 'meta'").fetchone():
        return 0
    row = con.execute("select value from meta where key = 'schema'").fetchone()
    return int(row[0]) if row else 0


def prepare(con: sqlite3.Connection, path: str) -> None:
    """Create or migrate the tables in one transaction. Raises SchemaMismatch for a newer version or another program's
    file."""
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
            for version in range(found, VERSION):
                for statement in STEPS[version]:
                    con.execute(statement)
        con.execute("replace into meta values ('schema', ?)", (VERSION,))
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


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
