"""Unique jobs: one at a time for each key, decided where the job is accepted, freed where it ends or starts."""

from __future__ import annotations

import threading

import pytest
from huey.api import chord

from duey import errors
from duey.control.service import Control
from duey.model.job import FREED_AT_START, FREED_BY_TIME, REFUSES, REPLACES, JobRequest
from tests.contracts.rig import ended, job, look, run_all, run_next, state


def enqueue_jobs(storage, job_id, **columns):
    """What became of one job that wants the key `k`."""
    (answer,) = storage.enqueue_jobs([job(job_id, unique_key="k", **columns)]).accepted
    return answer


# held until the end


@pytest.mark.parametrize("place", ["ready", "scheduled", "blocked", "claimed"])
def test_a_job_holds_its_key_wherever_it_stands(storage, hand, clock, place):
    enqueue_jobs(storage, "a", eta=clock.at + 60 if place == "scheduled" else None)
    if place == "blocked":
        storage.pause("queue", "default")
    if place in ("blocked", "claimed"):
        hand.claim()
    assert look(storage, "a").place == place
    assert enqueue_jobs(storage, "b") == ("a", False)
    assert state(storage, "b") is None


@pytest.mark.parametrize("outcome", ["done", "failed", "canceled", "expired"])
def test_every_end_frees_the_key(storage, hand, outcome):
    enqueue_jobs(storage, "a")
    hand.work(outcome)
    assert enqueue_jobs(storage, "b") == ("b", True)


def test_the_cancel_of_a_waiting_job_frees_its_key(storage):
    enqueue_jobs(storage, "a")
    storage.cancel("a")
    assert enqueue_jobs(storage, "b").fresh


def test_a_retry_does_not_free_the_key(storage, hand, clock):
    enqueue_jobs(storage, "a", retries=1)
    hand.work("retrying", eta=clock.at + 60)
    assert enqueue_jobs(storage, "b") == ("a", False)


def test_a_death_does_not_free_the_key_and_a_last_one_does(storage, hire):
    enqueue_jobs(storage, "a")
    for held in (True, False):
        hand = hire()
        hand.begin(hand.claim_one())
        hand.die()
        storage.reap(hand.dead(), 2)
        assert enqueue_jobs(storage, f"b{held}").fresh is not held


def test_a_settlement_whose_claim_is_gone_frees_nothing(storage, hire):
    enqueue_jobs(storage, "a")
    slow = hire()
    claim = slow.claim_one()
    slow.die()
    storage.reap(slow.dead(), 3)
    other = hire()
    other.claim_one()
    assert other.commit(ended(claim)).lost
    assert enqueue_jobs(storage, "b") == ("a", False)


def test_a_job_that_is_deferred_again_is_not_its_own_rival(storage):
    enqueue_jobs(storage, "a", flags=REFUSES)
    assert enqueue_jobs(storage, "a", flags=REFUSES) == ("a", False)


def test_two_of_one_defer_are_rivals(storage):
    answer = storage.enqueue_jobs([job("a", unique_key="k"), job("b", unique_key="k"), job("c", unique_key="l")])
    assert answer.accepted == (("a", True), ("a", False), ("c", True))


def test_one_of_many_threads_wins(storage):
    answers = []
    barrier = threading.Barrier(8)

    def race(n):
        barrier.wait()
        answers.append(enqueue_jobs(storage, f"j{n}"))

    threads = [threading.Thread(target=race, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.fresh for answer in answers) == [False] * 7 + [True]
    assert len({answer.id for answer in answers}) == 1


# for a time


def test_seconds_bound_how_long_a_key_is_held(storage, clock):
    enqueue_jobs(storage, "a", unique_s=60.0)
    clock.advance(59)
    assert not enqueue_jobs(storage, "b", unique_s=60.0).fresh
    clock.advance(1)
    assert enqueue_jobs(storage, "c", unique_s=60.0).fresh
    assert enqueue_jobs(storage, "d", unique_s=60.0) == ("c", False)


def test_a_key_that_was_taken_over_is_not_freed_by_its_former_holder(storage, hand, clock):
    enqueue_jobs(storage, "a", unique_s=60.0)
    clock.advance(60)
    enqueue_jobs(storage, "b")
    hand.work()
    assert state(storage, "a") == "done"
    assert enqueue_jobs(storage, "c") == ("b", False)


def test_seconds_do_not_outlast_the_job(storage, hand):
    enqueue_jobs(storage, "a", unique_s=60.0)
    hand.work()
    assert enqueue_jobs(storage, "b").fresh


def test_a_key_may_be_held_for_its_time_whatever_becomes_of_the_job(storage, hand, clock):
    enqueue_jobs(storage, "a", unique_s=60.0, flags=FREED_BY_TIME)
    hand.work()
    assert enqueue_jobs(storage, "b") == ("a", False)
    clock.advance(60)
    assert enqueue_jobs(storage, "c").fresh


def test_keeping_house_leaves_the_keys_that_are_held(storage, clock):
    enqueue_jobs(storage, "a", unique_s=60.0)
    clock.advance(59)
    storage.run_maintenance()
    assert not enqueue_jobs(storage, "b").fresh
    clock.advance(1)
    storage.run_maintenance()
    assert enqueue_jobs(storage, "c").fresh


# until the start


def test_a_key_may_be_free_once_the_job_starts(storage, hand):
    enqueue_jobs(storage, "a", flags=FREED_AT_START)
    assert not enqueue_jobs(storage, "b", flags=FREED_AT_START).fresh
    hand.claim_one()
    assert enqueue_jobs(storage, "c", flags=FREED_AT_START) == ("c", True)
    assert enqueue_jobs(storage, "d", flags=FREED_AT_START) == ("c", False)


@pytest.mark.parametrize("how", ["given back", "rescued", "blocked"])
def test_a_job_that_did_not_start_after_all_holds_its_key_again(storage, hire, how):
    enqueue_jobs(storage, "a", flags=FREED_AT_START)
    hand = hire()
    claim = hand.claim_one()
    if how == "given back":
        storage.release_claims(hand.n, [claim])
    elif how == "blocked":
        hand.settle(claim, "blocked", reason="unknown", started_at=None, result=None)
    else:
        hand.die()
        storage.reap(hand.dead(), 3)
    assert enqueue_jobs(storage, "b", flags=FREED_AT_START) == ("a", False)


def test_a_job_that_goes_back_leaves_the_key_to_whom_has_it_by_now(storage, hand):
    enqueue_jobs(storage, "a", flags=FREED_AT_START)
    claim = hand.claim_one()
    enqueue_jobs(storage, "b", flags=FREED_AT_START)
    storage.release_claims(hand.n, [claim])
    assert enqueue_jobs(storage, "c", flags=FREED_AT_START) == ("b", False)
    assert {state(storage, "a"), state(storage, "b")} == {"queued"}


def test_a_retry_of_a_job_that_has_started_takes_no_key(storage, hand, clock):
    enqueue_jobs(storage, "a", flags=FREED_AT_START, retries=1)
    hand.work("retrying", eta=clock.at + 5)
    assert enqueue_jobs(storage, "b", flags=FREED_AT_START).fresh


# conflicts


def test_a_task_may_refuse_a_rival(storage):
    enqueue_jobs(storage, "a")
    with pytest.raises(errors.UniqueConflict, match="'k' is held by job a"):
        enqueue_jobs(storage, "b", flags=REFUSES)
    assert state(storage, "b") is None


def test_a_refused_rival_takes_its_whole_defer_with_it(storage):
    enqueue_jobs(storage, "a")
    with pytest.raises(errors.UniqueConflict):
        storage.enqueue_jobs([job("x"), job("b", unique_key="k", flags=REFUSES), job("y")])
    assert [state(storage, each) for each in "xby"] == [None, None, None]


@pytest.mark.parametrize("place", ["ready", "scheduled", "blocked", "retrying"])
def test_a_waiting_job_is_replaced(storage, hand, clock, place):
    enqueue_jobs(storage, "a", eta=clock.at + 60 if place == "scheduled" else None, retries=1)
    if place == "blocked":
        storage.pause("queue", "default")
        hand.claim()
    elif place == "retrying":
        hand.work("retrying", eta=clock.at + 60)
    assert enqueue_jobs(storage, "b", flags=REPLACES) == ("b", True)
    assert (state(storage, "a"), state(storage, "b")) == ("canceled", "queued")
    (event,) = [e for e in storage.read_events(100) if (e.job_id, e.kind) == ("a", "canceled")]
    assert event.detail["reason"] == "replaced by job b"
    assert enqueue_jobs(storage, "c") == ("b", False)


def test_a_running_job_is_not_replaced(storage, hand):
    enqueue_jobs(storage, "a")
    claim = hand.claim_one()
    assert enqueue_jobs(storage, "b", flags=REPLACES) == ("a", False)
    hand.settle(claim)
    assert state(storage, "a") == "done"


def test_of_rivals_in_one_defer_the_first_stands(storage):
    rivals = [job(each, unique_key="k", flags=REPLACES) for each in "ab"]
    assert storage.enqueue_jobs(rivals).accepted == (("a", True), ("a", False))
    assert state(storage, "a") == "queued"


def test_many_are_replaced_in_one_defer(storage):
    storage.enqueue_jobs([job(f"a{n}", unique_key=f"k{n}", unique_s=60.0) for n in range(20)])
    answer = storage.enqueue_jobs([job(f"b{n}", unique_key=f"k{n}", flags=REPLACES) for n in range(20)])
    assert all(each.fresh for each in answer.accepted)
    assert {state(storage, f"a{n}") for n in range(20)} == {"canceled"}


def test_a_replaced_job_has_failed_nobody(huey, storage):
    """Its chord hears that it was canceled, and its handler does not run."""
    told = []

    @huey.task(unique=True, unique_key=lambda n: "k", unique_conflict="replace", on_failed=lambda *_: told.append(1))
    def task(n):
        return n

    task(1), task(2)
    run_all(huey)
    assert told == []


def test_a_chain_of_replacements_leaves_the_last(storage):
    for each in "abcd":
        assert enqueue_jobs(storage, each, flags=REPLACES | FREED_BY_TIME, unique_s=60.0).fresh
    assert [state(storage, each) for each in "abcd"] == ["canceled"] * 3 + ["queued"]


# retried by hand


def test_a_retry_by_hand_takes_the_key_again(storage, hand):
    enqueue_jobs(storage, "a")
    hand.work("failed")
    storage.retry("a", None, 0)
    assert enqueue_jobs(storage, "b") == ("a", False)


def test_a_retry_by_hand_is_refused_while_another_holds_the_key(storage, hand):
    enqueue_jobs(storage, "a")
    hand.work("failed")
    enqueue_jobs(storage, "b")
    with pytest.raises(errors.UniqueConflict, match="held by job b"):
        storage.retry("a", None, 0)
    assert state(storage, "a") == "failed"


def test_a_retry_by_hand_holds_the_key_for_its_time_again(storage, hand, clock):
    enqueue_jobs(storage, "a", unique_s=60.0)
    hand.work("failed")
    clock.advance(100)
    storage.retry("a", None, 0)
    assert not enqueue_jobs(storage, "b").fresh
    clock.advance(60)
    assert enqueue_jobs(storage, "b").fresh


# as tasks have it


def test_a_task_s_second_call_answers_with_the_first(huey):
    @huey.task(unique=True)
    def task(a, b=2):
        return a

    first, second, other = task(1), task(1, b=2), task(2)
    assert first.id == second.id != other.id
    assert run_next(huey) == 1
    assert second.get() == 1
    assert task(1).id != first.id


def test_the_first_of_a_pipeline_is_held_to_its_key_and_its_steps_are_not(huey, storage):
    @huey.task()
    def start(n):
        return n

    @huey.task(unique=True)
    def step(n):
        return n + 1

    held = step(5)
    results = huey.enqueue(start.s(5).then(step))
    storage.pause("task", f"{__name__}.step")
    run_all(huey)
    storage.resume("task", f"{__name__}.step")
    run_all(huey)
    assert (held.get(), results.get()) == (6, [5, 6])


def test_members_and_callback_of_a_chord_are_never_dropped(huey):
    @huey.task(unique=True)
    def member():
        return 1

    @huey.task(unique=True, unique_key=lambda *args: "one")
    def together(parts):
        return sum(parts)

    held, waiting = member(), together([9])
    result = huey.enqueue(chord([member.s(), member.s()], together.s()))
    run_all(huey)
    assert (held.get(), waiting.get(), result.get()) == (1, 9, 2)


def test_a_key_may_come_with_the_request(huey):
    @huey.task()
    def task(n):
        return n

    control = Control(huey)
    (first,) = control.enqueue([JobRequest("task", (1,), unique="k")]).jobs
    second = control.enqueue([JobRequest("task", (2,), unique="k")])
    assert (second.jobs[0].id, second.held) == (first.id, True)
    assert control.enqueue([JobRequest("task", (1,))]).jobs[0].id != first.id
