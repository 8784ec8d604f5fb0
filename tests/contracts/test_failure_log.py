"""What the log says of failures: one line each, and nothing of what is none."""

from __future__ import annotations

import logging

import pytest

from duey import Discard, Retry
from duey.execution.huey import DurableHuey
from duey.model.job import ONCE
from tests.contracts.rig import Clock, Hand, job, run_next

MESSAGE = "no answer from https://ana:hunter22@example.org/"
SHOWN = MESSAGE.replace("hunter22", "[redacted]")


def fail() -> None:
    raise ValueError(f"{MESSAGE}\nsecond line")


def again() -> None:
    raise Retry(1)


def discard() -> None:
    raise Discard("no use")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [f"{record.levelname} {record.getMessage()}" for record in caplog.records if record.name == "duey.jobs"]
    caplog.clear()
    return found


def test_each_failed_attempt_is_one_line_and_its_traceback_one_at_debug(
    huey: DurableHuey, clock: Clock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    retried = "WARNING job ID (TASK) failed and runs again in 0 s, {} retries left: ValueError: " + SHOWN
    cases = {
        fail: [retried.format(1), retried.format(0), f"ERROR job ID (TASK) failed: ValueError: {SHOWN}"],
        discard: ["WARNING job ID (TASK) was discarded: Discard: no use"],
        again: [],
        dict: [],
    }
    for body, expected in cases.items():
        task = huey.task(retries=2, name=f"t_{body.__name__}")(body)
        made = task()
        for _ in range(max(1, len(expected))):
            run_next(huey)
        name = f"{task.task_class.__module__}.{task.task_class.__name__}"
        assert lines(caplog) == [line.replace("ID", made.id).replace("TASK", name) for line in expected]
    with huey.lock_task("held"):
        huey.task(name="locked")(huey.lock_task("held")(dict))()
        run_next(huey)
    assert lines(caplog) == []
    caplog.set_level(logging.DEBUG)
    huey.task(name="fails")(fail)()
    run_next(huey)
    error, trace = lines(caplog)
    assert error.startswith("ERROR ") and trace.startswith("DEBUG ")
    assert "in fail" in trace and "hunter22" not in trace


def test_who_finds_a_job_failed_says_so(huey: DurableHuey, hand: Hand, caplog: pytest.LogCaptureFixture):
    """An unreadable one by whoever claimed it, one whose worker died by whoever returns its claims."""
    huey.task(name="order")(dict)
    huey.storage.enqueue_jobs([job("unread", task=f"{__name__}.order", payload=b"no payload")])
    assert huey.dequeue() is None
    (line,) = lines(caplog)
    assert line.startswith("ERROR job unread ") and "failed: PayloadUndecodable: " in line
    huey.storage.enqueue_jobs([job("killed", flags=ONCE)])
    hand.die_running()
    (line,) = lines(caplog)
    assert line.startswith("ERROR job killed (shop.order) failed: WorkerDied: its worker died")
