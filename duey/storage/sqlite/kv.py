"""Huey's key/value store, counters, revocations and locks, and what running bodies report, on SQLite.

Huey keeps everything in one table. Here revocations (keys 'r:' and 'rt:') are in `revocations` and are removed with
their job; locks belong to a worker and are freed by its death; everything else is in `kv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huey.constants import EmptyData

from duey import clock
from duey.model.job import Claim
from duey.storage.sqlite.database import Database


def table_of(key: str) -> str:
    """The table of a key."""
    return "revocations" if key.startswith(("r:", "rt:")) else "kv"


class KeyValue:
    """Huey's data interface over the queue's file. Keys are str or UTF-8 bytes, values are bytes."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, key: Any, value: bytes) -> None:
        key = text(key)
        with self._db.write("relaxed") as con:
            if table_of(key) == "revocations":
                con.execute("insert or replace into revocations values (?, ?)", (key, value))
            else:
                con.execute("insert or replace into kv values (?, ?, null)", (key, value))

    def peek(self, key: Any) -> Any:
        """The result of the job with this id, or the value under this key, or EmptyData."""
        key = text(key)
        with self._db.read() as con:
            # The job first: an error may have been stored under its id before the job was enqueued after all.
            row = con.execute(
                "select result from jobs left join finished on finished.seq = jobs.seq where id = ?", (key,)
            ).fetchone()
            if row is None:
                row = con.execute(f"select value from {table_of(key)} where key = ?", (key,)).fetchone()
            if row is None:
                row = con.execute(
                    "select value from locks where key = ? and coalesce(expires_at > ?, 1)", (key, clock.now())
                ).fetchone()
        return EmptyData if row is None or row[0] is None else row[0]

    def pop(self, key: Any) -> Any:
        """Like peek, and remove the value. The result of a job stays until it expires."""
        key = text(key)
        value = self.peek(key)
        if value is not EmptyData:
            self.delete(key)
        return value

    def delete(self, key: Any) -> bool:
        key = text(key)
        with self._db.read() as con:
            if not any(con.execute(f"select 1 from {t} where key = ?", (key,)).fetchone() for t in TABLES):
                return False  # no write transaction if nothing changes
        with self._db.write("relaxed") as con:
            return any([con.execute(f"delete from {t} where key = ?", (key,)).rowcount for t in TABLES])

    def has(self, key: Any) -> bool:
        return self.peek(key) is not EmptyData

    def put_if_empty(self, key: Any, value: bytes, ttl_s: float | None, worker: int | None) -> bool:
        """Take a lock for `ttl_s` seconds (None: until it is freed). True if it was free or had expired.

        It belongs to `worker` and is freed when that worker ends.
        """
        now = clock.now()
        with self._db.write("relaxed") as con:
            return (
                con.execute(
                    "insert into locks values (?, ?, ?, ?) on conflict (key) do update set value = excluded.value, "
                    "worker = excluded.worker, expires_at = excluded.expires_at where locks.expires_at <= ?",
                    (text(key), value, worker, None if ttl_s is None else now + ttl_s, now),
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

    def incr(self, key: Any, amount: int) -> int:
        with self._db.write("relaxed") as con:
            return con.execute(
                "insert into counters values (?, ?) on conflict (key) do update set value = value + excluded.value "
                "returning value",
                (text(key), amount),
            ).fetchall()[0][0]

    def delete_counter(self, key: Any) -> None:
        with self._db.write("relaxed") as con:
            con.execute("delete from counters where key = ?", (text(key),))


TABLES = ("kv", "revocations", "locks")


def text(key: Any) -> str:
    """A key as str. Huey passes str or bytes."""
    return key.decode() if isinstance(key, bytes) else str(key)


class Reports:
    """The progress and checkpoints in one file."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put_progress(self, seq: int, data: str) -> None:
        """Store the progress of a job (JSON)."""
        with self._db.write("relaxed") as con:
            con.execute("insert or replace into progress values (?, ?, ?)", (seq, data, clock.now()))

    def progress_of(self, seq: int) -> str | None:
        """The last progress of a job (JSON), or None."""
        with self._db.read() as con:
            row = con.execute("select data from progress where seq = ?", (seq,)).fetchone()
        return row[0] if row else None

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        """Store data with the job. False, and nothing is stored, if the claim is gone."""
        with self._db.write("relaxed") as con:
            return (
                con.execute(
                    "insert or replace into checkpoints select seq, ?, ? from claimed where token = ?",
                    (key, data, claim.token),
                ).rowcount
                == 1
            )

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        """What was stored last under the key, or None."""
        with self._db.read() as con:
            row = con.execute("select data from checkpoints where seq = ? and key = ?", (claim.job.seq, key)).fetchone()
        return row[0] if row else None

    def stopping(self, workers: Sequence[int]) -> set[int]:
        """The tokens of the claims of these workers whose jobs were asked to stop."""
        marks = ",".join("?" * len(workers))
        with self._db.read() as con:
            found = con.execute(
                f"select c.token from cancel_requests s join claimed c on c.seq = s.seq where c.worker in ({marks})",
                list(workers),
            )
            return {row[0] for row in found}
