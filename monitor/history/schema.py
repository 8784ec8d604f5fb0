"""The tables of monitor.db, where each is documented, and the steps that bring an older file up to date.

`MIGRATIONS[n]` turns schema n into schema n + 1; a new file takes all of them. A step that was released is never
edited, so that every file in the world has walked the same way. Times are UTC epoch seconds, durations `_ms`.

SQLite appends the row's number to every index, so that `jobs_by_state` is in the order of (state, n).
"""

from __future__ import annotations

from collections.abc import Sequence

from peewee import Table

from duey.monitor.sqlite_file import Migration

HISTORY_SCHEMA = Table("books_schema")
JOBS = Table("jobs")
ENTRIES = Table("entries")
FIGURES = Table("figures")
TASKS = Table("tasks")
GROUPS = Table("error_groups")
LAST_SEEN = Table("visits")
WORKERS = Table("workers")
SLOTS = Table("slots")
MARKS = Table("marks")

TABLES = ("jobs", "entries", "figures", "tasks", "error_groups", "error_hours", "visits", "workers", "slots", "marks")

MINUTE_S, HOUR_S, DAY_S = TIERS = (60, 3600, 86400)  # of `figures`

MIGRATIONS: Sequence[Migration] = (
    (
        # One row a job: what was asked, how it stands as of its last recorded event, and its last attempt.
        # n orders the history. token, state, finished_at: the event that ended it. accepted: its `enqueued` was
        # recorded. entries: its rows in `entries`. ready_at: since when it waits for a worker. args, kwargs, result,
        # context, progress, names (parameters of args): JSON, redacted and cut; a result that was not stored is ''.
        # error_..., fingerprint: of its last failed attempt, also when it was retried since.
        """
        CREATE TABLE jobs (
            n INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            task TEXT NOT NULL,
            queue TEXT NOT NULL,
            state TEXT NOT NULL,
            priority REAL NOT NULL,
            enqueued_at REAL NOT NULL,
            changed_at REAL NOT NULL,
            ready_at REAL NOT NULL,
            eta REAL,
            expires_at REAL,
            started_at REAL,
            finished_at REAL,
            wait_ms REAL,
            run_ms REAL,
            attempt INTEGER NOT NULL,
            deliveries INTEGER NOT NULL,
            retries_left INTEGER NOT NULL,
            token INTEGER,
            worker INTEGER,
            accepted INTEGER NOT NULL,
            entries INTEGER NOT NULL,
            reason TEXT,
            fingerprint TEXT,
            error_type TEXT,
            error_message TEXT,
            parent TEXT,
            context TEXT,
            names TEXT,
            args TEXT,
            kwargs TEXT,
            progress TEXT,
            result TEXT
        )
        """,
        "CREATE INDEX jobs_by_state ON jobs (state)",
        "CREATE INDEX jobs_by_task ON jobs (task, state)",
        # Partial, so that the many plain jobs do not pay for them.
        "CREATE INDEX jobs_by_queue ON jobs (queue) WHERE queue <> 'default'",
        "CREATE INDEX jobs_by_error ON jobs (error_type) WHERE error_type IS NOT NULL",
        "CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint) WHERE fingerprint IS NOT NULL",
        "CREATE INDEX jobs_by_parent ON jobs (parent) WHERE parent IS NOT NULL",
        "CREATE INDEX jobs_failed ON jobs (state, finished_at) WHERE state = 'failed'",
        # Whatever else happened to a job: all but its acceptance and a plain last end, which its own row tells.
        # job 0: of no job, that is counts of what was folded before it was recorded (duey.storage.compaction).
        # number: of the attempt, 0 where none was under way. logs: JSON [[at, level, text], ...].
        """
        CREATE TABLE entries (
            n INTEGER PRIMARY KEY,
            job INTEGER NOT NULL,
            token INTEGER NOT NULL,
            kind TEXT NOT NULL,
            at REAL NOT NULL,
            number INTEGER NOT NULL,
            worker INTEGER,
            started_at REAL,
            wait_ms REAL,
            run_ms REAL,
            reason TEXT,
            fingerprint TEXT,
            error_type TEXT,
            error_message TEXT,
            traceback TEXT,
            logs TEXT
        )
        """,
        # An event's identity: a batch that comes twice is known by it.
        "CREATE UNIQUE INDEX entries_by_identity ON entries (job, at, kind, token)",
        "CREATE INDEX entries_by_fingerprint ON entries (fingerprint, at) WHERE fingerprint IS NOT NULL",
        # How a task fared in the tier_s seconds from `at` on (waits: by when the attempt started). Buckets as
        # `index:count index:count`, without zeros.
        """
        CREATE TABLE figures (
            tier_s INTEGER NOT NULL,
            at INTEGER NOT NULL,
            task TEXT NOT NULL,
            enqueued INTEGER NOT NULL,
            done INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            retried INTEGER NOT NULL,
            canceled INTEGER NOT NULL,
            expired INTEGER NOT NULL,
            rescued INTEGER NOT NULL,
            run_ms REAL NOT NULL,
            run_max_ms REAL NOT NULL,
            run_buckets TEXT NOT NULL,
            wait_ms REAL NOT NULL,
            wait_max_ms REAL NOT NULL,
            wait_buckets TEXT NOT NULL,
            PRIMARY KEY (tier_s, at, task)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX figures_by_task ON figures (task, tier_s, at)",
        "CREATE TABLE tasks (qualname TEXT PRIMARY KEY, first_at REAL NOT NULL, last_at REAL NOT NULL) WITHOUT ROWID",
        # Failed attempts of one cause (duey.monitor.history.causes). frames: JSON list. state: open, muted or fixed.
        """
        CREATE TABLE error_groups (
            fingerprint TEXT PRIMARY KEY,
            type TEXT NOT NULL,
            message TEXT NOT NULL,
            task TEXT NOT NULL,
            frames TEXT NOT NULL,
            state TEXT NOT NULL,
            count INTEGER NOT NULL,
            first_seen REAL NOT NULL,
            last_seen REAL NOT NULL,
            last_job_id TEXT NOT NULL,
            fixed_at REAL,
            regressed_at REAL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX error_groups_by_time ON error_groups (last_seen, fingerprint)",
        """
        CREATE TABLE error_hours (
            fingerprint TEXT NOT NULL,
            at INTEGER NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (fingerprint, at)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX error_hours_by_time ON error_hours (at)",
        # When an account last looked, and when its visit before this one ended.
        "CREATE TABLE visits (account TEXT PRIMARY KEY, seen_at REAL NOT NULL, previous_at REAL) WITHOUT ROWID",
        # Worker processes as they were last seen. data: JSON of all the rest.
        "CREATE TABLE workers (id TEXT PRIMARY KEY, seen_at REAL NOT NULL, data TEXT NOT NULL) WITHOUT ROWID",
        # Due times of schedules, and what became of them.
        """
        CREATE TABLE slots (
            schedule TEXT NOT NULL,
            at REAL NOT NULL,
            outcome TEXT NOT NULL,
            job_id TEXT,
            late_ms REAL,
            reason TEXT,
            PRIMARY KEY (schedule, at)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX slots_by_time ON slots (at)",
        # Numbers of the whole: jobs (rows), deleted (by retention), began_at, recorded_at; counted (jobs that are on
        # record as numbers only), counted_at (when that was recorded last).
        "CREATE TABLE marks (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID",
        "INSERT INTO marks (name, value) VALUES ('began_at', strftime('%s', 'now'))",
    ),
    (
        # keep_s: how long a job is kept once it has ended (but for a failed one), where its task says so.
        "ALTER TABLE jobs ADD COLUMN keep_s REAL",
        "CREATE INDEX jobs_by_keeping ON jobs (finished_at + keep_s) WHERE keep_s IS NOT NULL",
        "ALTER TABLE slots DROP COLUMN late_ms",  # nobody ever wrote it
    ),
    # who asked for it; without an index: most jobs have one, and would pay for it
    ("ALTER TABLE jobs ADD COLUMN by TEXT",),
    (
        "ALTER TABLE jobs RENAME COLUMN deliveries TO crashes",
        "UPDATE entries SET kind = 'blocked' WHERE kind = 'parked'",
        "UPDATE entries SET kind = 'unblocked' WHERE kind = 'unparked'",
    ),
)

# What the fold of a batch may change in a row of `jobs`, and what stands once the job was accepted.
CHANGING = (
    "state", "priority", "enqueued_at", "changed_at", "ready_at", "eta", "expires_at", "started_at", "finished_at",
    "wait_ms", "run_ms", "attempt", "crashes", "retries_left", "token", "worker", "accepted", "entries", "reason",
    "fingerprint", "error_type", "error_message", "progress", "result",
)  # fmt: skip
ENDING = (  # what a plain end changes: no index but those of the state has to be looked at
    "state", "changed_at", "started_at", "finished_at", "wait_ms", "run_ms", "attempt", "token", "worker", "reason",
    "result",
)  # fmt: skip
CALL = ("parent", "by", "context", "names", "args", "kwargs", "keep_s")
FIGURE_COUNTS = ("enqueued", "done", "failed", "retried", "canceled", "expired", "rescued")
FIGURE_VALUES = (
    *FIGURE_COUNTS, "run_ms", "run_max_ms", "run_buckets", "wait_ms", "wait_max_ms", "wait_buckets",
)  # fmt: skip
