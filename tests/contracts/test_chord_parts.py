"""A chord's callback comes to life once, with the part of each member in its place, whatever is redelivered."""

from __future__ import annotations

from tests.contracts.rig import ended, job, jobs, kinds, part, state


def test_the_last_part_brings_the_callback_to_life(storage, hand):
    storage.enqueue_jobs([job(f"j{i}") for i in range(12)])
    for index in [11, 3, 0, 10, 2, 1, 9, 4, 8, 5, 7, 6]:
        assert state(storage, "callback") is None
        hand.work(chord_part=part("cid", index, 12))
    assert state(storage, "callback") == "queued"
    assert storage.chord_results("cid") == [b"%d" % i for i in range(12)], "in the order of the members"
    claim = hand.claim_one()
    assert (claim.job.id, claim.job.chord, kinds(storage, "callback")) == ("callback", "cid", ["enqueued"])
    hand.settle(claim, "failed")
    storage.retry("callback", None, 0)
    assert len(storage.chord_results(hand.claim_one().job.chord)) == 12, "a retry finds them again"


def test_several_parts_in_one_turn_count_each_and_chords_do_not_mix(storage, hand):
    storage.enqueue_jobs(jobs("abcd"))
    a, b, *_ = hand.claim(2)
    hand.work(chord_part=part("one", 0, 2, callback="first"))
    hand.work(chord_part=part("two", 1, 2, callback="second"))
    assert state(storage, "first") is state(storage, "second") is None
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
    for callback in ("queued", "done"):  # and changes nothing once the callback has come to life
        if callback == "done":
            assert hand.work() == "callback"
        storage.retry("a", None, 0)
        claims = {claim.job.id: claim for claim in hand.claim(2)}
        assert not hand.settle(claims.pop("a"), chord_part=part("cid", 0, 2, b"again")).lost
        storage.release_claims(hand.n, [*claims.values()])
    assert kinds(storage, "callback").count("enqueued") == 1


def test_a_lost_outcome_contributes_no_part(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    storage.release_claims(hand.n, [claim])
    hand.settle(claim, chord_part=part("cid", 0, 1))
    assert (state(storage, "callback"), storage.chord_results("cid")) == (None, [])


def test_a_callback_keeps_its_place_in_time_and_its_parts_go_with_it(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(chord_part=part("cid", 0, 1)._replace(callback=job("callback", chord="cid", eta=clock.at + 30)))
    assert state(storage, "callback") == "scheduled"
    clock.advance(30)
    assert hand.work() == "callback"
    storage.forget("callback")
    assert storage.chord_results("cid") == []
