"""No lock is held while an author's code runs: wherever it runs, it can enqueue a job as another process would, which
would wait for the lock, and fail."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections import Counter
from dataclasses import dataclass

import pytest
from huey.api import chord

from duey import logs, register_type
from duey.execution.body.job_log import JobLog
from duey.model.job import FAILED
from duey.storage.contract import JobStorage
from tests.contracts.rig import job, look, run_all, state

USED: Counter[str] = Counter()
OTHER: list[JobStorage] = []


def use_the_storage(where: str) -> None:
    for storage in OTHER:
        storage.enqueue_jobs([job(f"{where} {USED[where]}", queue="nobody")])
        USED[where] += 1


@register_type
@dataclass
class Cargo:
    n: int

    def __post_init__(self) -> None:
        use_the_storage("constructor")


class LoudError(Exception):
    def __str__(self) -> str:
        use_the_storage("str")
        return "loud"


def back_off(attempt: int, error: BaseException) -> float:
    use_the_storage("back-off")
    return 5.0


@pytest.fixture(autouse=True)
def other(elsewhere):
    USED.clear()
    OTHER[:] = [elsewhere]
    yield
    OTHER.clear()


def test_not_in_an_attempt_nor_when_a_job_is_canceled_or_replaced(huey, storage):
    for hook in (huey.pre_execute, huey.post_execute, huey.signal):
        hook()(lambda *_: use_the_storage("hook"))

    def handler(job, error):
        use_the_storage("on_failed")

    @huey.task(retries=1, backoff=back_off, on_failed=handler, unique=True, unique_conflict="replace")
    def fails(cargo):
        raise LoudError

    @huey.task()
    def returns(cargo):
        return cargo

    @huey.task()
    def together(parts):
        return None

    huey.enqueue(returns.s(Cargo(1)))
    for _ in range(2):
        fails(Cargo(2))
    run_all(huey)
    ended = fails.s(Cargo(3), retries=0)
    huey.enqueue(ended)
    run_all(huey)
    member = returns.s(Cargo(4))
    huey.enqueue(chord([member], together.s()))
    huey.lifecycle.cancel(member.id)
    run_all(huey)
    assert state(storage, ended.id) == FAILED and state(storage, member.id) == "canceled"
    assert {"constructor", "hook", "str", "back-off", "on_failed"} == USED.keys()


def test_not_while_a_log_line_is_made(settings, monkeypatch):
    began, may_end = threading.Event(), threading.Event()
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)

    class Slow:
        def __str__(self) -> str:
            began.set()
            return str(may_end.wait(60))

    job_log, logger = JobLog(), logging.getLogger("tests.slow")
    logs.attach(logger, settings)
    logger.addHandler(job_log)
    slow = threading.Thread(target=logger.info, args=("%s", Slow()))
    slow.start()
    began.wait(60)
    job_log.begin()
    other = threading.Thread(target=logger.info, args=("soon",))
    other.start()
    other.join(60)
    assert not other.is_alive() and " soon" in out.getvalue() and slow.is_alive()
    may_end.set()
    slow.join(60)
    assert out.getvalue().endswith(" True\n")


def test_not_when_the_claims_of_a_dead_worker_are_released(huey, storage, hire):
    @huey.task(retries=1, timeout=1, backoff=back_off)
    def slow(cargo):
        return None

    handle = slow(Cargo(1))
    USED.clear()
    hand = hire()
    before = look(storage, handle.id).job.enqueued_at
    claim = hand.claim_one()
    hand.begin(claim)
    hand.die()
    storage.lifecycle.reap(hand.dead(timed_out=[claim]), 3)
    found = look(storage, handle.id)
    assert found.state == "retrying" and found.job.eta is not None and found.job.eta - before >= 5.0
    assert USED.keys() == {"back-off"}, "nobody decodes a call to return it"
