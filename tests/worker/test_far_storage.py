"""A worker far from its storage claims while bodies run, and keeps no more than it runs in two round trips."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest

import duey
from duey.config import load
from duey.execution.huey import DurableHuey
from duey.model.limits import Limit
from duey.worker.pace import AHEAD_MAX, Pace
from tests.contracts.rig import TASK, Hand, job, jobs, look, with_lifecycle, worker_threads
from tests.support.waiting import wait_until

JOBS, THREADS, BODY_S, ROUND_TRIP_S = 100, 4, 0.02, 0.1


@pytest.fixture
def huey(tmp_path, far_line) -> Iterator[DurableHuey]:
    (tmp_path / "config.ini").write_text(
        f"[storage]\nbackend = redis\nname = t{uuid.uuid4().hex[:12]}\nurl = {far_line.url}\n"
    )
    huey = duey.build(load(tmp_path / "config.ini", {}))
    with_lifecycle(huey.storage, huey)
    yield huey
    huey.storage.close()


def test_a_far_worker_claims_while_bodies_run(huey, far_line, monkeypatch):
    begun: list[int] = []
    nap = huey.task(name="nap")(lambda n: begun.append(n) or time.sleep(BODY_S))
    nap.map(range(JOBS))
    far_line.round_trip_s = ROUND_TRIP_S
    huey.storage.server.round_trip_s = 0.0  # as if it had been so far away from the beginning
    huey.storage.server.compare_clocks()
    claimed: list[int] = []
    settle_and_claim = huey.storage.settle_and_claim

    def counted(*args):
        found = settle_and_claim(*args)
        claimed.append(len(found.claims))
        return found

    monkeypatch.setattr(huey.storage, "settle_and_claim", counted)
    with worker_threads(huey, THREADS):
        wait_until(lambda: len(begun) >= JOBS, 30, "all jobs begin")
    assert huey.storage.round_trip_s >= ROUND_TRIP_S
    assert sorted(begun) == list(range(JOBS)) and huey.storage.counts().running == 0
    turns = [many for many in claimed if many]
    assert sum(turns) == JOBS, "nothing was claimed that went back"
    assert len(turns) < JOBS / THREADS / 1.5, turns  # without looking ahead one for each four jobs, or less


def test_a_worker_looks_ahead_by_what_it_runs_in_two_round_trips():
    class Storage:
        round_trip_s = 0.2

    pace = Pace(Storage())
    assert pace.ahead(4, 0) == 4 and pace.ahead(4, 4) == 12  # how long bodies take is not known yet
    for _ in range(100):
        pace.ran(0.05)
    assert pace.ahead(4, 50) == 32 and pace.patience_s == 0.4
    pace.body_s = 10.0
    assert pace.ahead(4, 50) == 0  # it would keep them from others
    pace.body_s = 1e-5
    assert pace.ahead(4, 500) == AHEAD_MAX
    Storage.round_trip_s = 0.002
    assert pace.ahead(4, 500) == 0 and pace.patience_s < 0.01


def test_a_job_of_a_task_with_limits_is_claimed_for_a_thread_that_waits_for_it(huey):
    storage = huey.storage
    storage.limits = {TASK: Limit(9, None, 0.0)}
    storage.enqueue_jobs([*(job(each, task="shop.free") for each in "ab"), *jobs("cd"), job("e", task="shop.free")])
    hand = Hand(storage)

    def claim(want: int, ahead: int) -> str:
        return "".join(c.job.id for c in storage.settle_and_claim(hand.n, (), want, ("*",), False, ahead).claims)

    assert claim(1, 9) == "ab"
    assert claim(0, 9) == "" and [look(storage, each).place for each in "cde"] == ["ready"] * 3
    assert claim(1, 9) == "c"
    assert claim(1, 9) == "de"
    hand.go()
