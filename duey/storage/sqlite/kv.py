"""Huey's key/value store, counters, revocations and locks, and what running bodies report, on SQLite.

Huey keeps everything in one table. Here revocations (keys 'r:' and 'rt:') are in `revocations` and are removed with
their job; locks belong to a worker and are freed by its death; everything else is in `kv`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huey.constants import EmptyData

from duey import clock, errors
from duey.model.job import Claim
from duey.model.log_lines import Numbered
from duey.storage import live_files
from duey.storage.huey_adapter import KeyValue, kind_of
from duey.storage.live_files import ASK, STACK
from duey.storage.sqlite.connection.database import Database


class SqliteKeyValue(KeyValue):
    """Keys and values in the queue's file."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, key: str, value: bytes) -> None:
        with self._db.write("relaxed") as con:
            if kind_of(key) == "revocations":
                con.execute("insert or replace into revocations values (?, ?)", (key, value))
            else:
                con.execute("insert or replace into kv values (?, ?, null)", (key, value))

    def peek(self, key: str) -> Any:
        with self._db.read() as con:
            # The job first: an error may have been stored under its id before the job was enqueued after all.
            row = con.execute(
                "select result from jobs left join finished on finished.seq = jobs.seq where id = ?", (key,)
            ).fetchone()
            if row is None:
                row = con.execute(f"select value from {kind_of(key)} where key = ?", (key,)).fetchone()
            if row is None:
                row = con.execute(
                    "select value from locks where key = ? and coalesce(expires_at > ?, 1)", (key, clock.now())
                ).fetchone()
        return EmptyData if row is None or row[0] is None else row[0]

    def delete(self, key: str) -> bool:
        with self._db.read() as con:
            if not any(con.execute(f"select 1 from {t} where key = ?", (key,)).fetchone() for t in TABLES):
                return False  # no write transaction if nothing changes
        with self._db.write("relaxed") as con:
            return any([con.execute(f"delete from {t} where key = ?", (key,)).rowcount for t in TABLES])

    def put_if_empty(self, key: str, value: bytes, ttl_s: float | None, worker: int | None) -> bool:
        now = clock.now()
        with self._db.write("relaxed") as con:
            return (
                con.execute(
                    "insert into locks values (?, ?, ?, ?) on conflict (key) do update set value = excluded.value, "
                    "worker = excluded.worker, expires_at = excluded.expires_at where locks.expires_at <= ?",
                    (key, value, worker, None if ttl_s is None else now + ttl_s, now),
                ).rowcount
                == 1
            )

    def items(self) -> dict[str, bytes]:
        with self._db.read() as con:
            found: dict[str, bytes] = dict(con.execute("select key, value from kv"))
            found.update(con.execute("select id, result from jobs join finished using (seq) where result is not null"))
        return found

    def size(self) -> int:
        with self._db.read() as con:
            return con.execute(
                "select (select count(*) from kv) + (select count(*) from finished where result is not null)"
            ).fetchone()[0]

    def incr(self, key: str, amount: int) -> int:
        with self._db.write("relaxed") as con:
            return con.execute(
                "insert into counters values (?, ?) on conflict (key) do update set value = value + excluded.value "
                "returning value",
                (key, amount),
            ).fetchall()[0][0]

    def delete_counter(self, key: str) -> None:
        with self._db.write("relaxed") as con:
            con.execute("delete from counters where key = ?", (key,))


TABLES = ("kv", "revocations", "locks")


class SqliteReports:
    """A part of SqliteStorage: log lines, stacks, progress and checkpoints. The first two are in files, so that
    writing them takes no lock of the queue."""

    db: Database
    folder: Path

    def put_logs(self, lines: Mapping[int, Sequence[Numbered]]) -> None:
        for token, own in lines.items():
            live_files.add_log(self.folder, token, own)

    def end_logs(self, tokens: Sequence[int]) -> None:
        """Maintenance removes the files, when their claims are gone."""

    def log_of(self, token: int) -> list[Numbered]:
        return live_files.read_log(self.folder, token)

    def ask_stack(self, token: int) -> None:
        try:
            live_files.replace(self.folder, token >> 32, ASK, str(token))
        except OSError as exc:
            raise errors.StorageUnavailable(f"{self.folder} cannot be written ({exc.strerror})") from exc

    def stack_asked(self, worker: int) -> int | None:
        asked = live_files.read(self.folder, worker, ASK)
        if asked is not None:
            live_files.remove(self.folder, [(worker, ASK)])
        return int(asked) if asked else None

    def put_stack(self, token: int, text: str) -> None:
        live_files.replace(self.folder, token, STACK, json.dumps([clock.now(), text]))

    def stack_of(self, token: int) -> tuple[float, str] | None:
        found = live_files.read(self.folder, token, STACK)
        return tuple(json.loads(found)) if found else None

    def put_progress(self, seq: int, data: str) -> None:
        with self.db.write("relaxed") as con:
            con.execute("insert or replace into progress values (?, ?, ?)", (seq, data, clock.now()))

    def progress_of(self, seq: int) -> str | None:
        with self.db.read() as con:
            row = con.execute("select data from progress where seq = ?", (seq,)).fetchone()
        return row[0] if row else None

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        with self.db.write("relaxed") as con:
            return (
                con.execute(
                    "insert or replace into checkpoints select seq, ?, ? from claimed where token = ?",
                    (key, data, claim.token),
                ).rowcount
                == 1
            )

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        with self.db.read() as con:
            row = con.execute("select data from checkpoints where seq = ? and key = ?", (claim.job.seq, key)).fetchone()
        return row[0] if row else None
