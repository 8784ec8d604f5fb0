"""A claim is held once, and what its holder settles is written whole or not at all."""

from __future__ import annotations

import json

import pytest

from duey.model.job import ENDED
from tests.contracts.rig import ended, job, jobs, kinds, look, part, state

# claiming


def test_a_claimed_job_is_held_once_and_an_idle_turn_claims_nothing(storage, hire):
    hand, other = hire(), hire()
    assert hand.claim(5) == []
    storage.enqueue_jobs(jobs("a"))
    assert storage.settle_and_claim(hand.n, (), 0, ("*",)).claims == []
    assert [claim.job.id for claim in hand.claim(5)] == ["a"]
    assert other.claim(5) == []
    with pytest.raises(NotImplementedError):
        storage.enqueue(b"bytes")  # Huey's own


def test_tokens_are_never_used_again(storage, hire):
    """Also where paused jobs are met in between."""
    storage.pause("task", "shop.held")
    tokens = []
    for n in range(3):
        hand = hire()
        storage.enqueue_jobs(
            [job(f"{n}{each}", task="shop.held" if each in "ac" else "shop.order") for each in "abcde"]
        )
        claims = [*hand.claim(2), *hand.claim(3)]
        assert [claim.job.id for claim in claims] == [f"{n}{each}" for each in "bde"]
        tokens += [claim.token for claim in claims]
        hand.commit(*map(ended, claims))
        hand.go()
    assert len(tokens) == len(set(tokens)) == 9


# settling


def test_an_outcome_ends_the_job(storage, clock, hand):
    for outcome in sorted(ENDED):
        storage.enqueue_jobs([job(outcome)])
        claim = hand.claim_one()
        clock.advance(2)
        turn = hand.settle(claim, outcome, started_at=clock.at - 1, result=b'"why"')
        found = look(storage, outcome)
        assert turn.lost == frozenset()
        assert (found.place, found.state, found.result) == ("finished", outcome, b'"why"')
        assert (found.started_at, found.finished_at, found.worker) == (clock.at - 1, clock.at, hand.n)
        assert found.job.attempt == 1
        assert hand.settle(claim, "failed", result=b"2").lost == {claim.token}, "it is settled once"
        assert (state(storage, outcome), storage.peek_data(outcome)) == (outcome, b'"why"')


def test_everything_of_an_outcome_is_written_in_one_go(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(
        hand.claim_one(), follow_ups=(job("next"), job("later", eta=clock.at + 5),), others=(("other", b'"x"'),),
        chord_part=part("cid", 0, 1), detail=json.dumps({"note": "n"}),
    )  # fmt: skip
    assert (storage.peek_data("a"), storage.peek_data("other")) == (b'"ok"', b'"x"')
    assert [state(storage, each) for each in ("next", "later", "callback")] == ["queued", "scheduled", "queued"]
    done = next(e for e in storage.lifecycle.read_events(10) if e.kind == "done")
    assert (done.job_id, done.detail) == ("a", {"note": "n"})
    enqueued = {e.job_id for e in storage.lifecycle.read_events(10) if e.kind == "enqueued"}
    assert enqueued == {"a", "callback", "later", "next"}


def test_one_turn_settles_several_and_claims_also_what_they_enqueue(storage, hand):
    storage.enqueue_jobs(jobs("abc"))
    a, b, c = hand.claim(3)
    outcomes = [ended(a, follow_ups=(job("d"),)), ended(b, "failed"), ended(c, "retrying")]
    turn = storage.settle_and_claim(hand.n, outcomes, 2, ("*",))
    assert [state(storage, each) for each in "ab"] == ["done", "failed"]
    assert sorted(claim.job.id for claim in turn.claims) == ["c", "d"]


def test_an_attempt_that_will_be_retried_waits_until_then(storage, clock, hand):
    storage.enqueue_jobs([job("a", retries=2, retry_delay_s=5.0)])
    hand.settle(hand.claim_one(), "retrying", eta=clock.at + 5, retries=1, retry_delay_s=10.0)
    found = look(storage, "a")
    assert (found.state, found.job.attempt, found.job.retries, found.job.eta) == ("retrying", 1, 1, clock.at + 5)
    assert found.result is None and hand.claim() == []
    clock.advance(5)
    claim = hand.claim_one()
    assert (claim.job.attempt, claim.job.retries, claim.job.retry_delay_s) == (1, 1, 10.0)
    hand.settle(claim, "retrying", retries=0)
    assert state(storage, "a") == "queued", "at once, without a delay"
    assert (hand.claim_one().job.attempt, kinds(storage)) == (2, ["enqueued", "retrying", "retrying"])


def test_what_did_not_run_has_made_no_attempt(storage, hand):
    storage.enqueue_jobs(jobs("abc"))
    a, b, c = hand.claim(3)
    hand.settle(a, "canceled", started_at=None)
    hand.settle(b, "blocked", started_at=None, result=None, reason="unknown")
    hand.settle(c, "released", result=None)
    assert [look(storage, each).job.attempt for each in "abc"] == [0, 0, 0]
    found = look(storage, "b")
    assert (found.place, found.state, found.reason) == ("blocked", "blocked", "unknown shop.order")
    (again,) = hand.claim(5)
    assert (again.job.id, again.job.attempt, again.job.crashes) == ("c", 0, 0)
    assert kinds(storage, "c") == ["enqueued", "released"]


def test_a_next_job_that_came_to_life_before_is_not_enqueued_again(storage, hand):
    storage.enqueue_jobs([job("next", priority=1), job("a"), job("b")])
    before, a, b = hand.claim(3)
    assert not hand.settle(
        a,
        follow_ups=(
            job("next"),
            job("other"),
        ),
    ).lost
    hand.settle(before)
    assert not hand.settle(b, follow_ups=(job("next"),)).lost
    assert [state(storage, each) for each in ("a", "b", "other", "next")] == ["done", "done", "queued", "done"]
    assert kinds(storage, "next").count("enqueued") == 1


# losing the claim


def test_an_outcome_whose_claim_is_gone_writes_nothing_and_is_named(storage, hire):
    storage.enqueue_jobs(jobs("ab"))
    slow, other = hire(), hire()
    lost = slow.claim_one()
    slow.die()
    storage.lifecycle.reap(slow.dead(), 3)
    again, good = other.claim(2)
    turn = other.commit(
        ended(good), ended(lost, follow_ups=(job("next"),), others=(("key", b"1"),), chord_part=part("cid", 0, 1))
    )
    assert turn.lost == {lost.token}
    assert (state(storage, "b"), look(storage, "a").result) == ("done", None)
    assert state(storage, "next") is state(storage, "callback") is None
    assert not storage.has_data_for_key("key") and kinds(storage, "a") == ["enqueued"]
    assert other.settle(again, result=b'"quick"').lost == frozenset()
    assert other.settle(lost, result=b'"slow"').lost == {lost.token}
    assert storage.peek_data("a") == b'"quick"'


def test_what_never_began_goes_back_untouched_and_in_its_place(storage, hire):
    storage.enqueue_jobs([job("a"), job("b"), job("c", priority=1)])
    hand, other = hire(), hire()
    claims = hand.claim(2)
    storage.release_claims(hand.n, claims)
    assert hand.settle(claims[0]).lost == {claims[0].token}
    again = other.claim(3)
    assert [(c.job.id, c.job.attempt, c.job.crashes) for c in again] == [("c", 0, 0), ("a", 0, 0), ("b", 0, 0)]
    assert kinds(storage) == ["enqueued"] * 3
    other.settle(again[0])
    storage.release_claims(other.n, again[:1])
    assert (state(storage, "c"), other.claim()) == ("done", []), "what is no longer held stays as it is"
