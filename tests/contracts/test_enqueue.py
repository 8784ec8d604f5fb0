"""Accepting work: all or nothing, durable, and never twice."""

from __future__ import annotations

import threading

import pytest

from duey import errors
from duey.model.job import DONE, FAILED, Idempotency
from duey.storage.contract import EnqueuedJob
from tests.contracts.rig import job, jobs, kinds, look, payload_of, state

KEY = Idempotency("token", "key", "the body")


def test_what_was_accepted_is_there_for_every_process(storage, elsewhere):
    storage.enqueue_jobs([job("a")])
    assert state(elsewhere, "a") == "queued"


def test_what_was_accepted_is_there_after_a_restart(storage, make_huey):
    storage.enqueue_jobs([job("a")])
    storage.close()
    assert state(make_huey().storage, "a") == "queued"


def test_every_column_is_kept(storage, clock, hand):
    given = job(
        "a", queue="slow", priority=2.5, eta=clock.at + 60, expires_at=clock.at + 90, retries=3,
        retry_delay_s=1.5, timeout_s=9.0, flags=1, unique_key="k", parent="p", context='{"who": "me"}',
        payload=payload_of("a", args=["\x00ü"]),
    )  # fmt: skip
    storage.enqueue_jobs([given])
    clock.advance(60)
    claim = hand.claim_one()
    columns = set(claim._fields) & set(given._fields)
    assert {name: getattr(claim, name) for name in columns} == {name: getattr(given, name) for name in columns}
    found = look(storage, "a")
    assert (found.parent, found.context, found.payload) == (given.parent, given.context, given.payload)


@pytest.mark.parametrize("size", [1, 3, 40])
def test_a_batch_is_accepted_in_order(storage, hand, size):
    ids = [f"j{i}" for i in range(size)]
    assert storage.enqueue_jobs([job(i) for i in ids]).accepted == tuple(EnqueuedJob(i, True) for i in ids)
    assert [claim.id for claim in hand.claim(size)] == ids


@pytest.mark.parametrize("size", [2, 40])
def test_a_batch_with_one_refused_job_stores_nothing(storage, hand, size):
    storage.enqueue_jobs([job("old")])
    hand.work()
    with pytest.raises(errors.DuplicateJob):
        storage.enqueue_jobs([*(job(f"j{i}") for i in range(size)), job("old")])
    assert storage.counts().queued == 0
    assert kinds(storage).count("enqueued") == 1


def test_an_empty_batch_is_accepted(storage):
    assert storage.enqueue_jobs([]).accepted == ()


def test_threads_that_defer_at_the_same_time_get_their_own_answers(storage, hand):
    storage.enqueue_jobs([job("old")])
    hand.work()
    answers: dict[str, object] = {}
    start = threading.Barrier(8)

    def enqueue_jobs(job_id: str) -> None:
        start.wait()
        try:
            answers[job_id] = storage.enqueue_jobs([job(job_id)]).accepted[0].fresh
        except errors.DuplicateJob as exc:
            answers[job_id] = exc.job_id

    threads = [threading.Thread(target=enqueue_jobs, args=(i,)) for i in ("old", *"abcdefg")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {"old": "old", **dict.fromkeys("abcdefg", True)}
    assert storage.counts().queued == 7


# the same id


@pytest.mark.parametrize("place", ["queued", "scheduled", "running"])
def test_an_id_that_has_not_ended_is_not_stored_again(storage, clock, hand, place):
    storage.enqueue_jobs([job("a", eta=clock.at + 60 if place == "scheduled" else None)])
    if place == "running":
        hand.begin(hand.claim_one())
    assert storage.enqueue_jobs([job("a", priority=9.0)]).accepted == (EnqueuedJob("a", False),)
    assert (look(storage, "a").state, look(storage, "a").priority) == (place, 0.0)
    assert kinds(storage) == ["enqueued"]


def test_an_id_twice_in_a_batch_is_stored_once(storage, hand):
    many = [job(f"j{i % 20}") for i in range(40)]
    assert [a.fresh for a in storage.enqueue_jobs(many).accepted] == [True] * 20 + [False] * 20
    assert len(hand.claim(100)) == 20


@pytest.mark.parametrize("outcome", [DONE, FAILED])
def test_an_id_that_has_ended_is_refused(storage, hand, outcome):
    storage.enqueue_jobs([job("a")])
    hand.work(outcome)
    with pytest.raises(errors.DuplicateJob, match=f"already ended as {outcome}"):
        storage.enqueue_jobs([job("a")])


# idempotency keys


def test_the_same_key_and_body_answer_the_same_jobs(storage):
    first = storage.enqueue_jobs(jobs("ab"), KEY)
    again = storage.enqueue_jobs(jobs("cd"), KEY)
    assert (first.replayed, [a.id for a in first.accepted]) == (False, ["a", "b"])
    assert (again.replayed, again.accepted) == (True, (EnqueuedJob("a", False), EnqueuedJob("b", False)))
    assert storage.counts().queued == 2


def test_the_same_key_with_another_body_is_refused(storage):
    storage.enqueue_jobs([job("a")], KEY)
    with pytest.raises(errors.KeyReused):
        storage.enqueue_jobs([job("b")], KEY._replace(fingerprint="another body"))
    assert state(storage, "b") is None


def test_keys_of_different_tokens_are_different_keys(storage):
    storage.enqueue_jobs([job("a")], KEY)
    assert not storage.enqueue_jobs([job("b")], KEY._replace(token="another")).replayed


def test_a_key_answers_after_the_job_has_ended(storage, hand):
    storage.enqueue_jobs([job("a")], KEY)
    hand.work()
    assert storage.enqueue_jobs([job("b")], KEY).accepted == (EnqueuedJob("a", False),)


def test_a_key_is_forgotten_after_a_day(storage, clock):
    storage.enqueue_jobs([job("a")], KEY)
    clock.advance(24 * 3600 - 1)
    assert storage.enqueue_jobs([job("b")], KEY).replayed
    clock.advance(2)
    assert not storage.enqueue_jobs([job("c")], KEY).replayed


def test_a_refused_request_leaves_its_key_unused(storage):
    with pytest.raises(errors.TooManyPending):
        storage.enqueue_jobs(jobs("ab"), KEY, max_pending=1)
    assert not storage.enqueue_jobs([job("a")], KEY).replayed


# the limit


def test_more_than_max_pending_are_refused_as_a_whole(storage, clock):
    storage.enqueue_jobs([job("a"), job("b", eta=clock.at + 60)], max_pending=3)
    with pytest.raises(errors.TooManyPending, match="limit of 3"):
        storage.enqueue_jobs(jobs("cd"), max_pending=3)
    assert storage.counts().queued == 1
    assert storage.enqueue_jobs([job("c")], max_pending=3).accepted[0].fresh


def test_running_and_ended_jobs_are_not_pending(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work()
    hand.claim_one()
    assert storage.enqueue_jobs([job("c")], max_pending=1).accepted[0].fresh


def test_blocked_jobs_are_pending(storage, hand):
    storage.pause("queue", "default")
    storage.enqueue_jobs([job("a")])
    assert hand.claim() == []
    with pytest.raises(errors.TooManyPending):
        storage.enqueue_jobs([job("b")], max_pending=1)


def test_a_replay_is_answered_also_when_the_queue_is_full(storage):
    storage.enqueue_jobs([job("a")], KEY, max_pending=1)
    assert storage.enqueue_jobs([job("b")], KEY, max_pending=1).replayed
