"""Duey on several hosts: Redis with a replica, PostgreSQL, a load balancer before two webs, and three consumers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.deployment import LEASE_S, Section
from tests.acceptance.hosts.daemons import HTTP_PORT, WEB_PORT, Daemon, Database, nginx_on
from tests.acceptance.hosts.duey_host import DueyHost, HostClient
from tests.acceptance.hosts.network import Network
from tests.acceptance.hosts.stores import Stores
from tests.acceptance.http_client import shown
from tests.acceptance.ledger import Run
from tests.support import wait_until

NAME = "hosts"
WORKERS = 4  # threads of a consumer


class Programs(NamedTuple):
    """What the hosts run besides Duey."""

    redis: str
    nginx: str
    postgres: Path


class Cluster:
    """Made, and started, by `cluster`."""

    def __init__(
        self, folder: Path, network: Network, programs: Programs, database: Database, lease_s: float, ahead_s: int
    ) -> None:
        self.database, self.lease_s = database, lease_s
        places, balancer = (network.add("redis1"), network.add("redis2")), network.add("lb")
        self.stores = Stores(places, balancer, programs.redis, folder, NAME)
        webs = [network.add(f"web{n}") for n in (1, 2)]
        self.balancer: Daemon = nginx_on(balancer, programs.nginx, folder / "lb", webs)
        settings: Section = {
            "storage": {"backend": "redis", "name": NAME, "url": self.stores.url, "replicas": 1},
            "tasks": {"modules": "workload, scheduled_tasks", "max_crashes": 10},
            "consumer": {"lease_s": lease_s, "heartbeat_s": lease_s / 5, "workers": WORKERS},
            "web": {"port": WEB_PORT, "host": "0.0.0.0", "trusted_proxy": balancer.address},
            "monitor": {"database": database.url},
            "auth": {"database": database.url},
        }
        self.webs = [DueyHost(host, folder / host.name, settings) for host in webs]
        self.consumers = [
            DueyHost(network.add(f"work{n}"), folder / f"work{n}", settings, ahead_s if n == 3 else 0)
            for n in (1, 2, 3)
        ]

    def start(self) -> None:
        """Start everything, and wait until jobs sent to the balancer would run."""
        self.stores.start()
        for web in self.webs:
            web.start("web")
        for consumer in self.consumers:
            consumer.start("worker")
        self.balancer.start()
        for each in (*self.webs, *self.consumers):
            self.wait_up(each)
        (printed,) = [web.process.out for web in self.webs if "password" in web.process.out]
        self._token = shown(printed, "token")  # both have started at once: one of them made the account
        self.stores.wait_watched()

    def close(self) -> None:
        for each in (*self.webs, *self.consumers):
            each.close()

    # ways in

    def client(self, web: DueyHost | None = None, timeout_s: float = 15) -> HostClient:
        """Through the balancer, or of one web; from the host of the balancer."""
        lb = self.balancer.host
        return HostClient(lb, web.host if web else lb, WEB_PORT if web else HTTP_PORT, self._token, timeout_s)

    # what is seen

    def wait_up(self, which: DueyHost) -> None:
        """Wait until a web is ready, or a consumer takes jobs."""

        def is_up() -> bool:
            process = which.process
            if process.popen.poll() is not None:  # over a bad network Redis may not answer in time: systemd repeats it
                assert re.search("does not answer|cannot be reached", process.err), (
                    f"{which.name}: {process.err[-2000:]}"
                )
                self.run(which)
            return "ready\n" in process.out + process.err if which in self.webs else self.is_registered(which)

        wait_until(is_up, 60, f"{which.name} is ready", every_s=0.05)

    def run(self, which: DueyHost) -> None:
        """Start a web, or a consumer."""
        which.start("web" if which in self.webs else "worker")

    def _pids(self) -> set[str]:
        """Of all workers that are registered. The hosts share the machine's numbers of processes."""
        numbers = self.stores.ask("ZRANGE", "KEY:leases", 0, -1)
        return {self.stores.ask("HGET", f"KEY:worker:{n}", "pid") for n in numbers}

    def is_registered(self, consumer: DueyHost) -> bool:
        """Whether Redis has workers of this consumer: of one that is cut off it has none, after its lease."""
        return not self._pids().isdisjoint(map(str, consumer.process.children()))

    def unfinished(self) -> dict[str, Any]:
        """All that stands anywhere in Redis but at its end."""
        found: dict[str, Any] = {"live": self.stores.ask("ZRANGE", "KEY:live", 0, -1)}
        for pattern in ("claimed:*", "ready:*", "blocked:*", "limit_holders:*"):
            for key in self.stores.ask("KEYS", f"KEY:{pattern}"):
                found[key] = self.stores.ask("TYPE", key)
        for place in ("scheduled", "retrying", "outbox"):
            command = "XLEN" if place == "outbox" else "ZCARD"
            found[place] = self.stores.ask(command, f"KEY:{place}")
        return {name: value for name, value in found.items() if value}

    def runs(self) -> dict[str, list[tuple[DueyHost, Run]]]:
        """All executions of each job on all consumers, in their order."""
        found: dict[str, list[tuple[DueyHost, Run]]] = {}
        for consumer in self.consumers:
            for n, runs in consumer.ledger.runs().items():
                found.setdefault(n, []).extend((consumer, run) for run in runs)
        for runs in found.values():
            runs.sort(key=lambda each: each[1].began)
        return found

    def late_s(self, schedule: str, since: float) -> dict[float, float]:
        """By how much each slot from `since` on (epoch seconds) began too late."""
        offset, found = time.time() - time.monotonic(), {}
        for each, runs in self.runs().items():
            name, _, slot = each.partition("@")
            if name == schedule and float(slot) >= since:
                found[float(slot)] = runs[0][1].began + offset - float(slot)
        return found

    def said(self) -> str:
        """The last lines of all programs of Duey."""
        return "\n".join(f"{each.name}: {line}" for each in (*self.webs, *self.consumers) for line in each.log()[-8:])

    def history(self, web: DueyHost) -> dict[str, tuple[str, str]]:
        """Every job that one web lists: task and state, by id."""
        found, client, cursor = {}, self.client(web), ""
        while True:
            answer = client.get(f"/api/jobs?limit=200{cursor}")
            assert answer.status == 200, answer
            found |= {job["id"]: (job["task"], job["state"]) for job in answer.body["jobs"]}
            if not answer.body["next"]:
                client.close()
                return found
            cursor = f"&cursor={answer.body['next']}"


@contextmanager
def cluster(folder: Path, programs: Programs, lease_s: float = LEASE_S, ahead_s: int = 0) -> Iterator[Cluster]:
    """All of it, until the block ends."""
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        database = stack.enter_context(Database(network.add("db"), programs.postgres))
        made = Cluster(folder, network, programs, database, lease_s, ahead_s)
        stack.callback(made.close)
        made.start()
        yield made
