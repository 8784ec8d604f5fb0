"""Pipelines, chords, locks, signals and hooks, where Huey's own tests do not look or Duey's are more."""

from __future__ import annotations

import os
import time

import pytest
from huey.api import ResultGroup, chord, group
from huey.exceptions import CancelExecution, TaskException, TaskLockedException
from huey.utils import SKIPPED, Error

from duey import errors
from tests.contracts.rig import kinds, look, run_all, run_next, state
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])


@pytest.fixture
def add(huey):
    return huey.task(name="add")(lambda a, b=1: a + b)


@pytest.fixture
def gather(huey):
    return huey.task(name="gather")(lambda values, *more: [*values, *more])


@pytest.fixture
def once(huey):
    """A task that fails the first time that it is called with these arguments."""
    seen = []

    def once(n):
        if n not in seen:
            seen.append(n)
            raise ValueError("no good")
        return n

    return huey.task(name="once")(once)


# pipelines


def test_each_step_gets_the_value_of_the_one_before_and_keeps_its_own_options(huey, add, later):
    results = huey.enqueue(add.s(1, 2).then(add, 3).then(add.s(4, delay=60, priority=4)))
    assert isinstance(results, ResultGroup)
    _, second, third = results
    assert (len(huey), state(huey.storage, second.id)) == (1, None)
    assert (run_next(huey), len(huey), state(huey.storage, second.id)) == (3, 1, "queued")
    assert run_all(huey) == [6]
    assert (look(huey.storage, third.id).state, look(huey.storage, third.id).job.priority) == ("scheduled", 4.0)
    later(61)
    assert run_all(huey) == [10] and results.get() == [3, 6, 10]
    some, count = huey.task(name="some")(lambda n: [n, n]), huey.task(name="count")(len)
    results = huey.enqueue(some.s(1).then(count))
    run_all(huey)
    assert results.get() == [[1, 1], 2], "a list is one argument"


def test_a_pipeline_goes_on_after_a_retry_also_by_hand_and_no_step_runs_twice(huey, add, once):
    results = huey.enqueue(once.s(7, retries=1).then(add, 1))
    assert (run_all(huey), results.get()) == ([None, 7, 8], [7, 8])
    first, second = huey.enqueue(once.s(5).then(add, 1))
    run_all(huey)
    for values in ([5, 6], [5]):
        huey.storage.retry(first.id, None, 0)
        assert run_all(huey) == values
        assert (first.get(), second.get()) == (5, 6)


def test_an_error_handler_is_run_for_each_failed_attempt(huey):
    calls = []
    handler = huey.task(name="handler")(lambda *args: calls.append(args))

    @huey.task(name="fail", retries=2)
    def fail():
        raise ValueError("no good")

    result = huey.enqueue(fail.s().error(handler.s().then(handler)))
    run_all(huey)
    assert (len(calls), state(huey.storage, result.id)) == (6, "failed")


def test_a_pipeline_that_is_too_long_is_refused_with_its_limit(huey, add):
    for steps, fits in ((98, True), (150, False)):
        pipeline = add.s(1)
        for _ in range(steps - 1):
            pipeline.then(add)
        if fits:
            huey.enqueue(pipeline)
        else:
            with pytest.raises(errors.TooDeepError, match="a pipeline has at most 98 steps: let the last one enqueue"):
                huey.enqueue(pipeline)
    assert huey.pending_count() == 1


# groups and chords


def test_a_group_and_a_chord_are_accepted_as_a_whole_or_not_at_all(huey, add, gather):
    """Signals and all; unlike Huey's, which signals before it writes."""
    heard = []
    huey.signal()(lambda signal, task, *args: heard.append(signal))
    huey.enqueue(add.s(0, id="old"))
    run_all(huey)
    heard.clear()
    calls = [add.s(1), add.s(0, id="old")]
    for refused in (group(calls), chord(calls, gather.s()), calls[1]):
        with pytest.raises(errors.DuplicateJob, match="already ended"):
            huey.enqueue(refused)
    with pytest.raises(ValueError, match="group"):
        huey.enqueue(chord([group([add.s(1)])], gather.s()))
    assert (len(huey), heard) == (0, [])


def test_the_callback_gets_the_values_of_all_members_each_in_its_own_time(huey, add, gather, later):
    result = huey.enqueue(chord([add.s(0), add.s(1, delay=30), add.s(2)], gather.s(priority=5)))
    assert (run_all(huey), state(huey.storage, result.callback.id)) == ([1, 3], None)
    later(31)
    assert run_all(huey) == [2, [1, 2, 3]]
    assert (result.get(), result(), result.results.get()) == ([1, 2, 3],) * 3
    assert look(huey.storage, result.callback.id).job.priority == 5.0
    one = huey.enqueue(chord([add.s(1)], gather.s()))
    nested = huey.enqueue(chord([chord([], gather.s()), add.s(1)], gather.s()))
    run_all(huey)
    assert (one.get(), nested.get()) == ([2], [[], 2])


def test_a_member_that_failed_or_is_not_run_takes_its_place(huey, add, once, later):
    @huey.task(name="sort")
    def sort(values):
        return [
            value.metadata["error"] if isinstance(value, Error) else "skipped" if value is SKIPPED else value
            for value in values
        ]

    members = [add.s(1), once.s(1), add.s(2), add.s(3, expires=-60), add.s(4), once.s(2, retries=1)]
    result = huey.enqueue(chord(members, sort.s()))
    _, failed, revoked, expired, canceled, _ = result.results
    revoked.revoke()
    huey.lifecycle.cancel(canceled.id)
    run_all(huey)
    states = [state(huey.storage, each.id) for each in (failed, revoked, expired, canceled)]
    assert states == ["failed", "canceled", "expired", "canceled"]
    assert result.get() == [2, "ValueError('no good')", "skipped", "skipped", "skipped", 2]
    with pytest.raises(TaskException, match="no good"):
        result.results[1]


def test_a_member_or_a_callback_that_is_retried_by_hand_changes_nothing_for_the_others(huey, add, once):
    """Unlike Huey's, which would count the member twice."""
    flaky = huey.task(name="flaky")(lambda values: once.call_local("callback") and values)
    result = huey.enqueue(chord([once.s(1), add.s(1)], flaky.s()))
    first = next(iter(result.results))
    run_next(huey)
    huey.storage.retry(first.id, None, 0)
    assert (run_next(huey), state(huey.storage, result.callback.id)) == (1, None)
    run_all(huey)
    assert state(huey.storage, result.callback.id) == "failed"
    huey.storage.retry(result.callback.id, None, 0)
    assert len(run_all(huey)[0]) == 2
    assert kinds(huey.storage, result.callback.id) == ["enqueued", "failed", "retried", "done"]


# locks and rate limits


def test_a_lock_is_held_by_one_at_a_time_and_may_free_itself(huey, later):
    """Unlike Huey's on SQLite, which has no locks with a time to live."""
    with huey.lock_task("db"):
        assert huey.is_locked("db") and not huey.is_locked("other")
        with pytest.raises(TaskLockedException, match="db"), huey.lock_task("db"):
            pytest.fail("two held the lock")
    assert not huey.is_locked("db")
    with huey.lock_task("db", ttl=60):
        later(59)
        assert huey.is_locked("db")
        later(2)
        assert not huey.is_locked("db")
        huey.lock_task("db", ttl=60).acquire()
    assert huey.is_locked("db"), "one that expired is not taken from who holds it now"


def test_a_task_whose_lock_is_held_waits_says_so_and_spends_no_retry(huey, later):
    """Unlike Huey's, which would fail it, or spend a retry; and a secret in the lock's name is not told."""

    @huey.task(name="visit", retries=1, retry_delay=60)
    def visit(password):
        with huey.lock_task(f"of {password}"):
            tries.append(1)
            if len(tries) == 1:
                raise ValueError
        return "done"

    def stands(job):
        found = look(huey.storage, job.id)
        return found.place, found.reason

    tries = []
    first, second = visit("hunter2hunter2"), visit("hunter2hunter2")
    with huey.lock_task("of hunter2hunter2"):
        for job in (first, second):
            assert stands(job) == ("ready", None) and run_next(huey) is None
            assert stands(job) == ("scheduled", "lock of [redacted]")
        listed = huey.storage.list_jobs(look(huey.storage, first.id).state, None, None, 9, None)
        assert [job.reason for job in listed] == ["lock of [redacted]"] * 2
    later(10)
    run_next(huey)
    assert {stands(first), stands(second)} == {("scheduled", None), ("ready", None)}, "not while it waits for a retry"
    assert run_next(huey) == "done"
    later(61)
    assert run_next(huey) == "done"
    assert sorted(look(huey.storage, job.id).job.attempt for job in (first, second)) == [1, 2]
    told = [e.detail.get("type") for e in huey.lifecycle.read_events(99) if "lock" in (e.detail.get("reason") or "")]
    assert told == [None, None] and not huey.is_locked("of hunter2hunter2")


def test_a_lock_around_a_task_stays_held_when_a_forked_process_leaves_it(huey):
    @huey.task(name="forking")
    @huey.lock_task("around")
    def forking():
        with huey.lock_task("db"):
            if pid := os.fork():
                os.waitpid(pid, 0)
                return huey.is_locked("db"), huey.is_locked("around")
        os._exit(0)  # the forked process has left the lock

    forking()
    assert run_next(huey) == (True, True)
    assert not huey.is_locked("db") and not huey.is_locked("around")


def test_a_rate_limited_task_runs_later_without_spending_a_retry_unless_it_gives_up(huey, later):
    limits = {"plain": {}, "own delay": {}, "gives up": {"retry": False}}
    made = {}
    for name, options in limits.items():
        limit = huey.rate_limit(name, 1, per=3600, **options)
        task = huey.task(name=name.replace(" ", "_"), retry_delay=60 if name == "own delay" else 0)(limit(lambda n: n))
        made[name] = [task(n) for n in (1, 2)]
    assert run_all(huey) == [1, None] * 3
    assert [state(huey.storage, second.id) for _, second in made.values()] == ["retrying", "retrying", "failed"]
    assert look(huey.storage, made["own delay"][1].id).job.eta == pytest.approx(time.time() + 60, abs=5)
    with pytest.raises(TaskException, match="RateLimitExceeded"):
        made["gives up"][1].get()
    for name in limits:
        huey.rate_limit(name, 1, per=3600).reset()
    later(3601)
    assert run_all(huey) == [2, 2] and made["plain"][1].get() == 2


# signals and hooks


@pytest.fixture
def heard(huey):
    """The names of the signals, in order."""
    names: list[str] = []
    huey.signal()(lambda signal, task, *args: names.append(signal))
    return names


def test_which_signals_come_and_when(huey, add, gather, heard, later):
    fail = huey.task(name="fail", retries=2)(lambda: 1 / 0)

    def stop():
        raise CancelExecution

    backup = huey.task(name="backup")(huey.lock_task("db")(lambda: None))
    attempt = ["executing", "error", "retrying"]
    table = {
        "well": (lambda: add(1), ["enqueued", "executing", "complete"]),
        "retried": (lambda: huey.enqueue(fail.s(retry_delay=0)),
                    ["enqueued", *[*attempt, "enqueued"] * 2, "executing", "error"]),
        "retried later": (lambda: huey.enqueue(fail.s(retry_delay=60, retries=1)),
                          ["enqueued", *attempt, "scheduled"]),
        "revoked": (lambda: add(1).revoke(), ["enqueued", "revoked"]),
        "expired": (lambda: huey.enqueue(add.s(1, expires=-60)), ["enqueued", "expired"]),
        "canceled": (huey.task(name="stop")(stop), ["enqueued", "executing", "canceled"]),
        "group": (lambda: huey.enqueue(group([add.s(1), add.s(2)])),
                  ["enqueued"] * 2 + ["executing", "complete"] * 2),
        "pipeline": (lambda: huey.enqueue(add.s(1).then(add, 2)), ["enqueued", "executing", "complete"] * 2),
        "chord": (lambda: huey.enqueue(chord([add.s(1)], gather.s())), ["enqueued"] + ["executing", "complete"] * 2),
    }  # fmt: skip
    for name, (call, expected) in table.items():
        call()
        run_all(huey)
        assert heard == expected, name
        huey.flush()
        heard.clear()
    add.schedule((1,), delay=60)
    assert heard == ["scheduled"]
    later(61)
    run_all(huey)
    assert heard == ["scheduled", "executing", "complete"]
    heard.clear()
    with huey.lock_task("db"):
        backup()
        run_all(huey)
    assert heard[:3] == ["enqueued", "executing", "locked"]


def test_a_receiver_or_a_hook_that_fails_harms_nobody(huey, add):
    def broken(*_):
        raise RuntimeError("broken")

    huey.signal()(broken), huey.pre_execute()(broken), huey.post_execute()(broken)
    result = add(1)
    run_all(huey)
    assert result.get() == 2


def test_a_hook_may_cancel_before_the_body_runs_or_enqueue_after_it(huey, add, heard):
    @huey.post_execute()
    def after(task, value, error):
        if value == 1:
            huey.enqueue(group([add.s(10), add.s(20)]))

    add(0)
    assert run_all(huey) == [1, 11, 21]

    @huey.pre_execute()
    def refuse(task):
        raise CancelExecution

    heard.clear()
    result = add(1)
    assert run_next(huey) is None
    assert (heard, state(huey.storage, result.id)) == (["enqueued", "executing", "canceled"], "canceled")
    assert kinds(huey.storage, result.id) == ["enqueued", "canceled"]
