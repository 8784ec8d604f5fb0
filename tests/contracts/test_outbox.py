"""What happened is written with what happened: in order, once, with an identity that a replay cannot change."""

from __future__ import annotations

import json

import pytest

from duey.model import event as events
from duey.model.event import OutboxLost
from duey.model.job import ENDED
from duey.storage.redis import outbox as redis_outbox
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


A, B = ("a" * 14, "atlas:/srv/monitor.db"), ("b" * 14, "boreas:/srv/monitor.db")


def test_the_first_history_owns_the_events_until_an_admin_hands_them_over(storage, clock):
    assert storage.outbox_owner() is None
    first = storage.own_outbox(*A)
    assert first[:2] == A and storage.outbox_owner() == first
    clock.advance(100 * 86400)
    assert storage.own_outbox(*B)[:3] == first[:3], "it stays the owner, however long nothing is recorded"
    assert storage.own_outbox(*A)[:3] == first[:3], "a recorder that says so again changes nothing"
    second = storage.own_outbox(*B, take_over=True)
    assert (second[:2], second.term > first.term) == (B, True)
    assert storage.own_outbox(*A)[:3] == storage.outbox_owner()[:3] == second[:3]


def test_who_does_not_own_the_events_neither_reads_nor_deletes_them(storage):
    storage.enqueue_jobs(jobs("ab"))
    read = storage.lifecycle.read_events(1)
    first = storage.own_outbox(*A)
    assert [e.job_id for e in storage.lifecycle.read_events(1, first.term)] == ["a"]
    second = storage.own_outbox(*B, take_over=True)
    for term in (0, first.term, second.term + 1):
        with pytest.raises(OutboxLost):
            storage.lifecycle.read_events(1, term)
        with pytest.raises(OutboxLost):
            storage.delete_events(read, term)
    assert [e.job_id for e in storage.lifecycle.read_events(9)] == ["a", "b"], "anybody may look"
    storage.delete_events(storage.lifecycle.read_events(1, second.term), second.term)
    assert [e.job_id for e in storage.lifecycle.read_events(9)] == ["b"]


def test_a_history_that_gets_the_events_back_has_another_term(storage):
    storage.enqueue_jobs(jobs("a"))
    before = storage.own_outbox(*A)
    read = storage.lifecycle.read_events(1, before.term)
    storage.own_outbox(*B, take_over=True)
    again = storage.own_outbox(*A, take_over=True)
    with pytest.raises(OutboxLost):  # of a process that stood still meanwhile
        storage.delete_events(read, before.term)
    storage.delete_events(storage.lifecycle.read_events(1, again.term), again.term)


def test_two_copies_of_a_history_do_not_both_own_the_events(storage, clock, monkeypatch):
    copy = (A[0], B[1])
    first = storage.own_outbox(*A)
    assert storage.own_outbox(*copy)[:3] == first[:3]
    storage.leave_outbox(first.term + 1)
    assert storage.own_outbox(*copy)[:3] == first[:3], "only the owner leaves"
    storage.leave_outbox(first.term)
    moved = storage.own_outbox(*copy)
    assert (moved[:2], moved.term) == (copy, first.term + 1), "a history that was moved records at once"
    for module in (redis_outbox, events):  # it was killed, and is silent for as long as that
        monkeypatch.setattr(module, "OWNER_S", 0.0)
    assert storage.own_outbox(*A)[:2] == A
