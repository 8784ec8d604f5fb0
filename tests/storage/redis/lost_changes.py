"""Redis loses changes that it has answered: a replica takes over, or it restarts without the end of its log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.storage.redis.consistency import log_of
from tests.storage.redis.proxy import LossyLine
from tests.support import needs, wait_until
from tests.support.redis_server import MISSING, RedisServer, redis_binary


class Pair:
    """`first` is in use, `second` is its replica. `line` leads to the one in use."""

    def __init__(self, first: RedisServer, second: RedisServer) -> None:
        self.first, self.second = first, second
        self.line = LossyLine(first.url)
        self.url = self.line.url
        self._follow()

    def _follow(self) -> None:
        with redis.Redis(port=self.second.port) as replica:
            replica.replicaof("127.0.0.1", str(self.first.port))

    def cut(self) -> None:
        """The replica gets no changes any more."""
        with redis.Redis(port=self.first.port) as first, redis.Redis(port=self.second.port) as second:
            wait_until(lambda: second.info("replication").get("master_link_status") == "up", 10, "the replica follows")
            first.wait(1, 5000)
            second.replicaof("NO", "ONE")

    def lose(self) -> None:
        """The replica is used from now on, and the other server follows it. All connections end."""
        self.line.lead_to(self.second.url)
        self.first, self.second = self.second, self.first
        self._follow()


class Logged:
    """A server whose log loses its end when the server is killed. It has the interface of a Pair."""

    def __init__(self, server: RedisServer) -> None:
        self.first, self.url = server, server.url
        self._log, self._length = log_of(server.folder), 0

    def cut(self) -> None:
        """What comes after this is lost."""
        self._length = self._log.stat().st_size

    def lose(self) -> None:
        """The server is killed and started again without what came after the cut."""
        self.first.kill()
        os.truncate(self._log, self._length)
        self.first.start()


@contextmanager
def running_logged(folder: Path) -> Iterator[Logged]:
    options = ["--appendonly", "yes", "--appendfsync", "no", "--save", ""]
    with RedisServer(needs(redis_binary(), MISSING), folder / "logged", options) as server:
        yield Logged(server)


@contextmanager
def running_pair(folder: Path) -> Iterator[Pair]:
    binary = needs(redis_binary(), MISSING)
    at_once = ["--save", "", "--repl-diskless-sync-delay", "0"]
    servers = [RedisServer(binary, folder / name, at_once) for name in ("first", "second")]
    with servers[0], servers[1]:
        pair = Pair(*servers)
        yield pair
        pair.line.close()
