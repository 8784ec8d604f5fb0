"""Signals and hooks as Huey documents them: which come, when, and what they may do."""

from __future__ import annotations

import pytest
from huey.api import chord, group
from huey.exceptions import CancelExecution

from tests.contracts.rig import kinds, run_all, run_next, state


@pytest.fixture
def heard(huey):
    """The names of the signals, in order."""
    names: list[str] = []

    @huey.signal()
    def hear(signal, task, *args):
        names.append(signal)

    return names


@pytest.fixture
def add(huey):
    @huey.task()
    def add(a, b=0):
        return a + b

    return add


def test_a_job_that_goes_well(huey, add, heard):
    add(1)
    assert heard == ["enqueued"]
    run_all(huey)
    assert heard == ["enqueued", "executing", "complete"]


def test_a_scheduled_job(huey, add, heard, later):
    add.schedule((1,), delay=60)
    assert heard == ["scheduled"]
    later(61)
    run_all(huey)
    assert heard == ["scheduled", "executing", "complete"]


def test_a_job_that_fails_and_is_retried(huey, heard, later):
    @huey.task(retries=2)
    def fail():
        raise ValueError("no good")

    huey.enqueue(fail.s(retry_delay=0))
    run_all(huey)
    attempt = ["executing", "error", "retrying"]
    assert heard == ["enqueued", *[*attempt, "enqueued"] * 2, "executing", "error"]
    heard.clear()
    huey.enqueue(fail.s(retry_delay=60, retries=1))
    run_all(huey)
    assert heard == ["enqueued", "executing", "error", "retrying", "scheduled"]


def test_a_revoked_an_expired_and_a_canceled_job(huey, add, heard):
    @huey.task()
    def stop():
        raise CancelExecution

    add(1).revoke()
    huey.enqueue(add.s(1, expires=-60))
    stop()
    heard.clear()
    run_all(huey)
    assert heard == ["revoked", "expired", "executing", "canceled"]


def test_a_job_that_waits_for_a_lock(huey, heard):
    @huey.task()
    @huey.lock_task("db")
    def backup():
        pass

    with huey.lock_task("db"):
        backup()
        run_all(huey)
    assert heard[:3] == ["enqueued", "executing", "locked"]


def test_the_jobs_of_groups_chords_and_pipelines_are_heard_of_too(huey, add, heard):
    @huey.task()
    def gather(values):
        return values

    huey.enqueue(group([add.s(1), add.s(2)]))
    assert heard == ["enqueued"] * 2
    huey.flush()
    heard.clear()
    huey.enqueue(chord([add.s(1), add.s(2)], gather.s()))
    assert heard == ["enqueued"] * 2
    huey.flush()
    heard.clear()
    huey.enqueue(add.s(1).then(add, 2))
    run_all(huey)
    assert heard == ["enqueued", "executing", "complete", "enqueued", "executing", "complete"]


def test_what_was_refused_was_not_enqueued(huey, add, heard):
    """Unlike Huey's, which signals before it writes."""
    huey.enqueue(add.s(1, id="old"))
    run_all(huey)
    heard.clear()
    with pytest.raises(Exception, match="already ended"):
        huey.enqueue(add.s(1, id="old"))
    assert heard == []


def test_a_receiver_that_fails_harms_nobody(huey, add):
    @huey.signal()
    def broken(signal, task, *args):
        raise RuntimeError("receiver")

    result = add(1)
    run_all(huey)
    assert result.get() == 1


# hooks


def test_a_hook_may_cancel_before_the_body_runs(huey, add, heard):
    @huey.pre_execute()
    def refuse(task):
        raise CancelExecution

    result = add(1)
    assert run_next(huey) is None
    assert (heard, state(huey.storage, result.id)) == (["enqueued", "executing", "canceled"], "canceled")
    assert kinds(huey.storage) == ["enqueued", "canceled"]


def test_a_hook_that_fails_harms_nobody(huey, add):
    @huey.pre_execute()
    def before(task):
        raise RuntimeError("hook")

    @huey.post_execute()
    def after(task, value, error):
        raise RuntimeError("hook")

    result = add(1)
    run_all(huey)
    assert result.get() == 1


def test_a_hook_may_defer(huey, add):
    @huey.post_execute()
    def after(task, value, error):
        if value == 1:
            huey.enqueue(group([add.s(10), add.s(20)]))

    add(1)
    assert run_all(huey) == [1, 10, 20]
