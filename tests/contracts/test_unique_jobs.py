"""Unique jobs: one at a time for each key, decided where the job is accepted, freed where it ends or starts."""

from __future__ import annotations

import pytest
from huey.api import chord

from duey import errors
from duey.control.service import Control
from duey.model.job import FREED_AT_START, FREED_BY_TIME, REFUSES, REPLACES, JobRequest
from tests.contracts.rig import ended, job, look, run_all, run_next, state


def enqueue(storage, job_id, key="k", **columns):
    """What became of one job that wants the key."""
    (answer,) = storage.lifecycle.enqueue_jobs([job(job_id, unique_key=key, **columns)]).accepted
    return answer


# held until the end


def test_a_job_holds_its_key_wherever_it_stands_and_every_end_frees_it(storage, hand, clock):
    for place in ("claimed", "ready", "scheduled", "blocked", "retrying"):
        if place == "blocked":
            storage.pause("queue", "default")
        enqueue(storage, place, place, retries=1, eta=clock.at + 60 if place == "scheduled" else None)
        if place == "retrying":
            hand.work("retrying", eta=clock.at + 60)
        if place in ("blocked", "claimed"):
            hand.claim()
        assert look(storage, place).place == ("scheduled" if place == "retrying" else place)
        assert enqueue(storage, f"b {place}", place) == (place, False), place
        assert state(storage, f"b {place}") is None
        if place != "claimed":
            storage.lifecycle.cancel(place)
            assert enqueue(storage, f"c {place}", place).fresh, f"a cancel where it is {place}"
            storage.resume("queue", "default")
            storage.flush_queue()
    for outcome in ("done", "failed", "canceled", "expired"):
        enqueue(storage, outcome)
        hand.work(outcome)
        assert enqueue(storage, f"b {outcome}") == (f"b {outcome}", True), outcome
        storage.lifecycle.cancel(f"b {outcome}")


def test_a_death_does_not_free_the_key_and_a_last_one_does(storage, hire):
    enqueue(storage, "a")
    slow = hire()
    claim = slow.claim_one()
    slow.die()
    storage.lifecycle.reap(slow.dead(), 2)
    other = hire()
    other.begin(other.claim_one())
    assert other.commit(ended(claim)).lost, "an outcome whose claim is gone frees nothing"
    for held in (True, False):
        assert enqueue(storage, "b") == ("a", False)
        other.die()
        storage.lifecycle.reap(other.dead(), 2)
        other = hire()
        other.begin(other.claim_one()) if held else None
    assert enqueue(storage, "b").fresh


def test_rivals_of_one_request_and_a_job_that_is_enqueued_again(storage):
    enqueue(storage, "x", "x", flags=REFUSES)
    assert enqueue(storage, "x", "x", flags=REFUSES) == ("x", False), "it is not its own rival"
    answer = storage.lifecycle.enqueue_jobs(
        [job("a", unique_key="k"), job("b", unique_key="k"), job("c", unique_key="l")]
    )
    assert answer.accepted == (("a", True), ("a", False), ("c", True))
    rivals = [job(each, unique_key="r", flags=REPLACES) for each in "de"]
    assert storage.lifecycle.enqueue_jobs(rivals).accepted == (("d", True), ("d", False))
    assert state(storage, "d") == "queued"


# for a time


def test_seconds_bound_how_long_a_key_is_held(storage, clock, hand):
    enqueue(storage, "a", unique_s=60.0)
    clock.advance(59)
    storage.lifecycle.run_maintenance()
    assert not enqueue(storage, "b", unique_s=60.0).fresh
    clock.advance(1)
    storage.lifecycle.run_maintenance()
    assert enqueue(storage, "c", unique_s=60.0).fresh
    assert hand.work() == "a"
    assert enqueue(storage, "d", unique_s=60.0) == ("c", False), "it was taken over: its former holder frees nothing"
    hand.work()
    assert enqueue(storage, "e").fresh, "seconds do not outlast the job"


def test_a_key_may_be_held_for_its_time_whatever_becomes_of_the_job(storage, hand, clock):
    enqueue(storage, "a", unique_s=60.0, flags=FREED_BY_TIME)
    hand.work()
    assert enqueue(storage, "b") == ("a", False)
    clock.advance(60)
    assert enqueue(storage, "c").fresh


def test_what_an_outcome_enqueues_holds_its_key_for_its_time(storage, clock, hand):
    storage.lifecycle.enqueue_jobs([job("a"), job("b")])
    hand.work(follow_ups=(job("next", unique_key="k", unique_s=60.0),))
    assert enqueue(storage, "x") == ("next", False)
    clock.advance(61)
    assert enqueue(storage, "x").fresh


# until the start


def test_a_key_may_be_free_once_the_job_starts(storage, hand):
    enqueue(storage, "a", flags=FREED_AT_START)
    assert not enqueue(storage, "b", flags=FREED_AT_START).fresh
    claim = hand.claim_one()
    assert enqueue(storage, "c", flags=FREED_AT_START) == ("c", True)
    assert enqueue(storage, "d", flags=FREED_AT_START) == ("c", False)
    storage.release_claims(hand.n, [claim])  # it goes back, and leaves the key to whom has it by now
    assert enqueue(storage, "e", flags=FREED_AT_START) == ("c", False)
    assert [state(storage, each) for each in "ac"] == ["queued", "queued"]
    storage.lifecycle.cancel("c"), storage.lifecycle.cancel("a")
    enqueue(storage, "f", flags=FREED_AT_START, retries=1)
    hand.work("retrying", eta=1e11)
    assert enqueue(storage, "g", flags=FREED_AT_START).fresh, "a retry of a job that has started takes no key"


def test_a_job_that_did_not_start_after_all_holds_its_key_again(storage, hire):
    for how in ("given back", "rescued", "blocked"):
        enqueue(storage, how, how, flags=FREED_AT_START, priority=9)
        hand = hire()
        claim = hand.claim_one()
        if how == "given back":
            storage.release_claims(hand.n, [claim])
        elif how == "blocked":
            hand.settle(claim, "blocked", reason="unknown", started_at=None, result=None)
        else:
            hand.die()
            storage.lifecycle.reap(hand.dead(), 3)
        assert enqueue(storage, "b", how, flags=FREED_AT_START) == (how, False), how
        storage.lifecycle.cancel(how)


# conflicts


def test_a_task_may_refuse_a_rival_and_with_it_the_whole_request(storage):
    enqueue(storage, "a")
    with pytest.raises(errors.UniqueConflict, match="'k' is held by job a"):
        storage.lifecycle.enqueue_jobs([job("x"), job("b", unique_key="k", flags=REFUSES), job("y")])
    assert [state(storage, each) for each in "xby"] == [None, None, None]


def test_a_waiting_job_is_replaced_and_a_running_one_is_not(storage, hand, clock):
    for place in ("ready", "scheduled", "blocked", "retrying"):
        enqueue(storage, place, place, eta=clock.at + 60 if place == "scheduled" else None, retries=1)
        if place == "blocked":
            storage.pause("queue", "default")
            hand.claim()
        elif place == "retrying":
            hand.work("retrying", eta=clock.at + 60)
        assert enqueue(storage, f"b {place}", place, flags=REPLACES) == (f"b {place}", True)
        assert (state(storage, place), state(storage, f"b {place}")) == ("canceled", "queued")
        (event,) = [e for e in storage.lifecycle.read_events(100) if (e.job_id, e.kind) == (place, "canceled")]
        assert event.detail["reason"] == f"replaced by job b {place}"
        assert enqueue(storage, f"c {place}", place) == (f"b {place}", False)
        storage.resume("queue", "default")
        storage.flush_queue()
    enqueue(storage, "a")
    claim = hand.claim_one()
    assert enqueue(storage, "b", flags=REPLACES) == ("a", False)
    hand.settle(claim)
    assert state(storage, "a") == "done"


def test_many_are_replaced_in_one_request_and_a_chain_of_replacements_leaves_the_last(storage):
    storage.lifecycle.enqueue_jobs([job(f"a{n}", unique_key=f"k{n}", unique_s=60.0) for n in range(20)])
    answer = storage.lifecycle.enqueue_jobs([job(f"b{n}", unique_key=f"k{n}", flags=REPLACES) for n in range(20)])
    assert all(each.fresh for each in answer.accepted)
    assert {state(storage, f"a{n}") for n in range(20)} == {"canceled"}
    for each in "abcd":
        assert enqueue(storage, each, flags=REPLACES | FREED_BY_TIME, unique_s=60.0).fresh
    assert [state(storage, each) for each in "abcd"] == ["canceled"] * 3 + ["queued"]


# retried by hand


def test_a_retry_by_hand_takes_the_key_again_for_its_time_unless_another_holds_it(storage, hand, clock):
    enqueue(storage, "a", unique_s=60.0)
    hand.work("failed")
    clock.advance(100)
    storage.retry("a", None, 0)
    assert enqueue(storage, "b") == ("a", False)
    clock.advance(60)
    hand.work("failed")
    assert enqueue(storage, "b").fresh
    with pytest.raises(errors.UniqueConflict, match="held by job b"):
        storage.retry("a", None, 0)
    assert state(storage, "a") == "failed"


# as tasks have it


def test_a_task_s_second_call_answers_with_the_first_and_a_key_may_come_with_the_request(huey):
    task = huey.task(name="plain", unique=True)(lambda a, b=2: a)
    first, second, other = task(1), task(1, b=2), task(2)
    assert first.id == second.id != other.id
    assert run_next(huey) == second.get() == 1
    assert task(1).id != first.id
    control = Control(huey)
    huey.task(name="asked")(lambda n: n)
    (first,) = control.enqueue([JobRequest("asked", (1,), unique="k")]).jobs
    second = control.enqueue([JobRequest("asked", (2,), unique="k")])
    assert (second.jobs[0].id, second.held) == (first.id, True)
    assert control.enqueue([JobRequest("asked", (1,))]).jobs[0].id != first.id


def test_a_replaced_job_has_failed_nobody(huey):
    told = []
    options = {"unique": True, "unique_key": lambda n: "k", "unique_conflict": "replace"}
    task = huey.task(name="task", on_failed=lambda *_: told.append(1), **options)(lambda n: n)
    task(1), task(2)
    assert (run_all(huey), told) == ([2], [])


def test_what_a_pipeline_or_a_chord_brings_is_never_dropped(huey, storage):
    """The first of a pipeline is held to its key; its steps, and members and callback of a chord, are not."""
    step = huey.task(name="step", unique=True)(lambda n: n + 1)
    held = step(5)
    results = huey.enqueue(huey.task(name="start")(lambda n: n).s(5).then(step))
    storage.pause("task", f"{__name__}.step")
    run_all(huey)
    storage.resume("task", f"{__name__}.step")
    run_all(huey)
    assert (held.get(), results.get()) == (6, [5, 6])
    member = huey.task(name="member", unique=True)(lambda: 1)
    together = huey.task(name="together", unique=True, unique_key=lambda *args: "one")(sum)
    held, waiting = member(), together([9])
    result = huey.enqueue(chord([member.s(), member.s()], together.s()))
    run_all(huey)
    assert (held.get(), waiting.get(), result.get()) == (1, 9, 2)
