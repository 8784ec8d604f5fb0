"""What happened is written with what happened: in order, once, with an identity that a replay cannot change."""

from __future__ import annotations

import json

from duey.model.job import ENDED
from tests.contracts.rig import job, jobs, kinds, payload_of


def identities(storage):
    return [(e.job_id, e.token, e.kind) for e in storage.lifecycle.read_events(1000)]


def test_an_accepted_job_is_told_with_its_arguments_where_they_can_be_read(storage, clock):
    storage.enqueue_jobs([job("a", queue="slow", priority=2.0, payload=payload_of("a", args=[1, "two"]))])
    storage.enqueue_jobs([job("b", payload=b"\x00no json")])
    event, unread = storage.lifecycle.read_events(10)
    assert (event.kind, event.job_id, event.token, event.at) == ("enqueued", "a", 0, clock.at)
    assert (event.task, event.queue, event.priority, event.enqueued_at) == ("shop.order", "slow", 2.0, clock.at)
    assert (event.args, event.kwargs) == ([1, "two"], {})
    assert (unread.job_id, unread.args) == ("b", ["[unreadable]"])


def test_arguments_are_redacted_before_the_history_sees_them(make_huey):
    huey = make_huey(monitor_redact="password")
    login = huey.task(name="login")(lambda name, password: None)
    login("ann", password="secret")
    login("ann", "secret")
    assert [(e.args, e.kwargs) for e in huey.lifecycle.read_events(10)] == [
        (["ann"], {"password": "[redacted]"}),
        (["ann", "[redacted]"], {}),
    ]


def test_the_end_of_an_attempt_is_told_with_its_claim_and_its_result(storage, clock, hand):
    for outcome in (*sorted(ENDED), "retrying"):
        storage.enqueue_jobs([job(outcome)])
        claim = hand.claim_one()
        clock.advance(2)
        detail = json.dumps({"type": "ValueError"})
        hand.settle(claim, outcome, started_at=clock.at - 1, result=b'{"a": 1}', detail=detail)
        event = storage.lifecycle.read_events(100)[-1]
        assert (event.kind, event.job_id, event.token, event.worker) == (outcome, outcome, claim.token, hand.n)
        assert (event.at, event.started_at, event.attempt) == (clock.at, clock.at - 1, 1)
        assert event.detail == {"type": "ValueError"}
        assert event.result == ({"a": 1} if outcome == "done" else None)


def test_the_events_of_a_job_stand_in_the_order_in_which_they_happened(storage, hire):
    storage.enqueue_jobs([job("a", retries=1)])
    assert hire().die_running() == ["a"]
    second = hire()
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
    seqs = [e.seq for e in storage.lifecycle.read_events(100)]
    assert seqs == sorted(set(seqs))


def test_no_two_events_share_an_identity_whatever_is_repeated_and_read_meanwhile(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    found = []
    for _ in range(4):
        storage.lifecycle.cancel("a")
        storage.retry("a", None, 0)
        hand.work("failed")
        storage.retry("a", None, 0)
        for _ in range(2):
            storage.pause("queue", "default")
            hand.claim()
            storage.resume("queue", "default")
        if len(found) < 9:  # after that the history takes them
            found += identities(storage)
            storage.delete_events(storage.lifecycle.read_events(1000))
    found += identities(storage)
    assert len(found) == len(set(found)) == 1 + 4 * 8


def test_reading_does_not_consume_and_deleting_takes_only_what_was_read(storage, clock):
    storage.enqueue_jobs(jobs("abc"))
    first = storage.lifecycle.read_events(2)
    assert [e.job_id for e in storage.lifecycle.read_events(2)] == [e.job_id for e in first] == ["a", "b"]
    storage.enqueue_jobs(jobs("d"))
    for read in (first, first, []):
        storage.delete_events(read)
        assert [e.job_id for e in storage.lifecycle.read_events(10)] == ["c", "d"] and storage.counts().events == 2
    read = storage.lifecycle.read_events(10)
    storage.delete_events(read)
    clock.advance(1)
    storage.enqueue_jobs(jobs("e"))  # its event may have the number of the one before
    storage.delete_events(read)
    assert [e.job_id for e in storage.lifecycle.read_events(10)] == ["e"]


def test_events_of_a_job_that_was_removed_are_cleared_away(storage, hand):
    storage.enqueue_jobs(jobs("abc"))
    hand.work(), hand.work(), hand.work()
    for gone in "ab":
        storage.forget(gone)
    assert {e.job_id for e in storage.lifecycle.read_events(4)} == {"c"}, "also when a whole reading is of such"
    storage.delete_events(storage.lifecycle.read_events(10))
    assert storage.counts().events == 0
    storage.forget("c")
    assert storage.lifecycle.read_events(10) == []
