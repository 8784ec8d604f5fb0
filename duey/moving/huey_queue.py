"""The queue of a plain Huey 2 or 3, in its SQLite file or on Redis: what waits, what is scheduled, what is stored.

Only bytes are read here; duey.moving.unpickle reads what they mean.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from duey.config.values import without_login
from duey.storage.transfer import MoveRefused

WAITING, SCHEDULED = "waiting", "scheduled"
ANSWER_S = 60.0  # longest wait for an answer of Redis


class Stored(NamedTuple):
    """A message of a queue. `ref` finds it again."""

    ref: Any
    data: bytes


class HueyQueue(Protocol):
    """A queue of plain Huey."""

    label: str

    def counts(self) -> dict[str, int]:
        """How many messages wait, how many are scheduled, how many values are stored."""

    def exclusively(self) -> AbstractContextManager[None]:
        """Nobody else takes a message meanwhile, where the storage can promise that."""

    def read(self, place: str, skip: int, limit: int) -> list[Stored]:
        """Messages of a place in the order in which they would run, without the first `skip`."""

    def remove(self, place: str, messages: Sequence[Stored]) -> int:
        """Remove messages. Returns how many were still there."""

    def values(self) -> Iterator[tuple[str, bytes]]:
        """What is stored under keys: results, revocations, locks, parts of chords."""

    def has_counter(self, key: str) -> bool: ...

    def close(self) -> None: ...


class SqliteHueyQueue(HueyQueue):
    """A queue in a file of Huey's SqliteStorage."""

    TABLES = {WAITING: "task", SCHEDULED: "schedule"}
    ORDER = {WAITING: "priority desc, id", SCHEDULED: "timestamp, id"}

    def __init__(self, path: Path, name: str | None) -> None:
        if not path.exists():
            raise MoveRefused(f"expected a file of Huey at {path}, found none: correct --from")
        self.label = f"sqlite:///{path}"
        self._con = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=15, isolation_level=None)
        try:
            names = [row[0] for row in self._con.execute("select queue from task union select queue from schedule")]
            names += [row[0] for row in self._con.execute("select distinct queue from kv")]
        except sqlite3.Error as exc:
            raise MoveRefused(f"expected a file of Huey's SqliteStorage at {path}, found another ({exc})") from None
        self.name = chosen(name, sorted(set(names)), str(path))

    def close(self) -> None:
        self._con.close()

    def counts(self) -> dict[str, int]:
        tables = {**self.TABLES, "values": "kv"}
        query = "select count(*) from {} where queue = ?"
        return {
            place: self._con.execute(query.format(table), (self.name,)).fetchone()[0] for place, table in tables.items()
        }

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        self._con.execute("begin immediate")
        try:
            yield
            self._con.execute("commit")
        except BaseException:
            self._con.execute("rollback")
            raise

    def read(self, place: str, skip: int, limit: int) -> list[Stored]:
        rows = self._con.execute(
            f"select id, data from {self.TABLES[place]} where queue = ? order by {self.ORDER[place]} limit ? offset ?",
            (self.name, limit, skip),
        )
        return [Stored(ref, bytes(data)) for ref, data in rows]

    def remove(self, place: str, messages: Sequence[Stored]) -> int:
        query = f"delete from {self.TABLES[place]} where id = ?"
        return sum(self._con.execute(query, (message.ref,)).rowcount for message in messages)

    def values(self) -> Iterator[tuple[str, bytes]]:
        for key, value in self._con.execute("select key, value from kv where queue = ?", (self.name,)).fetchall():
            yield (key.decode() if isinstance(key, bytes) else key), bytes(value)

    def has_counter(self, key: str) -> bool:
        try:
            query = "select 1 from counter where queue = ? and key = ?"
            return self._con.execute(query, (self.name, key)).fetchone() is not None
        except sqlite3.Error:  # Huey 2 has no such table
            return False


class RedisHueyQueue(HueyQueue):
    """A queue of one of Huey's storages on Redis: with or without priorities, with or without expiring results."""

    def __init__(self, url: str, name: str | None) -> None:
        from redis import exceptions

        from duey.storage.redis.connection.primary import connected

        self._redis: Any = connected(url, ANSWER_S)
        self.label = without_login(url)
        try:
            names: set[str] = set()
            for kind in ("redis", "schedule", "results"):
                start = f"huey.{kind}."
                names |= {key.decode()[len(start) :] for key in self._redis.scan_iter(match=f"{start}*", count=1000)}
        except exceptions.RedisError as exc:
            raise MoveRefused(f"expected to read {self.label}, found: {exc}") from None
        # Huey leaves signs out of a name in its keys, Huey 2 capitals as well.
        spelled = [name, re.sub("[^A-Za-z0-9_]", "", name), re.sub("[^a-z0-9]", "", name)] if name else []
        self.name = next((each for each in spelled if each in names), None) or chosen(name, sorted(names), self.label)
        self._keys = {WAITING: f"huey.redis.{self.name}", SCHEDULED: f"huey.schedule.{self.name}"}
        self._has_priorities = self._redis.type(self._keys[WAITING]) == b"zset"

    def close(self) -> None:
        self._redis.close()

    def counts(self) -> dict[str, int]:
        waiting = self._redis.zcard if self._has_priorities else self._redis.llen
        values = self._redis.hlen(f"huey.results.{self.name}") + len(self._expiring())
        return {
            WAITING: waiting(self._keys[WAITING]),
            SCHEDULED: self._redis.zcard(self._keys[SCHEDULED]),
            "values": values,
        }

    def exclusively(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, place: str, skip: int, limit: int) -> list[Stored]:
        key = self._keys[place]
        if place == SCHEDULED:
            return [Stored(data, data) for data in self._redis.zrange(key, skip, skip + limit - 1)]
        if self._has_priorities:
            return [Stored(data, data[8:]) for data in self._redis.zrange(key, skip, skip + limit - 1)]
        return [Stored(data, data) for data in self._redis.lrange(key, -skip - limit, -skip - 1)[::-1]]

    def remove(self, place: str, messages: Sequence[Stored]) -> int:
        pipe = self._redis.pipeline(transaction=True)
        for message in messages:
            if place == WAITING and not self._has_priorities:
                pipe.lrem(self._keys[place], -1, message.ref)
            else:
                pipe.zrem(self._keys[place], message.ref)
        return sum(pipe.execute()) if messages else 0

    def values(self) -> Iterator[tuple[str, bytes]]:
        for key, value in self._redis.hgetall(f"huey.results.{self.name}").items():
            yield key.decode(), value
        for key in self._expiring():
            if (value := self._redis.get(key)) is not None:
                yield key[len(f"huey.r.{self.name}.") :].decode(), value

    def _expiring(self) -> list[bytes]:
        return list(self._redis.scan_iter(match=f"huey.r.{self.name}.*", count=1000))

    def has_counter(self, key: str) -> bool:
        in_hash = self._redis.hexists(f"huey.counters.{self.name}", key)
        return bool(in_hash or self._redis.exists(f"huey.c.{self.name}.{key}"))


def chosen(name: str | None, names: Sequence[str], where: str) -> str:
    """The queue of this name, or the only one. Raises MoveRefused."""
    if name in names:
        return str(name)
    if name is None and len(names) == 1:
        return names[0]
    if not names:
        raise MoveRefused(f"expected a queue of Huey at {where}, found none: correct --from")
    there = ", ".join(names)
    raise MoveRefused(f"expected the name of a queue of Huey at {where}, found {name or 'none'}: --name one of {there}")
