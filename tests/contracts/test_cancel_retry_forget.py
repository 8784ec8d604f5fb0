"""What people do by hand: cancel, retry, forget. Each depends on the state, and says so when it was another."""

from __future__ import annotations

import pytest

from duey import errors
from duey.model.job import ENDED
from tests.contracts.rig import ended, job, jobs, kinds, look, payload_of, state
from tests.support import rows

OUTCOMES = sorted(ENDED)


# cancel


def test_a_queued_job_is_canceled_at_once(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    assert storage.cancel("a") == "queued"
    assert (state(storage, "a"), [c.id for c in hand.claim(5)]) == ("canceled", ["b"])
    assert kinds(storage, "a") == ["enqueued", "canceled"]


def test_a_scheduled_job_is_canceled_at_once(storage, clock, hand):
    storage.enqueue_jobs([job("a", eta=clock.at + 60)])
    assert storage.cancel("a") == "scheduled"
    clock.advance(60)
    assert (state(storage, "a"), hand.claim()) == ("canceled", [])


def test_a_retrying_job_is_canceled_at_once(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(hand.claim_one(), "retrying", eta=clock.at + 60)
    assert storage.cancel("a") == "retrying"
    clock.advance(60)
    assert (look(storage, "a").state, look(storage, "a").attempt, hand.claim()) == ("canceled", 1, [])


def test_a_blocked_job_is_canceled_at_once(storage, hand):
    storage.pause("queue", "default")
    storage.enqueue_jobs(jobs("a"))
    hand.claim()
    storage.cancel("a")
    assert (state(storage, "a"), storage.resume("queue", "default"), hand.claim()) == ("canceled", 0, [])


def test_a_running_job_is_asked_to_stop(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    a, b = hand.claim(2)
    hand.begin(a)
    assert storage.cancel("a") == "running"
    assert (look(storage, "a").state, look(storage, "a").stopping) == ("running", True)
    assert storage.stop_requested([a.seq, b.seq]) == {a.seq}
    assert hand.settle(a, "canceled").lost == frozenset()
    assert storage.stop_requested([a.seq]) == set()


def test_a_running_job_that_was_asked_to_stop_is_not_retried(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    hand.begin(claim)
    storage.cancel("a")
    hand.settle(claim, "retrying", eta=clock.at + 5)
    assert (state(storage, "a"), kinds(storage)) == ("canceled", ["enqueued", "canceled"])


def test_a_running_job_that_was_asked_to_stop_may_still_end_well(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    hand.begin(claim)
    storage.cancel("a")
    hand.settle(claim)
    assert (look(storage, "a").state, look(storage, "a").stopping) == ("done", False)


def test_a_job_canceled_before_it_ran_belongs_to_no_worker(storage):
    storage.enqueue_jobs(jobs("a"))
    storage.cancel("a")
    assert (look(storage, "a").worker, look(storage, "a").started_at) == (None, None)
    assert storage.read_events(10)[-1].worker is None


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_ended_job_cannot_be_canceled(storage, hand, outcome):
    storage.enqueue_jobs(jobs("a"))
    hand.work(outcome)
    with pytest.raises(errors.StateConflict, match=f"cannot cancel job a: it is {outcome}"):
        storage.cancel("a")
    assert state(storage, "a") == outcome


# retry


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_ended_job_is_queued_again(storage, clock, hand, outcome):
    storage.enqueue_jobs([job("a", retries=1, expires_at=clock.at + 5)])
    hand.settle(hand.claim_one(), outcome)
    clock.advance(60)
    storage.retry("a", None, 4)
    assert (look(storage, "a").state, look(storage, "a").result) == ("queued", None)
    claim = hand.claim_one()
    assert (claim.id, claim.retries, claim.eta, claim.expires_at) == ("a", 4, None, None)
    assert claim.payload == payload_of("a")
    assert kinds(storage) == ["enqueued", outcome, "retried"]


def test_a_retry_counts_on_where_the_attempts_stood(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed")
    storage.retry("a", None, 0)
    assert hand.claim_one().attempt == 1


def test_a_retrying_job_may_be_run_now(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(hand.claim_one(), "retrying", eta=clock.at + 60)
    storage.retry("a", None, 0)
    assert [c.id for c in hand.claim(5)] == ["a"]


def test_a_retry_may_bring_new_arguments(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed")
    storage.retry("a", payload_of("a", args=[3]), 0)
    assert hand.claim_one().payload == payload_of("a", args=[3])


def test_a_retried_job_ends_like_any_other(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed", result=b"1")
    storage.retry("a", None, 0)
    hand.work("done", result=b"2")
    assert (state(storage, "a"), storage.peek_data("a")) == ("done", b"2")


@pytest.mark.parametrize("place", ["queued", "scheduled", "running", "blocked"])
def test_a_job_that_has_not_ended_cannot_be_retried(storage, clock, hand, place):
    if place == "blocked":
        storage.pause("queue", "default")
    storage.enqueue_jobs([job("a", eta=clock.at + 60 if place == "scheduled" else None)])
    if place in ("running", "blocked"):
        for claim in hand.claim():
            hand.begin(claim)
    with pytest.raises(errors.StateConflict, match=f"cannot retry job a: it is {place}"):
        storage.retry("a", None, 0)
    assert state(storage, "a") == place


def test_a_retry_takes_the_step_after_it_along_once(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(next_jobs=[job("next")])
    hand.work()
    storage.retry("a", None, 0)
    hand.commit(ended(hand.claim_one(), next_jobs=[job("next")]))
    assert (state(storage, "a"), state(storage, "next")) == ("done", "done")


# forget


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_ended_job_is_forgotten(storage, hand, outcome):
    storage.enqueue_jobs(jobs("ab"))
    hand.work(outcome)
    assert storage.forget("a")
    assert (state(storage, "a"), storage.has_data_for_key("a")) == (None, False)
    assert {e.job_id for e in storage.read_events(10)} == {"b"}
    assert storage.enqueue_jobs([job("a")]).accepted == (("a", True),)


@pytest.mark.parametrize("place", ["queued", "scheduled", "running"])
def test_a_job_that_has_not_ended_cannot_be_forgotten(storage, clock, hand, place):
    storage.enqueue_jobs([job("a", eta=clock.at + 60 if place == "scheduled" else None)])
    if place == "running":
        hand.begin(hand.claim_one())
    with pytest.raises(errors.StateConflict, match=f"cannot delete job a: it is {place}"):
        storage.forget("a")
    assert state(storage, "a") == place


@rows("verb", ["cancel", "retry", "forget"])
def test_a_job_that_is_not_there_is_said_to_be_unknown(storage, verb):
    with pytest.raises(errors.UnknownJob, match="no job has the id 'x'"):
        getattr(storage, verb)("x", *([None, 0] if verb == "retry" else []))
