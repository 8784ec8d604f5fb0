"""When Huey's tasks run: eta and delay, expiry, rescheduling; all instants are UTC, whatever zone the host is in."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Iterator

import pytest

from tests.contracts.rig import kinds, look, run_all, run_next, state

UTC = datetime.timezone.utc


@pytest.fixture
def now(huey):
    """A task, and what it was called with when it ran."""

    @huey.task()
    def now(n=0):
        return n

    return now


@pytest.fixture
def zagreb() -> Iterator[None]:
    """A host in another time zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Zagreb"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def ahead(seconds: float) -> datetime.datetime:
    return datetime.datetime.now(UTC) + datetime.timedelta(seconds=seconds)


def test_a_delayed_call_runs_when_its_delay_is_over(huey, now, later):
    result = now.schedule((7,), delay=60)
    assert (state(huey.storage, result.id), len(huey), huey.scheduled_count()) == ("scheduled", 0, 1)
    later(59)
    assert run_all(huey) == []
    later(2)
    assert (run_all(huey), result.get()) == ([7], 7)


@pytest.mark.parametrize("delay", [60, 60.0, datetime.timedelta(seconds=60)], ids=["seconds", "fraction", "timedelta"])
def test_a_delay_may_be_a_number_or_a_timedelta(huey, now, later, delay):
    result = huey.enqueue(now.s(1, delay=delay))
    assert look(huey.storage, result.id).eta == pytest.approx(time.time() + 60, abs=5)


def test_schedule_without_arguments_takes_the_time_first(huey, now):
    for when in (60, datetime.timedelta(seconds=60), datetime.datetime.now() + datetime.timedelta(seconds=60)):
        assert look(huey.storage, now.schedule(when).id).eta == pytest.approx(time.time() + 60, abs=5)
    with pytest.raises(ValueError, match="eta"):
        now.schedule((1,))


def test_an_eta_with_a_zone_is_that_instant(huey, now):
    at = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=9))) + datetime.timedelta(hours=1)
    result = now.schedule(eta=at)
    assert look(huey.storage, result.id).eta == pytest.approx(at.timestamp(), abs=1e-3)


def test_a_naive_eta_is_local_time_as_in_huey(huey, now, zagreb):
    naive = datetime.datetime.now() + datetime.timedelta(hours=1)
    result = now.schedule(eta=naive)
    assert look(huey.storage, result.id).eta == pytest.approx(time.time() + 3600, abs=5)


def test_an_eta_is_not_moved_by_the_zone_of_the_host(huey, now, zagreb, later):
    """Unlike Huey's, which stores it through local time: up to hours wrong."""
    now.schedule((1,), delay=60)
    later(59)
    assert run_all(huey) == []
    later(2)
    assert run_all(huey) == [1]


def test_an_eta_in_the_past_runs_at_once(huey, now):
    now.schedule((1,), eta=ahead(-60))
    now.schedule((2,), delay=-1)
    assert run_all(huey) == [1, 2]


def test_a_scheduled_job_keeps_its_priority(huey, now, later):
    for n, priority in [(1, None), (2, 5)]:
        now.schedule((n,), delay=10, priority=priority)
    later(11)
    assert run_all(huey) == [2, 1]


# expiry


def test_a_job_that_comes_too_late_expires(huey, now, later):
    result = huey.enqueue(now.s(1, expires=60))
    later(61)
    assert (run_all(huey), state(huey.storage, result.id)) == ([None], "expired")
    assert kinds(huey.storage) == ["enqueued", "expired"]
    assert result.get() is None


def test_a_job_that_comes_in_time_runs(huey, now, later):
    huey.enqueue(now.s(1, expires=60))
    later(58)
    assert run_all(huey) == [1]


@pytest.mark.parametrize(
    "expires", [60, datetime.timedelta(seconds=60), lambda: ahead(60)], ids=["seconds", "timedelta", "instant"]
)
def test_an_expiry_may_be_a_number_a_timedelta_or_an_instant(huey, now, expires):
    result = huey.enqueue(now.s(1, expires=expires() if callable(expires) else expires))
    assert look(huey.storage, result.id).expires_at == pytest.approx(time.time() + 60, abs=5)


def test_a_relative_expiry_begins_once_and_not_again_with_each_retry(huey, later):
    """Unlike Huey's, which begins it anew each time that the task is enqueued."""

    @huey.task(expires=60, retries=5)
    def fail():
        raise ValueError

    result = fail()
    for _ in range(2):
        run_next(huey)
        later(31)
    run_next(huey)
    assert state(huey.storage, result.id) == "expired"


def test_a_scheduled_job_may_expire_before_it_is_due(huey, now, later):
    result = now.schedule((1,), delay=60, expires=30)
    later(61)
    run_all(huey)
    assert state(huey.storage, result.id) == "expired"


def test_the_expiry_of_a_later_step_begins_when_that_step_is_deferred(huey, now, later):
    _, second = huey.enqueue(now.s(1, delay=100).then(now.s(expires=50)))
    assert huey.scheduled()[0].on_complete.expires_resolved is None
    later(101)
    run_next(huey)
    assert look(huey.storage, second.id).expires_at is not None


# rescheduling


def test_rescheduling_defers_the_call_anew_and_revokes_the_old_one(huey, now, later):
    first = now.schedule((1,), delay=10)
    second = first.reschedule(delay=60)
    assert second.id != first.id
    later(11)
    assert run_all(huey) == [None]
    assert state(huey.storage, first.id) == "canceled"
    later(50)
    assert (run_all(huey), second.get()) == ([1], 1)


def test_rescheduling_without_a_time_runs_now(huey, now):
    second = now.schedule((1,), delay=10).reschedule()
    assert (run_all(huey), second.get()) == ([1], 1)


def test_rescheduling_may_change_priority_and_expiry(huey, now):
    second = now.schedule((1,), delay=10, priority=1, expires=30).reschedule(delay=60, priority=9, expires=90)
    found = look(huey.storage, second.id)
    assert (found.priority, found.expires_at) == (9.0, pytest.approx(time.time() + 90, abs=5))


@pytest.mark.parametrize(("preserve", "values"), [(True, [None, 1, 1]), (False, [None, 1])])
def test_rescheduling_keeps_the_pipeline_or_not(huey, now, later, preserve, values):
    huey.enqueue(now.s(1, delay=5).then(now))
    task = huey.scheduled()[0]
    huey._result_handle(task).reschedule(preserve_pipeline=preserve)
    later(6)
    assert sorted(run_all(huey), key=str) == sorted(values, key=str)
