"""A chord's callback comes to life once, with the part of each member in its place, whatever is redelivered."""

from __future__ import annotations

import pytest

from tests.contracts.rig import ended, job, jobs, kinds, part, state


def test_the_last_part_brings_the_callback_to_life(storage, hand):
    storage.enqueue_jobs(jobs("abc"))
    for index in range(3):
        assert state(storage, "callback") is None
        hand.work(chord_part=part("cid", index, 3))
    assert state(storage, "callback") == "queued"
    assert storage.chord_results("cid") == [b"0", b"1", b"2"]
    claim = hand.claim_one()
    assert (claim.id, claim.chord) == ("callback", "cid")
    assert kinds(storage, "callback") == ["enqueued"]


def test_the_parts_stand_in_the_order_of_the_members(storage, hand):
    storage.enqueue_jobs([job(f"j{i}") for i in range(12)])
    for index in [11, 3, 0, 10, 2, 1, 9, 4, 8, 5, 7, 6]:
        hand.work(chord_part=part("cid", index, 12))
    assert storage.chord_results("cid") == [b"%d" % i for i in range(12)]


def test_several_parts_in_one_turn_count_each(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    a, b = hand.claim(2)
    hand.commit(ended(a, chord_part=part("cid", 0, 2)), ended(b, chord_part=part("cid", 1, 2)))
    assert state(storage, "callback") == "queued"


def test_a_member_that_ends_twice_counts_once(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work("failed", chord_part=part("cid", 0, 2, b"first"))
    storage.retry("a", None, 0)
    hand.work(chord_part=part("cid", 0, 2, b"again"))
    assert state(storage, "callback") is None
    hand.work(chord_part=part("cid", 1, 2))
    assert state(storage, "callback") == "queued"
    assert len(storage.chord_results("cid")) == 2


@pytest.mark.parametrize("callback", ["queued", "done"])
def test_a_member_that_ends_again_after_the_callback_came_to_life_changes_nothing(storage, hand, callback):
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed", chord_part=part("cid", 0, 1))
    if callback == "done":
        hand.work()
    storage.retry("a", None, 0)
    claims = {claim.id: claim for claim in hand.claim(2)}
    assert hand.settle(claims["a"], chord_part=part("cid", 0, 1, b"again")).lost == frozenset()
    assert kinds(storage, "callback").count("enqueued") == 1


def test_a_lost_settlement_contributes_no_part(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    storage.release_claims(hand.n, [claim])
    hand.settle(claim, chord_part=part("cid", 0, 1))
    assert (state(storage, "callback"), storage.chord_results("cid")) == (None, [])


def test_chords_do_not_mix(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work(chord_part=part("one", 0, 2, callback="first"))
    hand.work(chord_part=part("two", 1, 2, callback="second"))
    assert state(storage, "first") is state(storage, "second") is None


def test_a_callback_that_failed_finds_its_parts_again_when_it_is_retried(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(chord_part=part("cid", 0, 1))
    hand.work("failed")
    storage.retry("callback", None, 0)
    assert storage.chord_results(hand.claim_one().chord) == [b"0"]


def test_the_parts_go_with_the_callback(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(chord_part=part("cid", 0, 1))
    hand.work()
    storage.forget("callback")
    assert storage.chord_results("cid") == []


def test_a_callback_keeps_its_place_in_time(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    later = part("cid", 0, 1)._replace(callback=job("callback", chord="cid", eta=clock.at + 30))
    hand.work(chord_part=later)
    assert state(storage, "callback") == "scheduled"
    clock.advance(30)
    assert hand.claim_one().id == "callback"
