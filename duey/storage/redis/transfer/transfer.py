"""The keys of one service as `duey move` sees them: implements duey.storage.transfer.Transfer.

The fence is one key, at which every script looks first. The mover uses no script but that which sets it: it reads what
nobody changes any more, and writes by transactions of plain commands.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import exceptions

from duey import errors
from duey.storage.redis.connection import preflight
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.primary import connected
from duey.storage.redis.keys import VERSION, prefix
from duey.storage.redis.transfer.reader import JOBS_BY_SEQ, ItemReader
from duey.storage.redis.transfer.writer import ItemWriter
from duey.storage.transfer import HOLD, Contents, Marker, Numbers, TargetNotEmpty, Transfer

HOLDS = " ".join(HOLD)  # as it stands in `pauses`
ANSWER_S = 60.0  # longest wait for an answer
SYNC_S = 2.0  # within which a server that syncs every second has done so
STAYS = ("meta", "move", "fence")
COUNTERS = ("seq", "event", "worker", "manual")


class RedisTransfer(Transfer):
    """One service on one server. `create`: it may be new there, as a target."""

    def __init__(self, label: str, url: str, name: str, create: bool = False) -> None:
        self.label = label
        self._server = Server(url, prefix(name))
        self.start = f"{self._server.prefix}:"
        _ = self._server.pool  # refuses a URL that is none
        at = f"Redis at {self._server.address}"
        # A client of its own: what others may send is fenced.
        self._redis: Any = connected(url, ANSWER_S)
        self._reader, self._writer = ItemReader(self._redis, self.start), ItemWriter(self.start)
        with self._sent():
            is_fenced = self._redis.exists(self.key("fence"))
        schema = preflight.schema_of(self._server, preflight.present_prefix(self._server))
        if not schema and not create:
            raise errors.Misconfigured(f"expected a queue at {self.label}, found none: name the one that has the jobs")
        if not is_fenced:
            self._server.open()  # checks the server, and migrates older keys
        elif schema != VERSION:
            raise errors.SchemaMismatch(f"{at} has schema version {schema}: finish the move with the Duey of then")
        elif facts := self._server.facts():
            preflight.refuse(facts, at)

    def key(self, name: str) -> str:
        return f"{self.start}{name}"

    def close(self) -> None:
        self._redis.close()
        self._server.close()

    @contextmanager
    def _sent(self) -> Iterator[None]:
        try:
            yield
        except exceptions.RedisError as exc:
            raise self._server.explain(exc, sent=True) from exc

    @contextmanager
    def _write(self) -> Iterator[Any]:
        """Commands that are executed together, or not at all."""
        with self._sent():
            pipe = self._redis.pipeline(transaction=True)
            yield pipe
            pipe.execute()

    def marker(self) -> Marker | None:
        with self._sent():
            return Marker.of(self._redis.get(self.key("move")))

    # the source

    def hold(self, marker: Marker) -> None:
        with self._write() as pipe:
            pipe.sadd(self.key("pauses"), HOLDS)
            pipe.set(self.key("move"), marker.as_json())

    def running(self) -> list[tuple[str, str]]:
        with self._sent():
            workers = [n.decode() for n in self._redis.zrange(self.key("leases"), 0, -1)]
            ids = [
                job_id.decode()
                for (held,) in self._reader.ask(workers, lambda pipe, n: pipe.hvals(self.key(f"claimed:{n}")))
                for job_id in held
            ]
            tasks = self._reader.ask(ids, lambda pipe, job_id: pipe.hget(self.key(f"job:{job_id}"), "task"))
        return [(job_id, (task or b"").decode()) for job_id, (task,) in zip(ids, tasks, strict=True)]

    def fence(self, marker: Marker, sentence: str) -> bool:
        return bool(self._server.run("fence", marker.as_json(), sentence))

    def leave(self, marker: Marker, sentence: str) -> None:
        with self._write() as pipe:
            pipe.set(self.key("move"), marker.as_json())
            pipe.set(self.key("fence"), sentence)

    def release(self) -> None:
        with self._write() as pipe:
            pipe.srem(self.key("pauses"), HOLDS)
            pipe.delete(self.key("move"), self.key("fence"))

    # both

    def numbers(self) -> Numbers:
        with self._sent():
            return Numbers(*(int(found or 0) for found in self._redis.mget([self.key(name) for name in COUNTERS])))

    def contents(self) -> Contents:
        with self._sent():
            (waiting,), *ended = self._reader.ask(JOBS_BY_SEQ, lambda pipe, name: pipe.zcard(self.key(name)))
            unread = self._redis.xlen(self.key("outbox"))
            values = self._redis.hlen(self.key("kv"))
            seconds, _ = self._redis.time()
            workers = self._redis.zcount(self.key("leases"), seconds * 1000, "+inf")
            names = [name.decode() for name in self._redis.smembers(self.key("schedules"))]
            sources = self._reader.ask(names, lambda pipe, name: pipe.hget(self.key(f"schedule:{name}"), "source"))
        schedules = sum(source != b"code" for (source,) in sources)
        return Contents(waiting, sum(count for (count,) in ended), unread, values, schedules, workers)

    def read(self, section: str, after: Any, limit: int) -> Sequence[tuple[Any, ...]]:
        with self._sent():
            return self._reader.read(section, after, limit)

    # the target

    def begin(self, marker: Marker, sentence: str, is_stale: bool, replace: bool = False) -> None:
        with self._write() as pipe:
            pipe.set(self.key("fence"), sentence)
        try:
            self.contents().refuse(self.label, is_stale, replace)
        except TargetNotEmpty:
            with self._write() as pipe:
                pipe.delete(self.key("fence"))
            raise
        with self._write() as pipe:
            pipe.set(self.key("move"), marker.as_json())
            pipe.hset(self.key("meta"), mapping={"schema": VERSION, "instance": uuid.uuid4().hex})
            pipe.hdel(self.key("meta"), "scheduler", "scheduler_at")
        with self._sent():
            names = [name for name in self._reader.names("") if name not in STAYS]
            for i in range(0, len(names), 500):
                self._redis.unlink(*(self.key(name) for name in names[i : i + 500]))

    def write(self, section: str, items: Sequence[Any], marker: Marker) -> None:
        put = getattr(self._writer, f"put_{section}")
        with self._write() as pipe:
            for item in items:
                put(pipe, item)
            pipe.set(self.key("move"), marker.as_json())

    def sync(self) -> list[str]:
        """Until the server has written its log of commands to the disk, which it does each second."""
        warnings = preflight.warnings(self._server)
        if not warnings:
            try:
                self._redis.execute_command("WAITAOF", 1, 0, int(SYNC_S * 1000))
            except exceptions.ResponseError:  # before Redis 7.2
                time.sleep(SYNC_S)
            except exceptions.RedisError as exc:
                raise self._server.explain(exc, sent=True) from exc
        return warnings

    def arrive(self, marker: Marker, numbers: Numbers) -> None:
        with self._write() as pipe:
            pipe.mset({self.key(name): value for name, value in zip(COUNTERS, numbers, strict=True)})
            pipe.set(self.key("move"), marker.becomes(marker.state, numbers=numbers).as_json())
            pipe.delete(self.key("fence"))

    def lift(self, marker: Marker) -> None:
        with self._write() as pipe:
            pipe.set(self.key("move"), marker.as_json())
            pipe.delete(self.key("fence"))

    def used_since(self, numbers: Numbers) -> bool:
        return self.numbers() != numbers
