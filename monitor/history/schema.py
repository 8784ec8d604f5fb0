"""The tables of monitor.db, each with its description, and the migrations of older files.

`MIGRATIONS[n]` turns schema n into schema n + 1; a new file takes all of them. A released migration is never edited,
so that all files have the same schema. Times are UTC epoch seconds. Durations end in `_ms`.

SQLite adds the row id to every index, so `jobs_by_state` is ordered by (state, n).
"""

from __future__ import annotations

from collections.abc import Sequence

from peewee import Table

from duey.monitor.database import Migration

HISTORY_SCHEMA = Table("books_schema")  # its name in every released file
JOBS = Table("jobs")
ENTRIES = Table("entries")
FIGURES = Table("figures")
TASKS = Table("tasks")
GROUPS = Table("error_groups")
LAST_SEEN = Table("visits")
WORKERS = Table("workers")
SLOTS = Table("slots")
MARKS = Table("marks")
INCIDENTS = Table("incidents")  # written by duey.alerts, like notifications
NOTIFICATIONS = Table("notifications")

TABLES = ("jobs", "entries", "figures", "tasks", "error_groups", "error_hours", "visits", "workers", "slots", "marks")
LATER_TABLES = {"incidents": 5, "notifications": 5, "readings": 7}  # the schema that brought each

MINUTE_S, HOUR_S, DAY_S = (60, 3600, 86400)  # lengths of time in `figures`

MIGRATIONS: Sequence[Migration] = (
    (
        # One row for each job: its call, its state as of the last recorded event, and its last attempt. n orders the
        # history. token, state, finished_at: the event that ended it. accepted: its `enqueued` event was recorded.
        # entries: number of its rows in `entries`. ready_at: since when it waits for a worker. args, kwargs, result,
        # context, progress, names (parameters of args): JSON, redacted and cut; '' for a result that was not stored.
        # error_..., fingerprint: of its last failed attempt, even if it was retried since.
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
        # Partial, because most jobs are in the default queue and need no entry in it.
        "CREATE INDEX jobs_by_queue ON jobs (queue) WHERE queue <> 'default'",
        "CREATE INDEX jobs_by_error ON jobs (error_type) WHERE error_type IS NOT NULL",
        "CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint) WHERE fingerprint IS NOT NULL",
        "CREATE INDEX jobs_by_parent ON jobs (parent) WHERE parent IS NOT NULL",
        "CREATE INDEX jobs_failed ON jobs (state, finished_at) WHERE state = 'failed'",
        # Events of jobs, except acceptance and a plain last end, which are in the job's row. job 0: no job, but jobs
        # that were combined before they were recorded (duey.storage.compaction), or a worker that died. number: of the
        # attempt, 0 if none was running. logs: JSON [[at, level, text], ...].
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
        # The identity of an event, by which a repeated batch is recognized.
        "CREATE UNIQUE INDEX entries_by_identity ON entries (job, at, kind, token)",
        "CREATE INDEX entries_by_fingerprint ON entries (fingerprint, at) WHERE fingerprint IS NOT NULL",
        # Figures of a task in the tier_s seconds from `at` on (waits: by the start of the attempt). Buckets are
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
        # Failed attempts with one cause (`recording.causes`). frames: JSON list. state: open, muted or fixed.
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
        # When an account last looked at a page, and when its previous visit ended.
        "CREATE TABLE visits (account TEXT PRIMARY KEY, seen_at REAL NOT NULL, previous_at REAL) WITHOUT ROWID",
        # Worker processes as they were last seen. data: JSON of the other values.
        "CREATE TABLE workers (id TEXT PRIMARY KEY, seen_at REAL NOT NULL, data TEXT NOT NULL) WITHOUT ROWID",
        # Due times of schedules and their outcomes.
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
        # Single numbers: jobs (rows), deleted (by retention), began_at, recorded_at; counted (jobs that are recorded
        # only as numbers), counted_at (when the last of them were recorded). Of alerts: alerts_at (last evaluation),
        # alerts_entry (entries up to this n were evaluated), alerts_since (what was before is not told),
        # alerts_drill (when the last weekly drill began), backup_at (last `duey backup`), readings_since, `would RULE`
        # (how often a rule would have told something in 30 days).
        "CREATE TABLE marks (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID",
        "INSERT INTO marks (name, value) VALUES ('began_at', strftime('%s', 'now'))",
    ),
    (
        # keep_s: how long an ended job is kept, if its task sets it. Failed jobs ignore it.
        "ALTER TABLE jobs ADD COLUMN keep_s REAL",
        "CREATE INDEX jobs_by_keeping ON jobs (finished_at + keep_s) WHERE keep_s IS NOT NULL",
        "ALTER TABLE slots DROP COLUMN late_ms",  # it was never written
    ),
    # who enqueued it; not indexed, because an index would slow down recording
    ("ALTER TABLE jobs ADD COLUMN by TEXT",),
    (
        "ALTER TABLE jobs RENAME COLUMN deliveries TO crashes",
        "UPDATE entries SET kind = 'blocked' WHERE kind = 'parked'",
        "UPDATE entries SET kind = 'unblocked' WHERE kind = 'unparked'",
    ),
    (
        # What is wrong, or was (duey.alerts.incidents). subject: what it is about, such as `queue default`; at most one
        # incident of a subject is open. lines: JSON list; facts: JSON list of pairs. link: path below /monitor.
        # count: how often it happened. told_at, told_count: of the last message about it. surged: told once that the
        # count grows fast. flapping: opened and closed so often that it stays open; calm_at: since when it is well.
        """
        CREATE TABLE incidents (
            n INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            rule TEXT NOT NULL,
            subject TEXT NOT NULL,
            title TEXT NOT NULL,
            lines TEXT NOT NULL,
            facts TEXT NOT NULL,
            link TEXT NOT NULL,
            opened_at REAL NOT NULL,
            closed_at REAL,
            changed_at REAL NOT NULL,
            count INTEGER NOT NULL,
            told_at REAL NOT NULL,
            told_count INTEGER NOT NULL,
            surged INTEGER NOT NULL DEFAULT 0,
            flapping INTEGER NOT NULL DEFAULT 0,
            calm_at REAL,
            acked_at REAL,
            acked_by TEXT,
            muted_until REAL
        )
        """,
        "CREATE UNIQUE INDEX incidents_open ON incidents (subject) WHERE closed_at IS NULL",
        "CREATE INDEX incidents_by_subject ON incidents (subject, opened_at)",
        # What one channel is told. incident: n of it, NULL for a digest or a test. state: waiting, sent, failed (given
        # up) or merged (into the digest with this id, NULL while that waits). due_at: of the next attempt. message:
        # JSON, '' until the digest is made.
        """
        CREATE TABLE notifications (
            n INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            incident INTEGER,
            channel TEXT NOT NULL,
            kind TEXT NOT NULL,
            state TEXT NOT NULL,
            created_at REAL NOT NULL,
            due_at REAL NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            attempted_at REAL,
            ended_at REAL,
            answer TEXT,
            digest TEXT,
            message TEXT NOT NULL
        )
        """,
        "CREATE INDEX notifications_waiting ON notifications (channel, due_at) WHERE state = 'waiting'",
        "CREATE INDEX notifications_merged ON notifications (channel) WHERE state = 'merged' AND digest IS NULL",
        "CREATE INDEX notifications_by_channel ON notifications (channel, created_at)",
        "CREATE INDEX notifications_by_incident ON notifications (incident) WHERE incident IS NOT NULL",
    ),
    (
        # When a person said that nothing more is to be done about a slot that did not run as planned.
        "ALTER TABLE slots ADD COLUMN dismissed_at REAL",
        """CREATE INDEX slots_to_look_at ON slots (outcome, schedule, reason, at)
            WHERE dismissed_at IS NULL AND outcome NOT IN ('on time', 'running', 'waiting')""",
    ),
    (
        # The worst value of the hour from `at` on of what leaves no other trace (duey.alerts.readings). subject: as of
        # incidents. worst: seconds; of a disk the free MB, as a negative number.
        """
        CREATE TABLE readings (
            subject TEXT NOT NULL,
            at INTEGER NOT NULL,
            worst REAL NOT NULL,
            PRIMARY KEY (subject, at)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX incidents_by_time ON incidents (opened_at, rule)",
    ),
    (
        "CREATE INDEX entries_of_deaths ON entries (at) WHERE kind IN ('rescued', 'died')",
        # When a code (fingerprint of the task modules) was first seen in a worker: a deploy.
        "CREATE TABLE deploys (code TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
    ),
    (
        # What an attempt used, of a job its last one: processor time, and the largest resident size of its process.
        "ALTER TABLE jobs ADD COLUMN cpu_ms REAL",
        "ALTER TABLE jobs ADD COLUMN peak_bytes INTEGER",
        "ALTER TABLE entries ADD COLUMN cpu_ms REAL",
        "ALTER TABLE entries ADD COLUMN peak_bytes INTEGER",
    ),
)
