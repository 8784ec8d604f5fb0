"""What people do by hand: cancel, retry, forget. Each depends on the state, and says so when it was another."""

from __future__ import annotations

import pytest

from duey import errors
from duey.model.job import ENDED
from tests.contracts.rig import Hand, job, jobs, kinds, look, payload_of, state

OUTCOMES = sorted(ENDED)
VERBS = ("cancel", "retry", "forget")


def do(storage, verb, job_id, was=None):
    owner = storage.lifecycle if verb == "cancel" else storage
    return getattr(owner, verb)(job_id, *([None, 0] if verb == "retry" else []), was=was)


def put(storage, hand: Hand, clock, place: str, job_id: str = "") -> None:
    """A job that stands there, by the name of the place or another; what waits in the queue is best made last."""
    if place == "blocked":
        storage.pause("queue", "held")
    queue = "held" if place == "blocked" else "default"
    storage.enqueue_jobs([job(job_id or place, queue=queue, eta=clock.at + 60 if place == "scheduled" else None)])
    for claim in [] if place == "queued" else hand.claim():
        hand.begin(claim)
        if place != "running":
            hand.settle(claim, place, eta=clock.at + 60 if place == "retrying" else None)
    assert state(storage, job_id or place) == place


def test_what_waits_is_canceled_at_once_and_belongs_to_no_worker(storage, clock, hand):
    for place in ("scheduled", "retrying", "blocked", "queued"):
        put(storage, hand, clock, place)
        assert storage.lifecycle.cancel(place) == place
        found = look(storage, place)
        assert (found.state, found.job.attempt) == ("canceled", int(place == "retrying")), place
        assert (found.worker, found.started_at) == (None, None) or place == "retrying"
        assert storage.lifecycle.read_events(100)[-1].worker is None
        assert kinds(storage, place)[-1] == "canceled"
    clock.advance(60)
    assert (storage.resume("queue", "held"), hand.claim(9)) == (0, [])


def test_a_running_job_is_asked_to_stop_and_may_still_end_as_it_likes_but_for_a_retry(storage, clock, hand):
    storage.enqueue_jobs(jobs("abc"))
    claims = a, b, c = hand.claim(3)
    for claim in claims:
        hand.begin(claim)
        with pytest.raises(errors.StateConflict):
            storage.lifecycle.cancel(claim.job.id, "queued")
        assert not look(storage, claim.job.id).stopping
        assert storage.lifecycle.cancel(claim.job.id, "running") == "running"
        assert (look(storage, claim.job.id).state, look(storage, claim.job.id).stopping) == ("running", True)
    assert storage.stop_requested([a.job.seq, b.job.seq, 999]) == {a.job.seq, b.job.seq}
    for claim, outcome in ((a, "canceled"), (b, "done"), (c, "retrying")):
        assert not hand.settle(claim, outcome, eta=clock.at + 5 if outcome == "retrying" else None).lost
    assert [(state(storage, each), kinds(storage, each)[1:]) for each in "abc"] == [
        ("canceled", ["canceled"]), ("done", ["done"]), ("canceled", ["canceled"]),
    ]  # fmt: skip
    assert storage.stop_requested([a.job.seq, b.job.seq, c.job.seq]) == set() and not look(storage, "b").stopping


def test_a_storage_names_what_was_asked_to_stop_by_its_worker(storage, hire):
    storage.enqueue_jobs([*jobs("abc"), job("d", eta=1e11)])
    one, other = hire(), hire()
    a, b = one.claim(2)
    (c,) = other.claim(1)
    assert storage.stopping([one.n, other.n]) == set()
    for each in "acd":
        storage.lifecycle.cancel(each)
    assert storage.stopping([one.n, other.n]) == {a.token, c.token}
    assert storage.stopping([one.n]) == {a.token} and storage.stopping([]) == set()
    one.settle(a)
    assert storage.stopping([one.n]) == set()
    one.settle(b)


def test_an_ended_job_is_queued_again(storage, clock, hand):
    for outcome in OUTCOMES:
        storage.enqueue_jobs([job(outcome, retries=1, expires_at=clock.at + 5)])
        hand.settle(hand.claim_one(), outcome, result=b"1")
        clock.advance(60)
        payload = payload_of(outcome, args=[3]) if outcome == "done" else None
        storage.retry(outcome, payload, 4)
        assert (look(storage, outcome).state, look(storage, outcome).result) == ("queued", None)
        claim = hand.claim_one()
        assert (claim.job.id, claim.job.retries, claim.job.eta, claim.job.expires_at) == (outcome, 4, None, None)
        assert claim.job.attempt == 1 and claim.job.payload == (payload or payload_of(outcome))
        assert kinds(storage, outcome) == ["enqueued", outcome, "retried"]
        hand.settle(claim, result=b"2")
        assert (state(storage, outcome), storage.peek_data(outcome)) == ("done", b"2")


def test_a_retrying_job_may_be_run_now(storage, clock, hand):
    put(storage, hand, clock, "retrying")
    storage.retry("retrying", None, 0)
    assert [c.job.id for c in hand.claim(5)] == ["retrying"]


def test_only_a_scheduled_job_is_run_before_its_time_and_keeps_its_retries(storage, clock, hand):
    for place in ("scheduled", "retrying", "blocked", "running", "queued"):
        put(storage, hand, clock, place, f"a-{place}")
        if place != "scheduled":
            with pytest.raises(errors.StateConflict, match=f"cannot run job a-{place}"):
                storage.retry(f"a-{place}", None, None)
    left = look(storage, "a-scheduled").job.retries
    storage.retry("a-scheduled", None, None)
    claimed = {claim.job.id: claim.job for claim in hand.claim(5)}
    assert {*claimed} == {"a-queued", "a-scheduled"}
    assert (claimed["a-scheduled"].retries, claimed["a-scheduled"].eta) == (left, None)
    with pytest.raises(errors.StateConflict):
        storage.retry("a-scheduled", None, None)


def test_a_retry_takes_the_step_after_it_along_once(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(follow_ups=(job("next"),))
    hand.work()
    storage.retry("a", None, 0)
    hand.work(follow_ups=(job("next"),))
    assert (state(storage, "a"), state(storage, "next"), hand.claim()) == ("done", "done", [])


def test_an_ended_job_is_forgotten(storage, hand):
    for outcome in OUTCOMES:
        storage.enqueue_jobs([job(outcome)])
        hand.work(outcome)
        do(storage, "forget", outcome, was=outcome)
        assert (state(storage, outcome), storage.has_data_for_key(outcome)) == (None, False)
        assert kinds(storage, outcome) == []
        assert storage.enqueue_jobs([job(outcome)]).accepted == ((outcome, True),)
        hand.work()


def test_a_verb_that_does_not_fit_the_state_is_refused_in_words_and_changes_nothing(storage, clock, hand):
    waiting = ("scheduled", "running", "blocked", "queued")
    table = {"cancel": OUTCOMES, "retry": waiting, "forget": (*waiting[:2], "queued")}
    words = {"cancel": "cancel", "retry": "retry", "forget": "delete"}
    for verb, places in table.items():
        with pytest.raises(errors.UnknownJob, match="no job has the id 'x'"):
            do(storage, verb, "x")
        for place in places:
            put(storage, hand, clock, place, f"{verb} {place}")
            with pytest.raises(errors.StateConflict, match=f"cannot {words[verb]} job {verb} {place}: it is {place}"):
                do(storage, verb, f"{verb} {place}")
            assert state(storage, f"{verb} {place}") == place
            storage.flush_queue()
        # Somebody saw it in another state: in that of the time between, it is left alone.
        place = "queued" if verb == "cancel" else "failed"
        put(storage, hand, clock, place, verb)
        for was in ("running", "done", "nonsense"):
            with pytest.raises(errors.StateConflict) as refused:
                do(storage, verb, verb, was)
            assert (refused.value.state, state(storage, verb)) == (place, place), (verb, was)
        do(storage, verb, verb, was=place)
        assert state(storage, verb) == {"cancel": "canceled", "retry": "queued", "forget": None}[verb]
        storage.flush_queue()
