"""Doing harm to a consumer, and telling afterwards what the harm explains.

A job whose worker died while it ran runs again, and so may one that ended in the few milliseconds before: its
acknowledgement was on no disk yet. Nothing else may run twice. DUEY_TEST_SEED seeds what is random.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from duey.model.job import ENDED
from tests.acceptance.deployment import Deployment
from tests.acceptance.ledger import Run
from tests.acceptance.processes import is_alive, kill
from tests.acceptance.variants import SOAK
from tests.support import wait_until

SEED = int(os.environ.get("DUEY_TEST_SEED", "1"))
# An acknowledgement is committed within the prefetcher's window (4 ms), and a busy machine takes its time over that:
# half a second has been seen where ten processes wanted two cores.
COMMIT_S = 0.06 if SOAK else 1.0


class Killed(NamedTuple):
    """A process that was killed, and when, at the earliest and at the latest."""

    pid: int
    after: float
    before: float


class Harm:
    """Kills parts of a consumer and remembers what it killed."""

    def __init__(self, deployment: Deployment, workers: int, kind: str, rng: random.Random) -> None:
        self.deployment, self.workers, self.kind, self.rng = deployment, workers, kind, rng
        self.killed: list[Killed] = []
        self.consumer = deployment.launch(workers, kind)

    def do(self, what: str) -> None:
        """Kill a child, the parent alone, or the whole tree; what is left without a parent is started anew."""
        if what == "child":
            self._note([self.rng.choice(self.consumer.children() or [self.consumer.pid])], kill)
        elif what == "parent":
            self._note(self.consumer.pids(), lambda pid: kill(pid) if pid == self.consumer.pid else None)
        else:
            pids = self.consumer.pids()
            self.rng.shuffle(pids)
            self._note(pids, kill)
        if what != "child" or self.consumer.popen.poll() is not None:
            self.consumer.popen.wait(30)
            self.consumer = self.deployment.launch(self.workers, self.kind)

    def _note(self, pids: list[int], do: Callable[[int], None]) -> None:
        after = time.monotonic()
        for pid in pids:
            do(pid)
        wait_until(lambda: not any(is_alive(pid) for pid in pids), 30, "what was killed is dead")
        self.killed += [Killed(pid, after, time.monotonic()) for pid in pids]


def explained(run: Run, killed: list[Killed]) -> bool:
    """Whether a kill of its process is the reason that this execution was not the last."""
    deaths = [death for death in killed if death.pid == run.pid]
    return any(run.ended is None or run.ended > death.after - COMMIT_S for death in deaths)


def check_once(deployment: Deployment, ids: Sequence[str]) -> None:
    """Each job reached one final state, once, and the storage holds no other job and nothing unfinished."""
    events = [(row.job.id, row.kind) for row in deployment.huey.storage.read_outbox(1_000_000) if row.job]
    ends = Counter(job_id for job_id, kind in events if kind in ENDED)
    assert ends == dict.fromkeys(ids, 1)
    assert {job_id for job_id, _ in events} == set(ids)
    counts = deployment.control.counts()
    assert (counts.queued, counts.running, counts.scheduled, counts.retrying) == (0, 0, 0, 0)
