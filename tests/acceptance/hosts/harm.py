"""Doing harm to hosts, and telling afterwards which executions it explains.

At least once: a job whose host was killed or cut off while it ran, or in the moment before its end was written, runs
again. Nothing else may run twice.
"""

from __future__ import annotations

import math
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.acceptance.harm import COMMIT_S
from tests.acceptance.hosts.cluster import Cluster
from tests.acceptance.hosts.duey_host import DueyHost
from tests.acceptance.hosts.stream import Stream
from tests.acceptance.ledger import Run
from tests.acceptance.processes import kill
from tests.support import wait_until

BACK_S = 10.0  # what a host that was cut off waits at most for an answer that will not come


class Period(NamedTuple):
    """What ran on this host meanwhile may run again (CLOCK_MONOTONIC). `host` is empty for all of them."""

    host: str
    since: float
    until: float

    def explains(self, host: str, run: Run) -> bool:
        ended = math.inf if run.ended is None else run.ended
        return self.host in ("", host) and run.began <= self.until and ended >= self.since - COMMIT_S


class HostHarm:
    def __init__(self, site: Cluster) -> None:
        self._site = site
        self.periods: list[Period] = []

    def explains(self, host: str, run: Run) -> bool:
        return any(period.explains(host, run) for period in self.periods)

    @contextmanager
    def _noted(self, host: str, after_s: float = 0.0) -> Iterator[None]:
        since = time.monotonic()
        try:
            yield
        finally:
            self.periods.append(Period(host, since, time.monotonic() + after_s))

    def kill(self, which: DueyHost) -> None:
        """kill -9 of all that runs there."""
        with self._noted(which.name):
            which.process.kill_tree()

    def restart(self, which: DueyHost) -> None:
        """Kill what runs there, and start it again."""
        self.kill(which)
        self._site.run(which)
        self._site.wait_up(which)

    def kill_child(self, which: DueyHost) -> None:
        """kill -9 of the process that runs the bodies."""
        with self._noted(which.name):
            for pid in which.process.children():
                kill(pid)

    @contextmanager
    def cut_off(self, which: DueyHost) -> Iterator[None]:
        with self._noted(which.name, BACK_S):
            which.host.cut()
            try:
                yield
            finally:
                which.host.mend()

    def slow_down(self, which: DueyHost) -> None:
        """From here on packets to and from it take long, and some are lost. With a short lease it is as if it were cut
        off for moments."""
        which.host.slow(delay_s=0.2, loss=0.05)
        if self._site.lease_s < BACK_S:
            self.periods.append(Period(which.name, time.monotonic(), math.inf))

    # Redis: whatever it lost of its newest changes, any host may have to repeat

    def fail_over(self, follow: bool) -> None:
        """By hand. `follow`: the former primary becomes a replica at once, so that jobs are acknowledged again."""
        with self._noted("", BACK_S):
            server = self._site.stores.primary
            self._site.stores.fail_over()
            if follow:
                self._site.stores.follow(server)

    def kill_primary(self) -> None:
        """It comes back as a replica."""
        with self._noted("", BACK_S):
            stores = self._site.stores
            server = stores.primary
            server.kill()
            stores.wait_another_than(server)
            server.start()

    def stall_primary(self) -> None:
        """It stands still, and goes on when another one has taken its place."""
        with self._noted("", BACK_S):
            server = self._site.stores.primary
            server.signal(signal.SIGSTOP)
            self._site.stores.wait_another_than(server)
            server.signal(signal.SIGCONT)

    def cut_off_primary(self) -> None:
        with self._noted("", BACK_S):
            server = self._site.stores.primary
            server.host.cut()
            self._site.stores.wait_another_than(server)
            server.host.mend()

    def any(self, rng: random.Random) -> str:
        """Do one of these, and say which."""
        consumer, web = rng.choice(self._site.consumers), rng.choice(self._site.webs)

        def cut_off(which: DueyHost, seconds: float) -> None:
            with self.cut_off(which):
                time.sleep(seconds)

        def without_history() -> None:
            with self._site.database.away():
                time.sleep(5)

        ways: dict[str, Callable[[], object]] = {
            "stop PostgreSQL for 5 s": without_history,
            f"restart {consumer.name}": lambda: self.restart(consumer),
            f"restart {web.name}": lambda: self.restart(web),
            f"kill the bodies of {consumer.name}": lambda: self.kill_child(consumer),
            f"cut off {consumer.name} for 3 s": lambda: cut_off(consumer, 3),
            f"cut off {consumer.name} for 60 s": lambda: cut_off(consumer, 60),
            f"cut off {web.name} for 5 s": lambda: cut_off(web, 5),
            "fail over": lambda: self.fail_over(follow=rng.random() < 0.5),
            "kill the primary": self.kill_primary,
            "stall the primary": self.stall_primary,
            "cut off the primary": self.cut_off_primary,
        }
        name = rng.choice(list(ways))
        ways[name]()
        return name


def check(site: Cluster, stream: Stream, harm: HostHarm, within_s: float) -> str:
    """Everything ends, nothing is lost, what ran twice is explained, and the history is that of the ledgers. Returns a
    line with the figures."""
    try:
        wait_until(lambda: not site.unfinished(), within_s, "every job has ended and was recorded")
    except AssertionError as exc:
        raise AssertionError(f"{exc}: {site.unfinished()}\n{site.said()}") from None
    runs = site.runs()
    lost = {n: job_id for n, job_id in stream.accepted.items() if not any(run.ended for _, run in runs.get(str(n), ()))}
    assert not lost, f"accepted, and not run: {lost}\n{site.said()}"
    for n, each in runs.items():
        unexplained = [(host.name, run) for host, run in each if not harm.explains(host.name, run)]
        assert len(unexplained) <= 1, f"{n} ran more than once: {unexplained}; {harm.periods}\n{site.said()}"
    again = sum(len(each) - 1 for each in runs.values())

    listed, other = (site.history(web) for web in site.webs)
    ended = {job_id: found for job_id, found in listed.items() if found[1] == "done"}
    assert ended.items() <= other.items(), "one history at both webs; schedules have gone on in between"
    accepted = set(stream.accepted.values())
    assert accepted <= set(ended), f"accepted, and not ended in the history: {accepted - set(ended)}"
    # A request that was refused may have stored a job that Redis then lost, with its key: the next one stored another.
    notes = {job_id for job_id, (task, _) in listed.items() if task == "note"}
    assert len(notes - accepted) <= sum(stream.refused.values()), "the history lists jobs that nobody asked for"
    return f"{len(accepted)} accepted, {dict(stream.refused)} refused, {again} executions repeated"
