"""Accepting work: all or nothing, durable, and never twice."""

from __future__ import annotations

import pytest
from huey.api import chord

from duey import errors
from duey.model.job import DONE, FAILED, Idempotency
from duey.storage.values import EnqueuedJob
from tests.contracts.rig import job, jobs, kinds, look, payload_of, state

KEY = Idempotency("token", "key", "the body")


def test_what_was_accepted_is_there_for_every_process_and_after_a_restart(storage, elsewhere, make_huey):
    assert storage.enqueue_jobs([]).accepted == ()
    storage.enqueue_jobs([job("a")])
    assert state(elsewhere, "a") == "queued"
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
    assert (found.job.parent, found.job.context, found.job.payload) == (given.parent, given.context, given.payload)


def test_a_batch_is_accepted_in_order_or_not_at_all(storage, hand):
    storage.enqueue_jobs([job("old")])
    hand.work()
    for size in (1, 3, 40):
        ids = [f"{size}-{i}" for i in range(size)]
        with pytest.raises(errors.DuplicateJob):
            storage.enqueue_jobs([*map(job, ids), job("old")])
        assert storage.counts().queued == 0
        assert storage.enqueue_jobs([*map(job, ids)]).accepted == tuple(EnqueuedJob(i, True) for i in ids)
        assert [claim.job.id for claim in hand.claim(size)] == ids
    assert sorted(e.job_id for e in storage.lifecycle.read_events(99) if e.kind == "enqueued") == sorted(
        ["old", *(f"{size}-{i}" for size in (1, 3, 40) for i in range(size))]
    )


# the same id


def test_an_id_that_has_not_ended_is_not_stored_again(storage, clock, hand):
    for place in ("running", "queued", "scheduled"):
        storage.enqueue_jobs([job(place, eta=clock.at + 60 if place == "scheduled" else None)])
        if place == "running":
            hand.begin(hand.claim_one())
        assert storage.enqueue_jobs([job(place, priority=9.0)]).accepted == (EnqueuedJob(place, False),)
        assert (look(storage, place).state, look(storage, place).job.priority) == (place, 0.0)
        assert kinds(storage, place) == ["enqueued"]
    many = [job(f"j{i % 20}") for i in range(40)]
    assert [a.fresh for a in storage.enqueue_jobs(many).accepted] == [True] * 20 + [False] * 20
    assert len(hand.claim(100)) == 21


def test_an_id_that_has_ended_is_refused(storage, hand):
    for outcome in (DONE, FAILED):
        storage.enqueue_jobs([job(outcome)])
        hand.work(outcome)
        with pytest.raises(errors.DuplicateJob, match=f"already ended as {outcome}"):
            storage.enqueue_jobs([job(outcome)])


# idempotency keys


def test_a_key_that_an_older_version_stored_is_known_for_the_same_request(storage):
    before = storage.enqueue_jobs([job("a")], KEY._replace(token="1"))
    now = KEY._replace(token="secret", former="1")
    assert storage.enqueue_jobs([job("b")], now) == before._replace(accepted=(EnqueuedJob("a", False),), replayed=True)
    other = now._replace(fingerprint="another body")  # of a token with the same number at another web
    assert not storage.enqueue_jobs([job("c")], other).replayed
    assert storage.enqueue_jobs([job("d")], other).replayed
    with pytest.raises(errors.KeyReused):
        storage.enqueue_jobs([job("e")], now)


def test_the_same_key_and_body_answer_the_same_jobs_for_a_day(storage, clock, hand):
    first = storage.enqueue_jobs(jobs("ab"), KEY)
    assert (first.replayed, [a.id for a in first.accepted]) == (False, ["a", "b"])
    assert not storage.enqueue_jobs([job("other")], KEY._replace(token="another")).replayed
    with pytest.raises(errors.KeyReused):
        storage.enqueue_jobs([job("c")], KEY._replace(fingerprint="another body"))
    hand.work(), hand.work()
    clock.advance(24 * 3600 - 1)
    again = storage.enqueue_jobs(jobs("cd"), KEY)
    assert (again.replayed, again.accepted) == (True, (EnqueuedJob("a", False), EnqueuedJob("b", False)))
    assert state(storage, "c") is None and storage.counts().queued == 1
    clock.advance(2)
    assert not storage.enqueue_jobs([job("c")], KEY).replayed


# the limit


def test_more_than_max_pending_are_refused_as_a_whole(storage, clock, hand):
    """What waits counts, also for its time or for a pause; what runs or has ended does not."""
    storage.enqueue_jobs(jobs("xy"))
    hand.work()
    hand.claim_one()
    storage.pause("queue", "held")
    storage.enqueue_jobs([job("a", queue="held"), job("b", eta=clock.at + 60)], max_pending=3)
    assert hand.claim() == [] and look(storage, "a").place == "blocked"
    with pytest.raises(errors.TooManyPending, match="limit of 3"):
        storage.enqueue_jobs(jobs("cd"), KEY, max_pending=3)
    assert storage.counts().queued == 0
    assert not storage.enqueue_jobs([job("c")], KEY, max_pending=3).replayed, "what was refused used its key"
    assert storage.enqueue_jobs([job("d")], KEY, max_pending=3).replayed, "a replay stores nothing"


def test_a_call_without_the_arguments_of_its_task_is_not_accepted(huey):
    @huey.task  # without parentheses
    def greet(name, greeting="Hello", *, loud=False):
        return f"{greeting} {name}"

    for call in (lambda: greet(), lambda: greet(1, 2, 3), lambda: greet(1, laud=True), lambda: greet.schedule(delay=1)):
        with pytest.raises(TypeError, match=r"task .*greet: "):
            call()
    assert huey.pending_count() == huey.scheduled_count() == 0
    greet("Ana", loud=True)
    huey.enqueue(greet.s("Ana").then(greet))  # a later step gets the result of the step before
    huey.enqueue(chord([greet.s("Ana")], greet.s()))
    assert huey.pending_count() == 3
