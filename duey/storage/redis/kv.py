"""Huey's key/value store, counters, revocations and locks on Redis.

Huey keeps everything in one place. Here revocations (keys 'r:' and 'rt:') are in `marks` and are removed with their
job; locks belong to a worker and are freed by its death; everything else is in `kv`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from huey.constants import EmptyData

from duey import clock
from duey.model.job import Claim
from duey.model.log_lines import HALF_LINES, Numbered
from duey.storage.huey_adapter import KeyValue, kind_of
from duey.storage.redis.codec import compact, token_of, token_text
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.resp import in_pairs
from duey.storage.redis.worker.session import WorkerSessions

STEP = 500  # results fetched at once
LOG_S, ENDED_LOG_S = 7 * 86400, 60  # how long lines are kept after the last one, and after the end of their body
SHOWN_S = 60  # how long a stack is kept, and the request for one


class RedisKeyValue(KeyValue):
    """Keys and values in Redis."""

    def __init__(self, server: Server, sessions: WorkerSessions) -> None:
        self._server, self._sessions = server, sessions

    def put(self, key: str, value: bytes) -> None:
        self._server.run("put", kind_of(key), key, value, again=True)

    def peek(self, key: str) -> Any:
        value = self._server.run("peek", kind_of(key), key, clock.now(), again=True)
        return EmptyData if value is None else value

    def delete(self, key: str) -> bool:
        try:
            return bool(self._server.run("delete", key))
        finally:
            for locks in self._sessions.locks():
                locks.freed(key)

    def put_if_empty(self, key: str, value: bytes, ttl_s: float | None, worker: int | None) -> bool:
        now = clock.now()
        until = "" if ttl_s is None else now + ttl_s
        locks, taken = self._sessions.locks(worker), False
        for each in locks:
            each.taking(key)
        try:
            taken = bool(self._server.run("lock", key, value, "" if worker is None else worker, now, until))
        finally:
            for each in [] if taken else locks:
                each.freed(key)
        return taken

    def items(self) -> dict[str, bytes]:
        found = self._server.command(b"HGETALL", self._server.key("kv"))
        items = {key.decode(): value for key, value in in_pairs(found)}
        for ids in self._ended():
            results = self._server.command(b"MGET", *(self._server.key(f"result:{i.decode()}") for i in ids))
            items.update({i.decode(): r for i, r in zip(ids, results, strict=True) if r is not None})
        return items

    def size(self) -> int:
        count = int(self._server.command(b"HLEN", self._server.key("kv")))
        for ids in self._ended():
            count += int(self._server.command(b"EXISTS", *(self._server.key(f"result:{i.decode()}") for i in ids)))
        return count

    def _ended(self) -> Any:
        """The ids of the ended jobs, STEP at a time."""
        at = 0
        while ids := self._server.command(b"ZRANGE", self._server.key("gone"), at, at + STEP - 1):
            yield ids
            at += STEP

    def incr(self, key: str, amount: int) -> int:
        return int(self._server.command(b"HINCRBY", self._server.key("counters"), key, amount, again=False))

    def delete_counter(self, key: str) -> None:
        self._server.command(b"HDEL", self._server.key("counters"), key)


class RedisReports:
    """A part of RedisStorage: log lines, stacks, progress and checkpoints."""

    server: Server

    def put_logs(self, lines: Mapping[int, Sequence[Numbered]]) -> None:
        for token, own in lines.items():
            words = [word for line in own for word in (line[0], compact(line))]
            if words:
                self.server.run("put_log", token_text(token), LOG_S, HALF_LINES, *words, again=True)

    def end_logs(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self.server.command(b"EXPIRE", self.server.key(f"log:{token_text(token)}"), ENDED_LOG_S)

    def log_of(self, token: int) -> list[Numbered]:
        found = self.server.command(b"ZRANGE", self.server.key(f"log:{token_text(token)}"), 0, -1)
        return [(n, at, level, text) for n, at, level, text in map(json.loads, found)]

    def ask_stack(self, token: int) -> None:
        self.server.command(b"SET", self.server.key(f"stack_asked:{token >> 32}"), token_text(token), "EX", SHOWN_S)

    def stack_asked(self, worker: int) -> int | None:
        key = self.server.key(f"stack_asked:{worker}")
        asked = self.server.command(b"GET", key)
        if asked is None:
            return None
        self.server.command(b"DEL", key)
        return token_of(asked.decode())

    def put_stack(self, token: int, text: str) -> None:
        key, shown = self.server.key(f"stack:{token_text(token)}"), json.dumps([clock.now(), text])
        self.server.command(b"SET", key, shown, "EX", SHOWN_S)

    def stack_of(self, token: int) -> tuple[float, str] | None:
        found = self.server.command(b"GET", self.server.key(f"stack:{token_text(token)}"))
        return tuple(json.loads(found)) if found else None

    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        return bool(self.server.run("checkpoint", claim.job.id, token_text(claim.token), key, data, again=True))

    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        found: bytes | None = self.server.command(b"HGET", self.server.key(f"checkpoints:{claim.job.id}"), key)
        return found

    def put_progress(self, seq: int, data: str) -> None:
        self.server.run("progress", seq, data, again=True)

    def progress_of(self, seq: int) -> str | None:
        data = self.server.command(b"HGET", self.server.key("progress"), seq)
        return None if data is None else data.decode()
