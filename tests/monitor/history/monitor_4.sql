BEGIN TRANSACTION;
CREATE TABLE books_schema (version INTEGER NOT NULL);
INSERT INTO "books_schema" VALUES(4);
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
        );
INSERT INTO "entries" VALUES(1,2,2,'failed',1800000005.0,1,7,1800000004.0,1000.0,1000.0,NULL,'27fce1d865d8a169','ValueError','no','Traceback (most recent call last):
  File "/srv/tasks.py", line 1, in add
    call()
ValueError: no
',NULL);
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
        ;
INSERT INTO "error_groups" VALUES('27fce1d865d8a169','ValueError','no','tasks.add','["tasks.py:add"]','fixed',1,1800000005.0,1800000005.0,'broken',1800000000.0,NULL);
CREATE TABLE error_hours (
            fingerprint TEXT NOT NULL,
            at INTEGER NOT NULL,
            count INTEGER NOT NULL,
            PRIMARY KEY (fingerprint, at)
        ) WITHOUT ROWID
        ;
INSERT INTO "error_hours" VALUES('27fce1d865d8a169',1800000000,1);
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
        ;
INSERT INTO "figures" VALUES(60,1800000000,'tasks.add',3,1,1,0,0,0,0,2000.0,1000.0,'10:2',2000.0,1000.0,'10:2');
INSERT INTO "figures" VALUES(3600,1800000000,'tasks.add',3,1,1,0,0,0,0,2000.0,1000.0,'10:2',2000.0,1000.0,'10:2');
INSERT INTO "figures" VALUES(86400,1799971200,'tasks.add',3,1,1,0,0,0,0,2000.0,1000.0,'10:2',2000.0,1000.0,'10:2');
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
            crashes INTEGER NOT NULL,
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
        , keep_s REAL, by TEXT);
INSERT INTO "jobs" VALUES(1,'ended','tasks.add','default','done',0.0,1800000000.0,1800000002.0,1800000000.0,NULL,NULL,1800000001.0,1800000002.0,1000.0,1000.0,1,0,0,1,7,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]','{}',NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(2,'broken','tasks.add','default','failed',0.0,1800000003.0,1800000005.0,1800000003.0,NULL,NULL,1800000004.0,1800000005.0,1000.0,1000.0,1,0,0,2,7,1,1,NULL,'27fce1d865d8a169','ValueError','no',NULL,NULL,NULL,'[]','{}',NULL,NULL,NULL,NULL);
INSERT INTO "jobs" VALUES(3,'waits','tasks.add','default','queued',0.0,1800000006.0,1800000006.0,1800000006.0,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL,NULL,1,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]','{}',NULL,NULL,NULL,NULL);
CREATE TABLE marks (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
INSERT INTO "marks" VALUES('began_at',1795999795.0);
INSERT INTO "marks" VALUES('jobs',3.0);
INSERT INTO "marks" VALUES('recorded_at',1800000000.0);
CREATE TABLE slots (
            schedule TEXT NOT NULL,
            at REAL NOT NULL,
            outcome TEXT NOT NULL,
            job_id TEXT,
            reason TEXT,
            PRIMARY KEY (schedule, at)
        ) WITHOUT ROWID
        ;
CREATE TABLE tasks (qualname TEXT PRIMARY KEY, first_at REAL NOT NULL, last_at REAL NOT NULL) WITHOUT ROWID;
INSERT INTO "tasks" VALUES('tasks.add',1800000000.0,1800000006.0);
CREATE TABLE visits (account TEXT PRIMARY KEY, seen_at REAL NOT NULL, previous_at REAL) WITHOUT ROWID;
INSERT INTO "visits" VALUES('ada',1800000000.0,NULL);
CREATE TABLE workers (id TEXT PRIMARY KEY, seen_at REAL NOT NULL, data TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_task ON jobs (task, state);
CREATE INDEX jobs_by_queue ON jobs (queue) WHERE queue <> 'default';
CREATE INDEX jobs_by_error ON jobs (error_type) WHERE error_type IS NOT NULL;
CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX jobs_by_parent ON jobs (parent) WHERE parent IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (state, finished_at) WHERE state = 'failed';
CREATE UNIQUE INDEX entries_by_identity ON entries (job, at, kind, token);
CREATE INDEX entries_by_fingerprint ON entries (fingerprint, at) WHERE fingerprint IS NOT NULL;
CREATE INDEX figures_by_task ON figures (task, tier_s, at);
CREATE INDEX error_groups_by_time ON error_groups (last_seen, fingerprint);
CREATE INDEX error_hours_by_time ON error_hours (at);
CREATE INDEX slots_by_time ON slots (at);
CREATE INDEX jobs_by_keeping ON jobs (finished_at + keep_s) WHERE keep_s IS NOT NULL;
COMMIT;
