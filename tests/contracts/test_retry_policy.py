"""Retries by a task's own policy: how often, when, for which errors, and for how long; the clock is the test's."""

from __future__ import annotations

import pytest

from duey import Discard, Retry, exponential, sidekiq_backoff
from duey.control.service import Control
from duey.model.job import JobRequest
from tests.contracts.rig import kinds, look, run_all, run_next, state
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])
MANY = [OSError()] * 99


@pytest.fixture
def failing(huey):
    """A factory of tasks that raise the next of these errors each time, and answer once there is none left."""
    made = []

    def make(*raised, **options):
        left = list(raised)

        def failing():
            if left:
                raise left.pop(0)
            return "well"

        made.append(huey.task(name=f"failing{len(made)}", **options)(failing))
        return made[-1]

    return make


def waits(huey, clock, result):
    """Run the job until it ends; the seconds between its attempts."""
    found = []
    run_next(huey)
    while state(huey.storage, result.id) == "retrying":
        found.append(look(huey.storage, result.id).job.eta - clock.at)
        clock.at = look(huey.storage, result.id).job.eta
        run_next(huey)
        assert len(found) <= 100
    return found


def last_detail(huey):
    return huey.lifecycle.read_events(1000)[-1].detail


def test_how_long_a_policy_waits_and_how_the_job_ends(huey, clock, failing):
    def told(attempt, error):
        return attempt + len(str(error))

    table = {
        "exponential": (MANY[:4], {"retries": 4, "backoff": exponential(1, 3, 20, 0)}, [1, 3, 9, 20], "done"),
        "is told the error": ([OSError("1234"), OSError("1")], {"retries": 2, "backoff": told}, [5, 3], "done"),
        "a back-off that fails": (MANY[:1], {"retries": 1, "retry_delay": 4, "backoff": lambda *_: 1 / 0}, [4], "done"),
        "Retry spends none": (
            [Retry(7), Retry(9), OSError()], {"retries": 1, "backoff": exponential(50, 2, 500, 0)}, [7, 9, 50], "done",
        ),
        "retry_for": (MANY, {"retry_for": 60, "retry_delay": 25}, [25, 25, 25], "failed"),
    }  # fmt: skip
    for name, (errors, options, seconds, end) in table.items():
        result = failing(*errors, **options)()
        assert (waits(huey, clock, result), state(huey.storage, result.id)) == (seconds, end), name
    assert "retry_for=60 s" in last_detail(huey)["reason"]
    found = waits(huey, clock, failing(*MANY, backoff=sidekiq_backoff)())
    assert len(found) == 25, "Sidekiq's back-off brings its retries"
    assert all(0 <= wait - (n**4 + 15) <= 9 * (n + 1) for n, wait in enumerate(found))
    assert last_detail(huey)["type"] == "OSError"


def test_which_errors_are_retried(huey, failing):
    """Those that are not end the job at once, and it says why."""
    table = {
        "named": (ConnectionResetError(), {"retry_on": (OSError,)}, None),
        "not named": (KeyError("x"), {"retry_on": (OSError,)}, "not retried: retry_on does not name KeyError"),
        "discarded": (KeyError("x"), {"discard_on": (LookupError,)}, "discarded: discard_on names LookupError"),
        "by the body": (Discard("no such customer"), {}, "discarded: no such customer"),
    }
    for name, (error, options, reason) in table.items():
        result = failing(error, retries=5, **options)()
        run_all(huey)
        assert state(huey.storage, result.id) == ("failed" if reason else "done"), name
        if reason:
            detail = last_detail(huey)
            assert (detail["type"], detail["reason"]) == (type(error).__name__, reason)
            assert detail.get("discarded", False) == reason.startswith("discarded")
            assert kinds(huey.storage, result.id) == ["enqueued", "failed"]


def test_the_service_s_defaults_hold_where_neither_the_task_nor_the_call_says_more(make_huey, clock):
    huey = make_huey(tasks_retries=3, tasks_backoff_s=30)
    options = {"silent": {}, "own": {"retries": 1, "retry_delay": 5}, "huey_s": {"retry_backoff": 3}}
    silent, own, huey_s = (huey.task(name=name, **given)(lambda: 1 / 0) for name, given in options.items())
    found = waits(huey, clock, silent())
    assert all(full / 2 <= wait <= full for wait, full in zip(found, (30, 60, 120), strict=True))
    assert waits(huey, clock, own()) == [5]
    assert waits(huey, clock, huey_s()) == [30, 90, 270]
    control = Control(huey)
    job = control.enqueue([JobRequest("own", retries=4)]).jobs[0]
    assert waits(huey, clock, job) == [5] * 4
    assert (control.job(job.id).attempt, control.job(job.id).state) == (5, "failed")
    results = [silent() for _ in range(50)]
    run_all(huey)
    seconds = [int(look(huey.storage, result.id).job.eta) for result in results]
    assert max(map(seconds.count, seconds)) < 20, "chance lets not all of them return together"


def test_a_job_retried_by_hand_begins_its_back_off_anew(huey, clock, failing):
    result = failing(*MANY[:5], retries=1, backoff=exponential(10, 10, 10_000, 0), retry_for=100)()
    assert waits(huey, clock, result) == [10]
    clock.advance(1000)
    huey.storage.retry(result.id, None, 1)
    assert waits(huey, clock, result) == [10]
    assert look(huey.storage, result.id).job.attempt == 4


def test_a_body_that_was_killed_for_its_timeout_is_judged_by_the_same_policy(huey, hire, clock):
    slow = huey.task(name="slow", timeout=2, retries=3, backoff=exponential(40, 2, 400, 0))(lambda: None)
    strict = huey.task(name="strict", timeout=2, retries=3, retry_on=(OSError,))(lambda: None)
    result = slow()
    hire().die_running(timed_out=True)
    assert (look(huey.storage, result.id).state, look(huey.storage, result.id).job.eta) == ("retrying", clock.at + 40)
    assert last_detail(huey)["retries"] == 2
    result = strict()
    hire().die_running(timed_out=True)
    assert state(huey.storage, result.id) == "failed"
    assert last_detail(huey)["reason"] == "not retried: retry_on does not name TaskTimeout"
