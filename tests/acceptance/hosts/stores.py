"""Redis on two hosts, a primary and its replica, with three Sentinels: what is asked goes to the present primary."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import redis

from tests.acceptance.hosts.daemons import MASTER, REDIS_PORT, SENTINEL_PORT, Daemon, redis_on, sentinel_on
from tests.acceptance.hosts.network import Host
from tests.support import wait_until


class Stores:
    """`watching`: the host of the third Sentinel."""

    def __init__(self, hosts: tuple[Host, Host], watching: Host, binary: str, folder: Path, name: str) -> None:
        first, second = hosts
        self.servers = [
            redis_on(first, binary, folder / first.name), redis_on(second, binary, folder / second.name, first)
        ]  # fmt: skip
        places = (first, second, watching)
        self.sentinels = [sentinel_on(host, binary, folder / f"{host.name}-sentinel", first) for host in places]
        self.url = f"redis+sentinel://{','.join(host.address for host in places)}/{MASTER}"
        self._watching, self._prefix = watching, f"duey:{{{name}}}:"

    def start(self) -> None:
        for each in self.servers:
            each.start()
        # A Sentinel looks for replicas every ten seconds: the first time it must find this one.
        wait_until(self._follows, 30, "the replica follows")
        for each in self.sentinels:
            each.start()

    def wait_watched(self) -> None:
        """Wait until the Sentinels know each other and the replica, so that they can fail over."""

        def watched() -> bool:
            found = [self._sentinel(each, "SENTINEL", "MASTER", MASTER) for each in self.sentinels]
            return all((int(each["num-slaves"]), int(each["num-other-sentinels"])) == (1, 2) for each in found)

        wait_until(watched, 60, "the Sentinels know each other", every_s=0.1)

    # harm

    @property
    def primary(self) -> Daemon:
        """The one that the Sentinel on the watching host names."""
        address = self._sentinel(self.sentinels[-1], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[0]
        return next(each for each in self.servers if each.host.address == address)

    def fail_over(self) -> None:
        """Let the Sentinels make the replica the primary, and wait until they have."""
        before = self.primary

        def done() -> bool:
            with contextlib.suppress(redis.ResponseError):  # they have begun, or do not trust the replica yet
                self._sentinel(self.sentinels[-1], "SENTINEL", "FAILOVER", MASTER)
            return self.primary is not before

        wait_until(done, 60, "there is another primary", every_s=0.05)

    def follow(self, server: Daemon) -> None:
        """Make it a replica of the primary now. The Sentinels would after some ten seconds."""
        self.at(server, "REPLICAOF", self.primary.host.address, REDIS_PORT)

    def wait_another_than(self, server: Daemon) -> None:
        """Wait until the Sentinels have made another server the primary."""
        wait_until(lambda: self.primary is not server, 60, "there is another primary", every_s=0.05)

    # asking

    def ask(self, *words: Any) -> Any:
        """What the primary answers to a command; `KEY:` begins a key of the service."""
        return self.at(self.primary, *(str(word).replace("KEY:", self._prefix) for word in words))

    def at(self, server: Daemon, *words: Any) -> Any:
        return _command(self._watching, server.host.address, REDIS_PORT, words)

    def _follows(self) -> bool:
        return self.at(self.servers[0], "INFO", "replication").get("slave0", {}).get("state") == "online"

    def _sentinel(self, sentinel: Daemon, *words: str) -> Any:
        return _command(self._watching, sentinel.host.address, SENTINEL_PORT, words)


def _command(asking: Host, address: str, port: int, words: tuple[Any, ...]) -> Any:
    with asking.inside(), redis.Redis(address, port, decode_responses=True, socket_timeout=5) as server:
        return server.execute_command(*words)
