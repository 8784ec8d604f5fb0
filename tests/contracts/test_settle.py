"""A claim is held once, and what its holder settles is written whole or not at all."""

from __future__ import annotations

import json
import threading

import pytest

from duey.model.job import ENDED
from tests.contracts.rig import Hand, ended, job, jobs, kinds, look, part, state

# claiming


def test_a_claimed_job_is_held_once(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    assert [claim.id for claim in hire().claim(5)] == ["a"]
    assert hire().claim(5) == []


def test_workers_of_several_processes_never_claim_the_same_job(storage, elsewhere, hire):
    storage.enqueue_jobs([job(f"j{i}") for i in range(300)])
    taken: list[list[str]] = [[], [], [], []]
    start = threading.Barrier(4)

    def work(at: list[str], hand: Hand) -> None:
        start.wait()
        while claims := hand.claim(7):
            at += [claim.id for claim in claims]

    hands = [hire(storage), hire(storage), hire(elsewhere), hire(elsewhere)]
    threads = [threading.Thread(target=work, args=pair) for pair in zip(taken, hands, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each for at in taken for each in at) == sorted(f"j{i}" for i in range(300))


def test_tokens_are_never_used_again(storage, hire):
    tokens = []
    for round_ in range(3):
        hand = hire()
        storage.enqueue_jobs([job(f"{round_}{each}") for each in "abcd"])
        claims = [*hand.claim(2), *hand.claim(3)]
        tokens += [claim.token for claim in claims]
        hand.commit(*map(ended, claims))
        hand.go()
    assert len(tokens) == len(set(tokens)) == 12


def test_tokens_stay_apart_when_paused_jobs_are_met_in_between(storage, hand):
    storage.pause("task", "shop.held")
    storage.enqueue_jobs([job("a", task="shop.held"), job("b"), job("c", task="shop.held"), job("d"), job("e")])
    claims = hand.claim(3)
    assert [claim.id for claim in claims] == ["b", "d", "e"]
    assert len({claim.token for claim in claims}) == 3


def test_an_idle_turn_claims_nothing(storage, hand):
    assert hand.claim(5) == []
    storage.enqueue_jobs(jobs("a"))
    assert storage.settle_and_claim(hand.n, (), 0, ("*",)).claims == []


# settling


@pytest.mark.parametrize("outcome", sorted(ENDED))
def test_a_settlement_ends_the_job(storage, clock, hand, outcome):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    clock.advance(2)
    turn = hand.settle(claim, outcome, started_at=clock.at - 1, result=b'"why"')
    found = look(storage, "a")
    assert turn.lost == frozenset()
    assert (found.place, found.state, found.result) == ("finished", outcome, b'"why"')
    assert (found.started_at, found.finished_at, found.worker) == (clock.at - 1, clock.at, hand.n)
    assert found.attempt == 1


def test_everything_of_a_settlement_is_written_in_one_go(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(
        hand.claim_one(), next_jobs=[job("next"), job("later", eta=clock.at + 5)], others=[("other", b'"x"')],
        chord_part=part("cid", 0, 1), detail=json.dumps({"note": "n"}),
    )  # fmt: skip
    assert storage.peek_data("a") == b'"ok"'
    assert storage.peek_data("other") == b'"x"'
    assert [state(storage, each) for each in ("next", "later", "callback")] == ["queued", "scheduled", "queued"]
    done = next(e for e in storage.read_events(10) if e.kind == "done")
    assert (done.job_id, done.detail) == ("a", {"note": "n"})
    enqueued = {e.job_id for e in storage.read_events(10) if e.kind == "enqueued"}
    assert enqueued == {"a", "callback", "later", "next"}


def test_one_turn_settles_and_claims(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    claim = hand.claim_one()
    turn = storage.settle_and_claim(hand.n, [ended(claim)], 1, ("*",))
    assert (state(storage, "a"), [c.id for c in turn.claims]) == ("done", ["b"])


def test_what_a_settlement_defers_can_be_claimed_in_the_same_turn(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    turn = storage.settle_and_claim(hand.n, [ended(hand.claim_one(), next_jobs=[job("b")])], 1, ("*",))
    assert [c.id for c in turn.claims] == ["b"]


def test_several_settlements_share_a_turn(storage, hand):
    storage.enqueue_jobs(jobs("abc"))
    a, b, c = hand.claim(3)
    hand.commit(ended(a), ended(b, "failed"), ended(c, "retrying"))
    assert [state(storage, each) for each in "abc"] == ["done", "failed", "queued"]


def test_an_attempt_that_will_be_retried_waits_until_then(storage, clock, hand):
    storage.enqueue_jobs([job("a", retries=2, retry_delay_s=5.0)])
    hand.settle(hand.claim_one(), "retrying", eta=clock.at + 5, retries=1, retry_delay_s=10.0)
    found = look(storage, "a")
    assert (found.state, found.attempt, found.retries, found.eta) == ("retrying", 1, 1, clock.at + 5)
    assert found.result is None
    assert hand.claim() == []
    clock.advance(5)
    claim = hand.claim_one()
    assert (claim.attempt, claim.retries, claim.retry_delay_s) == (1, 1, 10.0)


def test_a_retry_without_a_delay_is_queued_at_once(storage, hand):
    storage.enqueue_jobs([job("a", retries=1)])
    hand.settle(hand.claim_one(), "retrying", retries=0)
    assert state(storage, "a") == "queued"
    assert (hand.claim_one().attempt, kinds(storage)) == (1, ["enqueued", "retrying"])


def test_a_job_that_never_began_has_made_no_attempt(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(hand.claim_one(), "canceled", started_at=None)
    assert look(storage, "a").attempt == 0


def test_a_released_job_goes_back_with_nothing_counted(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.settle(hand.claim_one(), "released", result=None)
    claim = hand.claim_one()
    assert (claim.id, claim.attempt, claim.crashes) == ("a", 0, 0)
    assert kinds(storage, "a") == ["enqueued", "released"]


def test_a_blocked_job_says_why(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(hand.claim_one(), "blocked", started_at=None, result=None, reason="unknown")
    found = look(storage, "a")
    assert (found.place, found.state, found.reason) == ("blocked", "blocked", "unknown shop.order")
    assert hand.claim() == []


@pytest.mark.parametrize("ended_before", [False, True])
def test_a_next_job_that_came_to_life_before_is_not_deferred_again(storage, hand, ended_before):
    storage.enqueue_jobs([job("next", priority=1), job("a")])
    if ended_before:
        hand.work()
        claim = hand.claim_one()
    else:
        claim = hand.claim(2)[1]
    assert not hand.settle(claim, next_jobs=[job("next"), job("other")]).lost
    assert [state(storage, each) for each in ("a", "other")] == ["done", "queued"]
    assert kinds(storage, "next").count("enqueued") == 1


# losing the claim


def lose(storage, hand):
    """A claim that somebody else has taken away in the meantime."""
    claim = hand.claim_one()
    hand.die()
    storage.reap(hand.dead(), 3)
    return claim


def test_a_settlement_whose_claim_is_gone_writes_nothing_and_is_named(storage, hire):
    storage.enqueue_jobs(jobs("ab"))
    slow, other = hire(), hire()
    lost = lose(storage, slow)
    good = other.claim(2)[1]
    turn = other.commit(
        ended(good), ended(lost, next_jobs=[job("next")], others=[("key", b"1")], chord_part=part("cid", 0, 1))
    )
    assert turn.lost == {lost.token}
    assert (state(storage, "b"), look(storage, "a").result) == ("done", None)
    assert state(storage, "next") is state(storage, "callback") is None
    assert not storage.has_data_for_key("key")
    assert kinds(storage, "a") == ["enqueued"]


def test_a_claim_can_be_settled_once(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    hand.settle(claim, result=b"1")
    assert hand.settle(claim, "failed", result=b"2").lost == {claim.token}
    assert (state(storage, "a"), storage.peek_data("a")) == ("done", b"1")


def test_only_the_new_holder_may_settle(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    slow, quick = hire(), hire()
    lost = lose(storage, slow)
    assert quick.settle(quick.claim_one(), result=b'"quick"').lost == frozenset()
    assert quick.settle(lost, result=b'"slow"').lost == {lost.token}
    assert storage.peek_data("a") == b'"quick"'


# giving back


def test_what_never_began_goes_back_untouched_and_in_its_place(storage, hire):
    storage.enqueue_jobs([job("a"), job("b"), job("c", priority=1)])
    hand, other = hire(), hire()
    claims = hand.claim(2)
    storage.release_claims(hand.n, claims)
    again = other.claim(3)
    assert [c.id for c in again] == ["c", "a", "b"]
    assert {(c.attempt, c.crashes) for c in again} == {(0, 0)}
    assert kinds(storage) == ["enqueued"] * 3


def test_a_claim_that_was_given_back_cannot_be_settled(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    storage.release_claims(hand.n, [claim])
    assert hand.settle(claim).lost == {claim.token}
    assert state(storage, "a") == "queued"


def test_giving_back_what_is_no_longer_held_changes_nothing(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    hand.settle(claim)
    storage.release_claims(hand.n, [claim])
    assert (state(storage, "a"), hand.claim()) == ("done", [])


def test_a_job_is_not_accepted_by_huey_s_own_enqueue(storage):
    with pytest.raises(NotImplementedError):
        storage.enqueue(b"bytes")
