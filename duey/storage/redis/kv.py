"""Huey's key/value store, counters, revocations and locks on Redis.

Huey keeps everything in one place. Here revocations (keys 'r:' and 'rt:') are in `marks` and are removed with their
job; locks belong to a worker and are freed by its death; everything else is in `kv`.
"""

from __future__ import annotations

from typing import Any

from huey.constants import EmptyData

from duey import clock
from duey.storage.redis.client import Server

STEP = 500  # results fetched at once


def kind_of(key: str) -> str:
    """Where a key is stored: `marks` or `kv`."""
    return "revocations" if key.startswith(("r:", "rt:")) else "kv"


def text(key: Any) -> str:
    """A key as str. Huey passes str or bytes."""
    return key.decode() if isinstance(key, bytes) else str(key)


class KeyValue:
    """Huey's data interface. Keys are str or UTF-8 bytes, values are bytes."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def put(self, key: Any, value: bytes) -> None:
        key = text(key)
        self._server.run("put", kind_of(key), key, value, again=True)

    def peek(self, key: Any) -> Any:
        """The result of the job with this id, or the value under this key, or EmptyData."""
        key = text(key)
        value = self._server.run("peek", kind_of(key), key, clock.now(), again=True)
        return EmptyData if value is None else value

    def pop(self, key: Any) -> Any:
        """Like peek, and remove the value. The result of a job stays until it expires."""
        value = self.peek(key)
        if value is not EmptyData:
            self.delete(key)
        return value

    def delete(self, key: Any) -> bool:
        return bool(self._server.run("delete", text(key)))

    def has(self, key: Any) -> bool:
        return self.peek(key) is not EmptyData

    def put_if_empty(self, key: Any, value: bytes, ttl_s: float | None, worker: int | None) -> bool:
        """Take a lock for `ttl_s` seconds (None: until it is freed). True if it was free or had expired.

        It belongs to `worker` and is freed when that worker ends.
        """
        now = clock.now()
        until = "" if ttl_s is None else now + ttl_s
        return bool(self._server.run("lock", text(key), value, "" if worker is None else worker, now, until))

    def items(self) -> dict[str, bytes]:
        found = self._server.command(b"HGETALL", self._server.key("kv"))
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        items = {key.decode(): value for key, value in pairs}
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

    def incr(self, key: Any, amount: int) -> int:
        return int(self._server.command(b"HINCRBY", self._server.key("counters"), text(key), amount, again=False))

    def delete_counter(self, key: Any) -> None:
        self._server.command(b"HDEL", self._server.key("counters"), text(key))
