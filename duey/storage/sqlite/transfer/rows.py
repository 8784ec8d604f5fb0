"""What a move copies, as rows of a queue file: how each section is read and stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from duey import clock, errors
from duey.model.job import JobRecord
from duey.storage.sqlite.connection.schema import RECORD
from duey.storage.transfer import HOLD, JobItem, plain

FIELDS = len(JobRecord._fields)
JOB_ROWS = f"""select {RECORD}, j.waits_for, r.seq is not null, s.seq is not null, b.kind, b.name, b.at,
    f.state, f.attempt, f.started_at, f.finished_at, f.worker, f.gone_at, f.result, p.data
    from jobs j left join ready r on r.queue = j.queue and r.rank = -j.priority and r.seq = j.seq
    left join scheduled s on s.at = j.eta and s.seq = j.seq left join blocked b on b.seq = j.seq
    left join finished f on f.seq = j.seq left join progress p on p.seq = j.seq
    where j.seq > ? order by j.seq limit ?"""
EVENT_ROWS = """select o.seq, coalesce(j.id, ''), o.job, o.kind, o.token, o.at, o.started_at, o.attempt, o.detail
    from outbox o left join jobs j on j.seq = o.job where o.seq > ? and (j.id is not null or o.job = 0)
    order by o.seq limit ?"""
# What else there is, as rows of the columns of an item, and how an item is stored.
ROWS = {
    "parts": "select cid, idx, value from chord_parts",
    "unique": "select key, id, until, fixed from unique_locks join jobs using (seq)",
    "limits": "select name, places, token_s, burst, tokens, at, opens_at from limits",
    "pauses": f"select kind, name from pauses where kind <> '{HOLD[0]}'",
    "schedules": "select name, source, spec, paused, last, since from schedules",
    "slots": "select schedule, at, outcome, job_id, reason, noted_at from slots",
    "values": "select key, value, expires_at from kv",
    "revocations": "select key, value from revocations",
    "locks": "select key, value, expires_at from locks where worker is null",
    "counters": "select key, value from counters",
    "idempotency": "select token, key, fingerprint, ids, at from idempotency",
    "scheduler": "select key, value from meta where key in ('gaps', 'outbox_owner', 'scheduler')",
}
STORE = {
    "parts": "insert or replace into chord_parts values (?, ?, ?)",
    "unique": "insert or replace into unique_locks select ?1, seq, ?3, ?4 from jobs where id = ?2",
    "limits": "insert or replace into limits values (?, ?, ?, ?, ?, ?, ?)",
    "pauses": "insert or replace into pauses values (?, ?, ?)",
    "schedules": "insert or replace into schedules values (?, ?, ?, ?, ?, ?)",
    "slots": "insert or replace into slots values (?, ?, ?, ?, ?, ?)",
    "values": "insert or replace into kv values (?, ?, ?)",
    "revocations": "insert or replace into revocations values (?, ?)",
    "locks": "insert or replace into locks values (?1, ?2, null, ?3)",
    "counters": "insert or replace into counters values (?, ?)",
    "idempotency": "insert or replace into idempotency values (?, ?, ?, ?, ?)",
    "scheduler": "insert or replace into meta values (?, ?)",
}


def item_of(row: Sequence[Any], checkpoints: dict[int, tuple[tuple[str, bytes], ...]]) -> JobItem:
    """A job, from a row of JOB_ROWS. Raises StorageCorrupt for one that is in no place or in several."""
    job = plain(JobRecord._make(row[:FIELDS]))
    waits_for, is_ready, is_scheduled, kind, name, at, state, *ending, progress = row[FIELDS:]
    places = {"ready": is_ready, "scheduled": is_scheduled, "blocked": kind is not None, "finished": state is not None}
    found = [place for place, is_there in places.items() if is_there]
    if len(found) != 1:
        raise errors.StorageCorrupt(
            f"expected job {job.id} in one place, found it in {', '.join(found) or 'none'}: restore a backup"
        )
    why = waits_for if is_scheduled else f"{kind} {name}" if kind else None
    at = at if kind == "unknown" else None
    last = (progress, checkpoints.get(job.seq, ()))
    return JobItem._make((job.seq, job, found[0], why or None, at, state, *ending, *last))


def store_jobs(con: sqlite3.Connection, jobs: Sequence[JobItem]) -> None:
    """Insert jobs, each in its place."""
    columns = (*JobRecord._fields, "waits_for")
    con.executemany(
        f"insert or replace into jobs ({', '.join(columns)}) values ({', '.join('?' * len(columns))})",
        [(*each.job, each.why if each.place == "scheduled" else None) for each in jobs],
    )
    rows: dict[str, list[tuple[Any, ...]]] = {"ready": [], "scheduled": [], "blocked": [], "finished": []}
    for each in jobs:
        rank = -each.job.priority
        if each.place == "ready":
            rows["ready"].append((each.job.queue, rank, each.seq))
        elif each.place == "scheduled":
            rows["scheduled"].append((each.job.eta, each.seq))
        elif each.place == "blocked":
            since = each.job.enqueued_at if each.blocked_at is None else each.blocked_at
            rows["blocked"].append((each.seq, *str(each.why).split(" ", 1), rank, since))
        else:
            rows["finished"].append((each.seq, *each[5:12]))
    rows["progress"] = [(each.seq, each.progress, clock.now()) for each in jobs if each.progress is not None]
    rows["checkpoints"] = [(each.seq, *pair) for each in jobs for pair in each.checkpoints]
    for table, values in rows.items():
        if values:
            con.executemany(f"insert or replace into {table} values ({', '.join('?' * len(values[0]))})", values)


def shown(section: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """An item of a row."""
    if section == "idempotency":
        return (*row[:3], tuple(json.loads(row[3])), row[4])
    if section == "scheduler" and row[0] == "outbox_owner":
        return "outbox_owner", tuple(json.loads(row[1]))
    if section == "scheduler" and row[0] == "gaps":
        return "gaps", tuple((float(since), float(until), why) for since, until, why in json.loads(row[1]))
    if section == "scheduler":
        return row[0], float(row[1])
    return row


def stored(section: str, item: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row of an item."""
    if section == "pauses":
        return (*item, clock.now())
    if section == "idempotency":
        return (*item[:3], json.dumps(item[3]), item[4])
    if section == "scheduler" and item[0] != "scheduler":
        return item[0], json.dumps(item[1])
    return item
