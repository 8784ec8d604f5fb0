"""Retries by a task's own policy: how often, when, for which errors, and for how long; the clock is the test's."""

from __future__ import annotations

import pytest

from duey import Discard, Retry, exponential, sidekiq_backoff
from duey.control.service import Control
from duey.model.job import JobRequest
from tests.contracts.rig import kinds, look, run_all, run_next, state


@pytest.fixture
def failing(huey):
    """A factory of tasks that raise the next of these errors each time, and answer once there is none left."""

    def make(*raised, **options):
        left = list(raised)

        @huey.task(**options)
        def failing():
            if left:
                raise left.pop(0)
            return "well"

        return failing

    return make


def waits(huey, clock, result, most=100):
    """Run the job until it ends; the seconds between its attempts."""
    found = []
    run_next(huey)
    while state(huey.storage, result.id) == "retrying":
        found.append(look(huey.storage, result.id).eta - clock.at)
        clock.at = look(huey.storage, result.id).eta
        run_next(huey)
        assert len(found) <= most
    return found


def last_detail(huey):
    return huey.storage.read_events(1000)[-1].detail


def test_retries_wait_as_the_back_off_says(huey, clock, failing):
    result = failing(*[OSError()] * 4, retries=4, backoff=exponential(1, 3, 20, 0))()
    assert waits(huey, clock, result) == [1, 3, 9, 20]
    assert result.get() == "well"


def test_a_back_off_may_be_any_function_and_is_told_the_error(huey, clock, failing):
    result = failing(
        OSError("1234"), OSError("1"), retries=2, backoff=lambda attempt, error: attempt + len(str(error))
    )()
    assert waits(huey, clock, result) == [5, 3]


def test_sidekiq_s_back_off_brings_its_25_retries(huey, clock, failing):
    result = failing(*[OSError()] * 99, backoff=sidekiq_backoff)()
    found = waits(huey, clock, result)
    assert len(found) == 25
    assert all(0 <= wait - (n**4 + 15) <= 9 * (n + 1) for n, wait in enumerate(found))
    assert state(huey.storage, result.id) == "failed"


def test_an_error_that_retry_on_does_not_name_is_final(huey, failing):
    result = failing(KeyError("x"), retries=5, retry_on=(OSError,))()
    run_next(huey)
    assert state(huey.storage, result.id) == "failed"
    assert last_detail(huey)["type"] == "KeyError"
    assert last_detail(huey)["reason"] == "not retried: retry_on does not name KeyError"


def test_an_error_that_retry_on_names_is_retried(huey, failing):
    result = failing(ConnectionResetError(), retries=5, retry_on=(OSError,))()
    run_next(huey)
    assert run_next(huey) == "well"
    assert result.get() == "well"


def test_what_is_discarded_ends_at_once_and_says_so(huey, failing):
    result = failing(KeyError("x"), retries=5, discard_on=(LookupError,))()
    run_next(huey)
    assert kinds(huey.storage) == ["enqueued", "failed"]
    detail = last_detail(huey)
    assert (detail["type"], detail["discarded"]) == ("KeyError", True)
    assert detail["reason"] == "discarded: discard_on names LookupError"
    assert state(huey.storage, result.id) == "failed"


def test_a_body_discards_its_job_itself(huey, failing):
    result = failing(Discard("no such customer"), retries=5)()
    run_next(huey)
    detail = last_detail(huey)
    assert (detail["type"], detail["message"], detail["discarded"]) == ("Discard", "no such customer", True)
    assert detail["reason"] == "discarded: no such customer"
    assert state(huey.storage, result.id) == "failed"


def test_a_body_asks_for_its_next_run_without_spending_a_retry(huey, clock, failing):
    result = failing(Retry(7), Retry(9), OSError(), retries=1, backoff=exponential(50, 2, 500, 0))()
    assert waits(huey, clock, result) == [7, 9, 50]
    assert result.get() == "well"


def test_retry_for_stops_by_the_time_since_the_first_failure(huey, clock, failing):
    result = failing(*[OSError()] * 99, retry_for=60, retry_delay=25)()
    assert waits(huey, clock, result) == [25, 25, 25]
    assert state(huey.storage, result.id) == "failed"
    assert "retry_for=60 s" in last_detail(huey)["reason"]


def test_the_service_s_defaults_hold_where_a_task_says_nothing(make_huey, clock):
    huey = make_huey(tasks_retries=3, tasks_backoff_s=30)

    @huey.task()
    def silent():
        raise OSError

    @huey.task(retries=1, retry_delay=5)
    def own():
        raise OSError

    @huey.task(retry_backoff=3)
    def huey_s():
        raise OSError

    found = waits(huey, clock, silent())
    assert all(full / 2 <= wait <= full for wait, full in zip(found, (30, 60, 120), strict=True))
    assert waits(huey, clock, own()) == [5]
    assert waits(huey, clock, huey_s()) == [30, 90, 270]


def test_the_service_s_back_off_brings_chance_so_that_a_hundred_do_not_return_together(make_huey, clock):
    huey = make_huey(tasks_retries=1, tasks_backoff_s=30)

    @huey.task()
    def silent():
        raise OSError

    results = [silent() for _ in range(100)]
    run_all(huey)
    seconds = [int(look(huey.storage, result.id).eta) for result in results]
    assert max(map(seconds.count, seconds)) < 30


def test_a_call_s_own_retries_win_over_both(make_huey, clock):
    huey = make_huey(tasks_retries=2)

    @huey.task(retries=1)
    def task():
        raise OSError

    control = Control(huey)
    job = control.enqueue([JobRequest("task", retries=3)]).jobs[0]
    run_all(huey)
    assert (control.job(job.id).attempt, control.job(job.id).state) == (4, "failed")


def test_a_job_retried_by_hand_begins_its_back_off_anew(huey, clock, failing):
    result = failing(*[OSError()] * 5, retries=1, backoff=exponential(10, 10, 10_000, 0), retry_for=100)()
    assert waits(huey, clock, result) == [10]
    clock.advance(1000)
    huey.storage.retry(result.id, None, 1)
    assert waits(huey, clock, result) == [10]
    assert look(huey.storage, result.id).attempt == 4


def test_a_failing_back_off_does_not_take_the_job_with_it(huey, clock, failing):
    result = failing(OSError(), retries=1, retry_delay=4, backoff=lambda attempt, error: 1 / 0)()
    assert waits(huey, clock, result) == [4]
    assert result.get() == "well"


def test_a_body_that_was_killed_for_its_timeout_is_judged_by_the_same_policy(huey, hire, clock):
    @huey.task(timeout=2, retries=3, backoff=exponential(40, 2, 400, 0))
    def slow():
        pass

    @huey.task(timeout=2, retries=3, retry_on=(OSError,))
    def strict():
        pass

    for task, expected in ((slow, "retrying"), (strict, "failed")):
        result, hand = task(), hire()
        claim = hand.claim_one()
        hand.begin(claim)
        hand.die()
        huey.storage.reap(hand.dead(timed_out=[claim]), 3)
        assert state(huey.storage, result.id) == expected
        if expected == "retrying":
            assert look(huey.storage, result.id).eta == clock.at + 40
            assert last_detail(huey)["retries"] == 2
        else:
            assert last_detail(huey)["reason"] == "not retried: retry_on does not name TaskTimeout"
