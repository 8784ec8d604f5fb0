"""Groups and chords as Huey documents them: the callback comes once, after all, with one value for each member."""

from __future__ import annotations

import pytest
from huey.api import chord, group
from huey.exceptions import TaskException
from huey.utils import SKIPPED, Error

from tests.contracts.rig import SOON_S, crew, kinds, look, run_all, run_next, state


@pytest.fixture
def incr(huey):
    @huey.task()
    def incr(n):
        return n + 1

    return incr


@pytest.fixture
def gather(huey):
    @huey.task()
    def gather(values, *more):
        return [*values, *more]

    return gather


@pytest.fixture
def fail(huey):
    @huey.task()
    def fail(*args):
        raise ValueError("no good")

    return fail


# groups


def test_a_group_is_accepted_as_a_whole_or_not_at_all(huey, incr):
    huey.enqueue(incr.s(0, id="old"))
    run_all(huey)
    with pytest.raises(Exception, match="already ended"):
        huey.enqueue(group([incr.s(1), incr.s(0, id="old")]))
    assert len(huey) == 0


# chords


def test_the_callback_gets_the_values_of_all_members(huey, incr, gather):
    result = huey.enqueue(chord([incr.s(n) for n in range(3)], gather.s()))
    assert len(huey) == 3
    assert [run_next(huey) for _ in range(3)] == [1, 2, 3]
    assert len(huey) == 1
    assert run_next(huey) == [1, 2, 3]
    assert (result.get(), result(), result.results.get()) == ([1, 2, 3], [1, 2, 3], [1, 2, 3])


def test_a_chord_is_accepted_as_a_whole_or_not_at_all(huey, incr, gather):
    huey.enqueue(incr.s(0, id="old"))
    run_all(huey)
    with pytest.raises(Exception, match="already ended"):
        huey.enqueue(chord([incr.s(1), incr.s(0, id="old")], gather.s()))
    assert len(huey) == 0


def test_the_callback_waits_for_members_that_are_retried(huey, gather):
    failures = [1]

    @huey.task(retries=1)
    def flaky(n):
        if failures:
            raise ValueError(failures.pop())
        return n

    result = huey.enqueue(chord([flaky.s(1), flaky.s(2)], gather.s()))
    assert run_all(huey) == [None, 1, 2, [1, 2]]
    assert result.get() == [1, 2]


def test_a_chord_of_one_and_a_chord_of_none(huey, incr, gather):
    one = huey.enqueue(chord([incr.s(1)], gather.s()))
    none = huey.enqueue(chord([], gather.s()))
    run_all(huey)
    assert (one.get(), none.get()) == ([2], [])


def test_a_member_that_failed_takes_its_place_with_its_error(huey, incr, fail):
    @huey.task()
    def sort(values):
        return [value.metadata["error"] if isinstance(value, Error) else value for value in values]

    result = huey.enqueue(chord([incr.s(1), fail.s(), incr.s(2)], sort.s()))
    run_all(huey)
    assert result.get() == [2, "ValueError('no good')", 3]
    with pytest.raises(TaskException, match="no good"):
        result.results[1]


def test_a_member_that_is_not_run_takes_its_place_as_skipped(huey, incr):
    @huey.task()
    def which(values):
        return [value is SKIPPED for value in values]

    result = huey.enqueue(chord([incr.s(1), incr.s(2), incr.s(3, expires=-60), incr.s(4)], which.s()))
    members = list(result.results)
    members[1].revoke()
    huey.storage.cancel(members[3].id)
    run_all(huey)
    assert [state(huey.storage, member.id) for member in members] == ["done", "canceled", "expired", "canceled"]
    assert result.get() == [False, True, True, True]


def test_a_chord_without_members_may_be_a_member(huey, incr, gather):
    result = huey.enqueue(chord([chord([], gather.s()), incr.s(1)], gather.s()))
    run_all(huey)
    assert result.get() == [[], 2]


def test_a_group_is_no_member_of_a_chord(huey, incr, gather):
    with pytest.raises(ValueError, match="group"):
        huey.enqueue(chord([group([incr.s(1)])], gather.s()))
    assert len(huey) == 0


def test_members_and_callback_keep_their_own_time(huey, incr, gather, later):
    result = huey.enqueue(chord([incr.s(1, delay=30), incr.s(2)], gather.s(priority=5)))
    assert run_all(huey) == [3]
    later(31)
    assert run_all(huey) == [2, [2, 3]]
    assert look(huey.storage, result.callback.id).priority == 5.0


def test_the_callback_can_be_retried_by_hand_with_the_same_values(huey, incr):
    failures = [1]

    @huey.task()
    def flaky(values):
        if failures:
            raise ValueError(failures.pop())
        return values

    result = huey.enqueue(chord([incr.s(1), incr.s(2)], flaky.s()))
    run_all(huey)
    huey.storage.retry(result.callback.id, None, 0)
    assert run_all(huey) == [[2, 3]]


def test_a_member_that_is_retried_by_hand_fires_the_callback_once(huey, incr, fail, gather):
    """Unlike Huey's, which would count the member twice."""
    result = huey.enqueue(chord([fail.s(), incr.s(1)], gather.s()))
    first = next(iter(result.results))
    run_next(huey)
    huey.storage.retry(first.id, None, 0)
    run_next(huey)
    assert state(huey.storage, result.callback.id) is None
    run_all(huey)
    assert kinds(huey.storage, result.callback.id) == ["enqueued", "done"]


def test_a_chord_run_by_several_threads_fires_once(huey, incr, gather):
    result = huey.enqueue(chord([incr.s(n) for n in range(40)], gather.s()))
    with crew(huey, threads=4):
        assert result.get(blocking=True, timeout=SOON_S) == list(range(1, 41))
    assert kinds(huey.storage, result.callback.id) == ["enqueued", "done"]
