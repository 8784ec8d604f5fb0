"""Who returns the jobs of a dead worker process: whatever a back-off function does, its job is retried, soon."""

from __future__ import annotations

import math
import os
import sys
import time

from duey.worker.process import WorkerSpec
from duey.worker.reaper import APART_S, Reaper
from duey.worker.watchdog import WorkerProcess
from tests.contracts.rig import look
from tests.support import wait_until

SPEC = WorkerSpec("Worker-1", 1, True, False, ("*",), "consumer", "process")
RETRY_S = 60.0  # the retry_delay
BACK_OFFS = {
    "answers": lambda attempt, error: 1000.0 * attempt,
    "says nan": lambda attempt, error: math.nan,
    "fails": lambda attempt, error: {}[attempt],
    "leaves": lambda attempt, error: sys.exit("no"),
    "ends": lambda attempt, error: os._exit(0),
    "kills": lambda attempt, error: os.kill(os.getpid(), 9),
    "sleeps": lambda attempt, error: time.sleep(600),
}


def test_a_killed_body_is_retried_whatever_its_back_off_does(huey, storage, hire, clock, caplog):
    reaper = Reaper(huey, 3, "consumer")
    killed = {}
    for name, backoff in BACK_OFFS.items():
        task = huey.task(name=name.replace(" ", "_"), retries=1, retry_delay=RETRY_S, timeout=1, backoff=backoff)
        killed[name] = task(lambda: None)()
        hand = hire()
        claim = hand.claim_one()
        hand.begin(claim)
        hand.die()
        assert reaper.reap(WorkerProcess(SPEC, 4242, number=hand.n, timed_out={claim.token}), -9), name
    reaper.rescue()
    assert len(reaper.apart) == len(BACK_OFFS), "nobody waited for them, nor took their jobs"

    def returned() -> bool:
        reaper.tend()
        return not reaper.apart

    wait_until(returned, APART_S + 10, "the jobs are returned")
    for name, handle in killed.items():
        found = look(storage, handle.id)
        waits_s = 1000.0 if name == "answers" else RETRY_S
        assert (found.state, found.job.eta, found.job.crashes) == ("retrying", clock() + waits_s, 0), name
    assert "a back-off has not answered in time" in caplog.text
