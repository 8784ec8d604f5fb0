"""Checks a Redis server before its first use.

Refused: a version below MINIMUM, a replica, a node of a cluster, a server that may evict keys (it would lose jobs
without an error), keys that a newer Duey wrote. A warning: a server that keeps data in memory only.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

from redis import exceptions

from duey import clock, errors
from duey.storage.redis.connection.failures import OF_A_CLUSTER
from duey.storage.redis.connection.primary import connected
from duey.storage.redis.keys import VERSION, prefix

T = TypeVar("T")
LOOKED_AT = 10_000  # keys of a server, in each step of a search: a few ms
SEARCH_STEPS = 20  # of one that is made at each start
ELSEWHERE_S = 0.5  # longest wait for each answer of a server that this process does not use
MINIMUM = (5,)  # for streams, ZPOPMIN, and the time within scripts


class Opened(NamedTuple):
    """The name of this instance of the keys, and the server's version."""

    instance: str
    version: tuple[int, ...]


class Facts:
    """The server's INFO."""

    def __init__(self, info: Mapping[str, str]) -> None:
        self._info = info

    @property
    def version(self) -> tuple[int, ...]:
        digits = self._info.get("redis_version", "").split(".")
        return tuple(int(d) for d in digits if d.isdigit())

    @property
    def policy(self) -> str:
        return self._info.get("maxmemory_policy", "noeviction")

    @property
    def replica(self) -> bool:
        return self._info.get("role") == "slave"

    @property
    def _mode(self) -> str | None:
        return self._info.get("redis_mode") or self._info.get("server_mode")  # as Valkey calls it

    @property
    def is_sentinel(self) -> bool:
        return self._mode == "sentinel"

    @property
    def in_cluster(self) -> bool:
        return self._mode == "cluster"

    def problems(self, at: str, replicas: int = 0) -> list[str]:
        """Why it accepts nothing now. `replicas`: as [storage] replicas."""
        found = self._full(at)
        if (linked := int(self._info.get("connected_slaves", 0))) < replicas:
            found.append(f"{at} has {linked} of the {replicas} replicas that [storage] replicas asks for: start them")
        return found

    def _full(self, at: str) -> list[str]:
        used, most = (int(self._info.get(name, 0)) for name in ("used_memory", "maxmemory"))
        if 0 < most <= used:
            mb = f"its maxmemory of {most / 2**20:,.0f} MB"
            return [f"{at} uses all of {mb}, so that it accepts no jobs: raise it, or let jobs end"]
        return []

    def warnings(self, at: str) -> list[str]:
        """What an admin should know, one sentence each."""
        found = []
        if self._info.get("aof_enabled") == "0":
            found.append(
                f"{at} keeps accepted jobs in memory only until its next snapshot: set `appendonly yes` there, so "
                "that they survive its end"
            )
        if "err" in (self._info.get("aof_last_write_status"), self._info.get("rdb_last_bgsave_status")):
            found.append(f"{at} could not write its files the last time: make room on its disk")
        return found


def refuse(facts: Facts, at: str) -> None:
    """Raise Misconfigured or StorageReadOnly for a server that must not be used."""
    if facts.version and facts.version < MINIMUM:
        raise errors.Misconfigured(
            f"{at} is version {'.'.join(map(str, facts.version))}: Duey needs Redis {MINIMUM[0]} or newer"
        )
    if facts.is_sentinel:
        raise errors.Misconfigured(f"{at} is a Sentinel: write redis+sentinel://HOST,HOST/NAME in [storage] url")
    if facts.in_cluster:
        raise errors.Misconfigured(f"{at} {OF_A_CLUSTER}")
    if facts.policy != "noeviction":
        raise errors.Misconfigured(
            f"{at} drops keys when memory is short (maxmemory-policy {facts.policy}), and with them jobs, in silence: "
            "set `maxmemory-policy noeviction` there"
        )
    if facts.replica:
        raise errors.StorageReadOnly(f"{at} is a read-only replica: name its primary in [storage] url")


def open_keys(server: Any) -> Opened:
    """Check the server and create what must exist. Raises as `refuse`, and SchemaMismatch."""
    at = f"Redis at {server.address}"
    with server.ahead.reading([server.facts, partial(schema_of, server)]):
        facts = server.facts()
        if facts is not None:
            refuse(facts, at)
        old, found = present_prefix(server), schema_of(server)
    if old != server.prefix:
        take_over(server, old)
        found = schema_of(server)
    limits = old_limits(server) if 0 < found < 3 else []
    schema, instance = server.open_script(VERSION, uuid.uuid4().hex, *limits)
    if int(schema) > VERSION:
        raise too_new(server, int(schema))
    return Opened(instance.decode(), facts.version if facts is not None else MINIMUM)


def too_new(server: Any, found: int) -> errors.SchemaMismatch:
    return errors.SchemaMismatch(
        f"Redis at {server.address} holds {server.prefix} in schema version {found} and this Duey knows {VERSION}: "
        "install the newer Duey again"
    )


def schema_of(server: Any, prefix: str = "") -> int:
    """The schema version of the keys, 0 if there are none. Writes nothing."""
    return int(server.command(b"HGET", f"{prefix or server.prefix}:meta", "schema") or 0)


def present_prefix(server: Any) -> str:
    """The beginning of the keys that are there, or will be, without the last colon. Keys from before version 0.9 begin
    with another word, and are searched for while there are none of the present name. Writes nothing."""
    prefix = str(server.prefix)
    if schema_of(server):
        return prefix
    word, name = prefix.split(":", 1)
    for key in sorted(search(server, b"*" + literally(f":{name}:meta"))):
        old = key.decode().removesuffix(":meta")
        try:
            if old.isascii() and old.split(":")[0].isalpha() and old.count(":") == 1 and schema_of(server, old):
                return old
        except errors.StorageUnavailable as exc:  # a key of another program, or one that this user may not read
            if "does not permit" in str(exc):
                raise errors.Misconfigured(
                    f"Redis at {server.address} has the keys {old} from before version 0.9, and does not permit this "
                    f"user to rename them to {word}:{name}: allow `~{old}*` until the first start"
                ) from exc
    return prefix


def take_over(server: Any, old: str) -> None:
    """Give the keys that begin with `old` their present names.

    `meta` is the last one, so that the next process goes on with what was cut short. Several may do it at once.
    """
    for name in sorted(scan(server, f"{old}:", b"*"), key=lambda name: name == b"meta"):
        try:
            server.command(b"RENAMENX", f"{old}:".encode() + name, server.key("").encode() + name)
        except errors.StorageUnavailable as exc:
            if "no such key" not in str(exc):  # another process has renamed it
                raise


def old_limits(server: Any) -> list[bytes]:
    """The keys of limits that version 2 has, which stand in no list of keys."""
    return [name for name in scan(server, server.key(""), b"[gh][ao]*") if name.startswith((b"gate:", b"holders:"))]


def scan(server: Any, start: str, rest: bytes) -> list[bytes]:
    """The names of the keys that begin with `start` and go on as the pattern `rest`, without their beginning."""
    return sorted(key[len(start.encode()) :] for key in search(server, literally(start) + rest))


def literally(text: str) -> bytes:
    """The pattern that only this text matches."""
    return re.sub(rb"([][?*\\\\])", rb"\\\1", text.encode())


def search(server: Any, pattern: bytes) -> set[bytes]:
    """The keys that match a pattern, of all that the server has."""
    found: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, keys = server.command(b"SCAN", cursor, "MATCH", pattern, "COUNT", LOOKED_AT)
        found.update(keys)
        if int(cursor) == 0:
            return found


def waiting_before(url: str) -> tuple[str, int]:
    """The name of a queue from before version 0.9 that had the default name of then, which its keys begin with, too;
    and how many of its jobs have not ended. ("", 0) if there is none among the first keys of the server."""

    def search_in(server: Any) -> tuple[str, int]:
        cursor = 0
        for _ in range(SEARCH_STEPS):
            cursor, keys = server.scan(cursor, "*:{*}:live", LOOKED_AT)
            for key in keys:
                old = re.fullmatch(rb"([a-z]+):\{\1\}:live", key)
                if old and old[1] != b"duey":
                    return old[1].decode(), int(server.zcard(key))
            if not cursor:
                break
        return "", 0

    return elsewhere(url, search_in, ("", 0))


def waiting_in(url: str, name: str) -> int:
    """How many jobs have not ended on a server that this process does not use. 0 if they were moved, or if it does not
    answer at once."""
    start = prefix(name)
    return elsewhere(url, lambda it: 0 if it.exists(f"{start}:fence") else int(it.zcard(f"{start}:live")), 0)


def elsewhere(url: str, ask: Callable[[Any], T], unknown: T) -> T:
    """What `ask` finds out with a client of a server that this process does not use; `unknown` if it does not answer at
    once."""
    try:
        with connected(url, ELSEWHERE_S) as server:
            return ask(server)
    except (errors.DueyError, exceptions.RedisError, ValueError, TypeError):
        return unknown


def warnings(server: Any) -> list[str]:
    """What an admin should know now, one sentence each. Raises as `refuse`: settings can change while Duey runs."""
    at = f"Redis at {server.address}"
    facts = server.facts()
    off = [text] if (text := clock.warning(clock.host_ahead_s(), "this machine")) else []
    if facts is None:
        text = f"{at} does not allow this user to run INFO: make sure that it evicts no keys and saves its data"
        return [text, *off]
    refuse(facts, at)
    return [*facts.warnings(at), *off]
