"""What happened is written with what happened: in order, once, with an identity that a replay cannot change."""

from __future__ import annotations

import json

import pytest

from duey.model.job import ENDED
from tests.contracts.rig import job, jobs, kinds, payload_of


def identities(storage):
    return [(e.job_id, e.token, e.kind) for e in storage.read_events(1000)]


def test_an_accepted_job_is_told_with_its_arguments(storage, clock):
    storage.enqueue_jobs([job("a", queue="slow", priority=2.0, payload=payload_of("a", args=[1, "two"]))])
    (event,) = storage.read_events(10)
    assert (event.kind, event.job_id, event.token, event.at) == ("enqueued", "a", 0, clock.at)
    assert (event.task, event.queue, event.priority, event.enqueued_at) == ("shop.order", "slow", 2.0, clock.at)
    assert (event.args, event.kwargs) == ([1, "two"], {})


def test_arguments_are_redacted_before_the_books_see_them(huey, storage):
    huey.composer.redactor.__init__(["password"])

    @huey.task()
    def login(name, password):
        pass

    login("ann", password="secret")
    login("ann", "secret")
    assert [(e.args, e.kwargs) for e in storage.read_events(10)] == [
        (["ann"], {"password": "[redacted]"}),
        (["ann", "[redacted]"], {}),
    ]


@pytest.mark.parametrize("outcome", [*sorted(ENDED), "retrying"])
def test_the_end_of_an_attempt_is_told_with_its_claim(storage, clock, hand, outcome):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    clock.advance(2)
    hand.settle(claim, outcome, started_at=clock.at - 1, detail=json.dumps({"type": "ValueError"}))
    event = storage.read_events(10)[-1]
    assert (event.kind, event.job_id, event.token, event.worker) == (outcome, "a", claim.token, hand.n)
    assert (event.at, event.started_at, event.attempt) == (clock.at, clock.at - 1, 1)
    assert event.detail == {"type": "ValueError"}


def test_a_result_is_told_with_the_end(storage, hand):
    storage.enqueue_jobs(jobs("ab"))
    hand.work(result=b'{"a": 1}')
    hand.work("failed", result=b'"an error"')
    assert [e.result for e in storage.read_events(10)[2:]] == [{"a": 1}, None]


def test_the_events_of_a_job_stand_in_the_order_in_which_they_happened(storage, clock, hire):
    storage.enqueue_jobs([job("a", retries=1)])
    first, second = hire(), hire()
    first.begin(first.claim_one())
    first.die()
    storage.reap(first.dead(), 3)
    second.work("retrying")
    storage.pause("queue", "default")
    second.claim()
    storage.resume("queue", "default")
    second.work("failed")
    storage.retry("a", None, 0)
    second.work()
    assert kinds(storage) == [
        "enqueued", "rescued", "retrying", "blocked", "unblocked", "failed", "retried", "done",
    ]  # fmt: skip
    seqs = [e.seq for e in storage.read_events(100)]
    assert seqs == sorted(set(seqs))


def test_no_two_events_share_an_identity_whatever_is_repeated(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    for _ in range(3):
        storage.cancel("a")
        storage.retry("a", None, 0)
        hand.work("failed")
        storage.retry("a", None, 0)
        storage.pause("queue", "default")
        hand.claim()
        storage.resume("queue", "default")
    found = identities(storage)
    assert len(found) == len(set(found)) == 1 + 3 * 6


def test_identities_stay_apart_after_the_books_have_taken_the_events(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    seen = []
    for _ in range(3):
        storage.cancel("a")
        storage.retry("a", None, 0)
        seen += identities(storage)
        storage.delete_events(storage.read_events(1000))
    assert len(seen) == len(set(seen))


def test_reading_does_not_consume_and_deleting_takes_only_what_was_read(storage):
    storage.enqueue_jobs(jobs("abc"))
    first = storage.read_events(2)
    assert [e.job_id for e in storage.read_events(2)] == [e.job_id for e in first] == ["a", "b"]
    storage.enqueue_jobs(jobs("d"))
    storage.delete_events(first)
    assert [e.job_id for e in storage.read_events(10)] == ["c", "d"]
    storage.delete_events(first)
    assert storage.counts().events == 2
    storage.delete_events([])
    assert storage.counts().events == 2


def test_an_event_whose_payload_cannot_be_read_is_told_all_the_same(storage):
    storage.enqueue_jobs([job("a", payload=b"\x00no json")])
    (event,) = storage.read_events(10)
    assert (event.job_id, event.args) == ("a", ["[unreadable]"])


def test_a_batch_writes_one_event_for_each_new_job(storage):
    storage.enqueue_jobs(jobs("ab"))
    storage.enqueue_jobs([job(f"j{i}") for i in range(20)] + jobs("a"))
    assert sorted(e.job_id for e in storage.read_events(100)) == sorted(["a", "b", *(f"j{i}" for i in range(20))])


def test_events_of_a_job_that_was_removed_are_cleared_away(storage, clock, hand):
    storage.enqueue_jobs(jobs("abc"))
    hand.work(), hand.work(), hand.work()
    for gone in "ab":
        storage.forget(gone)
    assert {e.job_id for e in storage.read_events(4)} == {"c"}  # also when a whole reading is of such
    storage.delete_events(storage.read_events(10))
    assert storage.counts().events == 0
    storage.forget("c")
    assert storage.read_events(10) == []


def test_what_happened_meanwhile_is_not_deleted_with_what_was_read(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    read = storage.read_events(10)
    storage.delete_events(read)
    clock.advance(1)
    storage.enqueue_jobs(jobs("b"))  # its event may have the number of the one before
    storage.delete_events(read)
    assert [e.job_id for e in storage.read_events(10)] == ["b"]
