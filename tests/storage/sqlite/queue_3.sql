-- A queue.db of schema version 3, as its own version wrote it and `iterdump` of sqlite3 told it: five jobs of a module shop, of which one is done,
-- one waits for a lock, one is to be retried, one is ready and one scheduled.
BEGIN TRANSACTION;
CREATE TABLE checkpoints (seq integer not null, key text not null, data blob not null, primary key (seq, key))
        without rowid;
CREATE TABLE chord_parts (cid text, idx integer, value blob not null, primary key (cid, idx)) without rowid;
CREATE TABLE claims (token integer primary key, seq integer not null, worker integer not null,
        at real not null, gate text);
CREATE TABLE counters (key text primary key, value integer not null) without rowid;
CREATE TABLE due (at real not null, seq integer not null, primary key (at, seq)) without rowid;
INSERT INTO "due" VALUES(1.79595438491226291662e+09,2);
INSERT INTO "due" VALUES(1.79595444485443401332e+09,3);
INSERT INTO "due" VALUES(1795957984.85973,5);
CREATE TABLE ended (seq integer primary key, state text not null, attempt integer not null, started_at real,
        finished_at real not null, worker integer, gone_at real, result blob);
INSERT INTO "ended" VALUES(1,'done',1,1.79595438481587076182e+09,1.79595438481598830221e+09,1,1.79604078481598830228e+09,X'33');
CREATE TABLE events (seq integer primary key, job integer not null, kind text not null, token integer not null,
        at real not null, started_at real, attempt integer not null, detail text);
INSERT INTO "events" VALUES(1,1,'enqueued',0,1.79595438456735515594e+09,NULL,0,NULL);
INSERT INTO "events" VALUES(2,1,'done',4294967296,1.79595438481598830221e+09,1.79595438481587076182e+09,1,NULL);
INSERT INTO "events" VALUES(3,2,'enqueued',0,1.7959543848217525482e+09,NULL,0,NULL);
INSERT INTO "events" VALUES(4,2,'retrying',4294967297,1.79595438484258484836e+09,NULL,0,'{"type": "Retry", "message": "unable to acquire lock db", "traceback": "Traceback (most recent call last):\n  File \"huey.py\", line 222, in run_body\n    value = timed(self.timeouts, said, functools.partial(body, task))\n            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"thread_timeouts.py\", line 194, in timed\n    return body()\n           ^^^^^^\n  File \"os_process.py\", line 214, in call\n    value = function(*args, **kwargs)\n            ^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"api.py\", line 976, in execute\n    return func(*args, **kwargs)\n           ^^^^^^^^^^^^^^^^^^^^^\n  File \"api.py\", line 1082, in inner\n    with self:\n  File \"current.py\", line 258, in __enter__\n    self.acquire()\n  File \"api.py\", line 1095, in acquire\n    raise TaskLockedException(''unable to acquire lock %s'' % self._name)\nhuey.exceptions.TaskLockedException: unable to acquire lock db\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  File \"decorator.py\", line 48, in execute\n    return huey.run_body(task, body)\n           ^^^^^^^^^^^^^^^^^^^^^^^^^\n  File \"huey.py\", line 231, in run_body\n    raise wait from exc\nduey.tasks.current.Retry: unable to acquire lock db\n", "eta": 1795954384.912263, "retries": 0}');
INSERT INTO "events" VALUES(5,3,'enqueued',0,1.79595438484552884098e+09,NULL,0,NULL);
INSERT INTO "events" VALUES(6,3,'retrying',4294967298,1.79595438485450553892e+09,1.79595438484849500657e+09,1,'{"type": "ValueError", "message": "x", "traceback": "Traceback (most recent call last):\n  File \"shop.py\", line 8, in fails\n    def fails(): raise ValueError(''x'')\n                 ^^^^^^^^^^^^^^^^^^^^^\nValueError: x\n", "eta": 1795954444.854434, "retries": 2}');
INSERT INTO "events" VALUES(7,4,'enqueued',0,1.79595438485756897931e+09,NULL,0,NULL);
INSERT INTO "events" VALUES(8,5,'enqueued',0,1.79595438485979056351e+09,NULL,0,NULL);
CREATE TABLE gates (name text primary key, places integer, token_s real, burst real not null,
        tokens real not null, at real not null, opens_at real) without rowid;
CREATE TABLE idempotency (token text, key text, fingerprint text not null, ids text not null, at real not null,
        primary key (token, key)) without rowid;
CREATE TABLE jobs (
        seq integer primary key autoincrement,
        id text not null unique,
        task text not null,             -- module.name
        queue text not null,
        priority real not null,
        enqueued_at real not null,
        eta real,                       -- when it was last asked to run; null: at once
        expires_at real,
        retries integer not null,       -- left
        retry_delay_s real not null,    -- before the next retry
        timeout_s real,
        flags integer not null,         -- duey.model.job.ONCE ...
        unique_key text,
        unique_s real,                  -- how long it holds the key at most
        parent text,                    -- id of the job that deferred it
        chord text,                     -- cid whose parts are its first argument
        context text,                   -- JSON object
        attempt integer not null default 0,     -- attempts that ended
        deliveries integer not null default 0,  -- workers that died while running it
        tree_deaths integer not null default 0, -- whole consumers that did
        failures integer not null default 0,    -- failed attempts, from which the back-off counts
        failed_at real,                         -- the first of them
        by text,                        -- who asked for it
        payload blob not null,
        sequel text);
INSERT INTO "jobs" VALUES(1,'01a22739-1eb7-74dc-8d93-e5c0bb6b4657','shop.add','default',0.0,1.79595438456735515594e+09,NULL,NULL,0,0.0,NULL,0,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,X'7B2221223A226D222C2276223A5B2230316132323733392D316562372D373464632D386439332D653563306262366234363537222C2273686F702E616464222C6E756C6C2C302C302E302C6E756C6C2C5B312C325D2C7B7D2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C305D7D','');
INSERT INTO "jobs" VALUES(2,'01a22739-1fb5-7b41-87be-e3d6366a3afe','shop.locked','default',0.0,1.7959543848217525482e+09,1.79595438491226291662e+09,NULL,0,0.0,NULL,0,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,X'7B2221223A226D222C2276223A5B2230316132323733392D316662352D376234312D383762652D653364363336366133616665222C2273686F702E6C6F636B6564222C6E756C6C2C302C302E302C6E756C6C2C5B5D2C7B7D2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C305D7D','');
INSERT INTO "jobs" VALUES(3,'01a22739-1fcd-7788-8780-1516ece1812d','shop.fails','default',0.0,1.79595438484552884098e+09,1.79595444485443401332e+09,NULL,2,60.0,NULL,0,NULL,NULL,NULL,NULL,NULL,1,0,0,1,1.7959543848485479355e+09,NULL,X'7B2221223A226D222C2276223A5B2230316132323733392D316663642D373738382D383738302D313531366563653138313264222C2273686F702E6661696C73222C6E756C6C2C332C36302C6E756C6C2C5B5D2C7B7D2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C305D7D','');
INSERT INTO "jobs" VALUES(4,'01a22739-1fd9-784e-8d12-ddd5c6c26309','shop.add','default',0.0,1.79595438485756897931e+09,NULL,NULL,0,0.0,NULL,0,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,X'7B2221223A226D222C2276223A5B2230316132323733392D316664392D373834652D386431322D646464356336633236333039222C2273686F702E616464222C6E756C6C2C302C302E302C6E756C6C2C5B332C345D2C7B7D2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C305D7D','');
INSERT INTO "jobs" VALUES(5,'01a22739-1fdb-7c00-84b5-8ea4cb40cc89','shop.add','default',0.0,1.79595438485979056351e+09,1795957984.85973,NULL,0,0.0,NULL,0,NULL,NULL,NULL,NULL,NULL,0,0,0,0,NULL,NULL,X'7B2221223A226D222C2276223A5B2230316132323733392D316664622D376330302D383462352D386561346362343063633839222C2273686F702E616464222C7B2221223A226474222C2276223A22323032362D31312D32395431333A31333A30342E383539373330227D2C302C302E302C6E756C6C2C5B352C365D2C7B7D2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C6E756C6C2C305D7D','');
CREATE TABLE keys (key text primary key, seq integer not null, until real, fixed integer not null) without rowid;
CREATE TABLE kv (key text primary key, value blob not null, expires_at real) without rowid;
CREATE TABLE locks (key text primary key, value blob not null, worker integer, expires_at real)
        without rowid;
INSERT INTO "locks" VALUES('duey.lock.db',X'223122',1,NULL);
CREATE TABLE marks (key text primary key, value blob not null) without rowid;
CREATE TABLE meta (key text primary key, value) without rowid;
INSERT INTO "meta" VALUES('schema',3);
CREATE TABLE parked (seq integer primary key, kind text not null, name text not null, rank real not null,
        at real not null);
CREATE TABLE pauses (kind text, name text, at real not null, primary key (kind, name)) without rowid;
CREATE TABLE progress (seq integer primary key, data text not null, at real not null);
CREATE TABLE ready (queue text not null, rank real not null, seq integer not null,
        primary key (queue, rank, seq)) without rowid;
INSERT INTO "ready" VALUES('default',0.0,4);
CREATE TABLE schedules (name text primary key, source text not null, spec text not null,
        paused integer not null default 0, last real not null, since real not null) without rowid;
CREATE TABLE slots (schedule text not null, at real not null, outcome text not null, job_id text, reason text,
        noted_at real not null, primary key (schedule, at)) without rowid;
CREATE TABLE stops (seq integer primary key, at real not null);
CREATE TABLE workers (n integer primary key autoincrement, consumer text not null, host text not null,
        pid integer not null, started_at real not null, threads integer not null, kind text not null,
        queues text not null, tasks text not null, quiet integer not null default 0,
        stop integer not null default 0, code text not null default '');
INSERT INTO "workers" VALUES(1,'a8a0712491aa47418e3a37b0b5ad2e4e','vm',29373,1.79595438480827474599e+09,1,'alone','*','',0,0,'375d7af');
CREATE INDEX parked_by on parked (kind, name, rank, seq);
CREATE INDEX claims_gate on claims (gate) where gate is not null;
CREATE INDEX ended_gone on ended (gone_at);
CREATE INDEX jobs_tried on jobs (seq) where attempt > 0;
CREATE INDEX keys_seq on keys (seq);
CREATE INDEX idempotency_at on idempotency (at);
CREATE INDEX slots_waiting on slots (schedule, at) where outcome = 'waiting';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',5);
INSERT INTO "sqlite_sequence" VALUES('workers',1);
COMMIT;
