"""Checkpoints: how far a job has come is kept with it, through deaths and failures, by its holder only."""

from __future__ import annotations

import pytest

from duey import canceled, checkpoint, errors, progress, resume
from duey.control.service import Control
from duey.storage.values import DeadWorker
from tests.contracts.rig import jobs, look, run_all, run_next, state

# in the storage


def test_the_holder_keeps_a_checkpoint_and_the_next_one_finds_it(storage, hire):
    storage.enqueue_jobs(jobs("a"))
    hand = hire()
    claim = hand.claim_one()
    assert storage.checkpoint_of(claim, "k") is None
    for data in (b"1", b"2"):
        assert storage.put_checkpoint(claim, "k", data)
    assert storage.put_checkpoint(claim, "", b"other")
    assert (storage.checkpoint_of(claim, "k"), storage.checkpoint_of(claim, "")) == (b"2", b"other")
    hand.die()
    storage.lifecycle.reap(hand.dead(), 3)
    again = hire().claim_one()
    assert storage.checkpoint_of(again, "k") == b"2"
    assert storage.put_checkpoint(again, "k", b"3")
    assert not storage.put_checkpoint(claim, "k", b"old"), "the former holder can no longer write"
    assert storage.checkpoint_of(again, "k") == b"3"


def test_a_retry_by_hand_goes_on_where_a_job_failed_and_begins_one_anew_that_was_done(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    for outcome, kept in (("failed", b"1"), ("canceled", b"1"), ("done", None)):
        claim = hand.claim_one()
        storage.put_checkpoint(claim, "k", b"1")
        hand.settle(claim, outcome)
        storage.retry("a", None, 0)
        claim = hand.claim_one()
        assert storage.checkpoint_of(claim, "k") == kept, outcome
        storage.put_checkpoint(claim, "k", b"2")
        storage.release_claims(hand.n, [claim])
    hand.work("failed")
    storage.forget("a")
    assert storage.checkpoint_of(claim, "k") is None, "it goes with the job"


# in a body


def test_a_checkpoint_holds_what_arguments_may_hold_also_none(huey):
    value = {"page": 3, "ids": [1, 2], "token": None}

    def body():
        checkpoint(value), checkpoint(7, key="other"), checkpoint(1, key="none"), checkpoint(None, key="none")
        return checkpoint(), checkpoint(key="other"), checkpoint(key="none"), checkpoint(key="third")

    huey.task(name="body")(body)()
    assert run_next(huey) == (value, 7, None, None)
    large = huey.task(name="large")(lambda: checkpoint("x" * 2_000_000))()
    run_next(huey)
    assert state(huey.storage, large.id) == "failed"
    assert "at most 1048576 bytes" in huey.lifecycle.read_events(10)[-1].detail["message"]
    checkpoint(5)
    assert checkpoint() is None and list(resume(iter("abc"))) == ["a", "b", "c"], "outside of a job nothing is kept"


def test_a_loop_goes_on_where_its_attempt_failed_each_apart_from_the_others(huey, storage):
    done, tried, kept = [], [], []

    def load():
        done.extend(resume("ab", key="letters"))
        for row in resume(range(10), key="import", every_s=0):
            if row in (3, 7) and row not in tried:
                tried.append(row)
                raise OSError
            done.append(row)
            kept.append(checkpoint(key="resume import"))

    result = huey.task(name="load", retries=5)(load)()
    run_all(huey)
    assert (state(storage, result.id), done) == ("done", ["a", "b", *range(10)])
    assert kept == [None, *range(1, 10)], "each row can be kept"
    assert Control(huey).job(result.id).progress == {"done": 10, "total": 10, "note": ""}

    def own():
        for row in resume(range(3)):
            progress(row, 100, "mine")

    result = huey.task(name="own")(own)()
    run_next(huey)
    assert Control(huey).job(result.id).progress == {"done": 2, "total": 100, "note": "mine"}


def test_a_loop_goes_on_after_a_death_from_what_was_kept(huey, storage, hire):
    result = huey.task(name="load")(lambda: list(resume("abcdef", every_s=0)))()
    hand = hire()
    claim = hand.claim_one()
    assert storage.put_checkpoint(claim, "resume rows", huey.serializer.serialize(4))
    hand.begin(claim)
    hand.die()
    storage.lifecycle.reap(hand.dead(), 3)
    run_all(huey)
    assert result.get() == ["e", "f"]


def test_a_body_that_lost_its_job_learns_of_it(huey, storage):
    told = []

    def load():
        (worker,) = storage.worker_infos()
        storage.holder = None
        huey.alone.abandon()
        storage.lifecycle.reap(DeadWorker(int(worker.id), "h", 1), 9)
        try:
            checkpoint(1)
        except errors.ClaimLost as exc:
            told.append(str(exc))

    result = huey.task(name="load")(load)()
    with pytest.raises(errors.DueyError):
        run_next(huey)
    assert told == [f"job {result.id} was taken away from this worker: its checkpoint was not kept"]
    assert look(storage, result.id).place == "ready" and not canceled()
