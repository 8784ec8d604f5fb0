"""Checkpoints: how far a job has come is kept with it, through deaths and failures, by its holder only."""

from __future__ import annotations

import pytest

from duey import canceled, checkpoint, errors, resume
from duey.control.service import Control
from duey.storage.deaths import DeadWorker
from tests.contracts.rig import jobs, look, run_all, run_next, state


@pytest.fixture
def held(storage, hire):
    """A claim in hand."""
    storage.enqueue_jobs(jobs("a"))
    hand = hire()
    return hand, hand.claim_one()


# in the storage


def test_what_was_kept_last_is_found(storage, held):
    _, claim = held
    assert storage.checkpoint_of(claim, "k") is None
    for data in (b"1", b"2"):
        assert storage.put_checkpoint(claim, "k", data)
    assert storage.put_checkpoint(claim, "", b"other")
    assert (storage.checkpoint_of(claim, "k"), storage.checkpoint_of(claim, "")) == (b"2", b"other")


def test_the_next_holder_finds_it_and_the_former_one_can_no_longer_write(storage, held, hire):
    hand, claim = held
    storage.put_checkpoint(claim, "k", b"1")
    hand.die()
    storage.reap(hand.dead(), 3)
    again = hire().claim_one()
    assert storage.checkpoint_of(again, "k") == b"1"
    assert storage.put_checkpoint(again, "k", b"2")
    assert not storage.put_checkpoint(claim, "k", b"old")
    assert storage.checkpoint_of(again, "k") == b"2"


@pytest.mark.parametrize(("outcome", "kept"), [("failed", b"1"), ("canceled", b"1"), ("done", None)])
def test_a_retry_by_hand_goes_on_where_a_job_failed_and_begins_one_anew_that_was_done(storage, held, outcome, kept):
    hand, claim = held
    storage.put_checkpoint(claim, "k", b"1")
    hand.settle(claim, outcome)
    storage.retry("a", None, 0)
    assert storage.checkpoint_of(hand.claim_one(), "k") == kept


def test_it_goes_with_the_job(storage, held):
    hand, claim = held
    storage.put_checkpoint(claim, "k", b"1")
    hand.settle(claim, "failed")
    storage.forget("a")
    assert storage.checkpoint_of(claim, "k") is None


# in a body


def test_a_retry_goes_on_from_the_checkpoint(huey):
    seen = []

    @huey.task(retries=3)
    def task():
        at = checkpoint() or 0
        seen.append(at)
        checkpoint(at + 10)
        if at < 20:
            raise OSError

    task()
    run_all(huey)
    assert seen == [0, 10, 20]


def test_a_checkpoint_holds_what_arguments_may_hold(huey):
    value = {"page": 3, "ids": [1, 2], "token": None}

    @huey.task()
    def task():
        checkpoint(value)
        checkpoint(7, key="other")
        return checkpoint(), checkpoint(key="other"), checkpoint(key="third")

    result = task()
    run_next(huey)
    assert list(result.get()) == [value, 7, None]


def test_none_is_a_value_like_any(huey):
    @huey.task()
    def task():
        checkpoint(1)
        checkpoint(None)
        return checkpoint()

    task()
    assert run_next(huey) is None


def test_a_large_checkpoint_is_refused_in_words(huey, storage):
    @huey.task()
    def task():
        checkpoint("x" * 2_000_000)

    result = task()
    run_next(huey)
    assert state(storage, result.id) == "failed"
    assert "at most 1048576 bytes" in storage.read_events(10)[-1].detail["message"]


def test_outside_of_a_job_nothing_is_kept():
    checkpoint(5)
    assert checkpoint() is None
    assert list(resume(iter("abc"))) == ["a", "b", "c"]


def test_a_loop_goes_on_where_its_attempt_failed(huey, storage):
    done = []

    @huey.task(retries=5)
    def load():
        for row in resume(range(10), key="import"):
            if row in (3, 7) and row not in tried:
                tried.append(row)
                raise OSError
            done.append(row)

    tried = []
    result = load()
    run_all(huey)
    assert (state(storage, result.id), done) == ("done", list(range(10)))
    assert Control(huey).job(result.id).progress == {"done": 10, "total": 10, "note": ""}


def test_a_loop_goes_on_after_a_death_from_what_was_kept(huey, storage, hire):
    storage.enqueue_jobs(jobs("x"))
    hire().claim_one()  # not this one

    @huey.task()
    def load(every_s):
        return list(resume("abcdef", every_s=every_s))

    result = load(0)
    hand = hire()
    claim = hand.claim_one()
    data = huey.serializer.serialize(4)
    assert storage.put_checkpoint(claim, "resume rows", data)
    hand.begin(claim)
    hand.die()
    storage.reap(hand.dead(), 3)
    run_all(huey)
    assert result.get() == ["e", "f"]


def test_each_row_can_be_kept(huey, storage):
    kept = []

    @huey.task()
    def load():
        for _ in resume("abc", every_s=0):
            kept.append(checkpoint(key="resume rows"))

    load()
    run_next(huey)
    assert kept == [None, 1, 2]


def test_a_body_s_own_progress_is_left_alone(huey, storage):
    from duey import progress

    @huey.task()
    def load():
        for row in resume(range(3)):
            progress(row, 100, "mine")

    result = load()
    run_next(huey)
    assert Control(huey).job(result.id).progress == {"done": 2, "total": 100, "note": "mine"}


def test_two_loops_of_a_job_are_kept_apart(huey):
    seen = []

    @huey.task(retries=1)
    def load():
        seen.extend(resume("ab", key="letters"))
        for digit in resume("12", key="digits"):
            seen.append(digit)
            if seen.count("1") == 1:
                raise OSError

    load()
    run_all(huey)
    assert seen == ["a", "b", "1", "1", "2"]


def test_a_body_that_lost_its_job_learns_of_it(huey, storage, hire):
    told = []

    @huey.task()
    def load():
        for worker in storage.worker_infos():
            storage.holder = None
            reaper = DeadWorker(int(worker.id), "h", 1)
            huey._alone.abandon()
            storage.reap(reaper, 9)
        try:
            checkpoint(1)
        except errors.ClaimLost as exc:
            told.append(str(exc))

    result = load()
    with pytest.raises(errors.DueyError):
        run_next(huey)
    assert told == [f"job {result.id} was taken away from this worker: its checkpoint was not kept"]
    assert look(storage, result.id).place == "ready"
    assert not canceled()
