"""Above `[monitor] backlog_rows` unread events the oldest successes become counts; failures stay, whatever happens."""

from __future__ import annotations

import pytest

from duey.monitor.history.recording.recorder import BATCH
from duey.storage import compaction
from tests.contracts.rig import job, state

MOST = 20


@pytest.fixture(autouse=True)
def few_left_alone(monkeypatch):
    """The oldest events that a recorder might have in hand."""
    monkeypatch.setattr(compaction, "UNTOUCHED", 4)


@pytest.fixture
def storage(make_huey):
    return make_huey(monitor_backlog_rows=MOST, tasks_result_ttl_s=100).storage


def keep(storage):
    while storage.run_maintenance():
        pass


def work_off(storage, hand, ids, outcome="done", **fields):
    """Accept these jobs and end each in its order, two seconds after its acceptance and one after its start."""
    for each in ids:
        storage.enqueue_jobs([job(each)])
        hand.work(outcome, **fields)


def counted(events):
    return [e for e in events if e.kind == "counted"]


def test_up_to_the_bound_nothing_is_folded(storage, hand):
    work_off(storage, hand, [f"j{i}" for i in range(MOST // 2)])
    keep(storage)
    events = storage.read_events(100)
    assert len(events) == MOST and not counted(events)


def test_above_it_the_oldest_successes_become_counts(storage, clock, hand):
    for i in range(30):
        storage.enqueue_jobs([job(f"j{i:02}", enqueued_at=clock.at)])
        claim = hand.claim_one()
        clock.advance(3)
        hand.settle(claim, started_at=clock.at - 2)
    keep(storage)
    events = storage.read_events(100)
    assert len(events) <= MOST + len(counted(events))
    told = {e.job_id for e in events if e.kind == "done"}
    assert {"j00", "j01"} <= told  # a recorder might have these in hand
    assert {f"j{i:02}" for i in range(25, 30)} <= told  # the newest
    assert "j03" not in told
    counts = [e.detail for e in counted(events)]
    assert sum(c["done"] for c in counts) + len(told) == 30
    for c, event in zip(counts, counted(events), strict=True):
        assert (event.job_id, event.task, event.at % 60) == ("", "shop.order", 0)
        assert c["run_ms"] == pytest.approx(2000 * c["done"]) and c["run_max_ms"] == pytest.approx(2000)
        assert c["wait_ms"] == pytest.approx(1000 * c["done"]) and c["wait_max_ms"] == pytest.approx(1000)
    assert len({e.token for e in counted(events)}) == len(counts)


@pytest.mark.parametrize("outcome", ["failed", "canceled", "expired"])
def test_what_is_no_success_is_never_folded(storage, hand, outcome):
    work_off(storage, hand, [f"j{i}" for i in range(MOST)], outcome)
    keep(storage)
    assert len(storage.read_events(1000)) == 2 * MOST


def test_a_success_with_more_to_tell_is_never_folded(storage, clock, hand):
    for i in range(MOST):
        storage.enqueue_jobs([job(f"j{i}", retries=1)])
        hand.work("retrying") if i % 2 else hand.work(detail='{"logs": [[1, "INFO", "said"]]}')
        if i % 2:
            hand.work()
    before = len(storage.read_events(1000))
    keep(storage)
    assert len(storage.read_events(1000)) == before > MOST


def test_what_waits_is_never_folded_and_folded_once_it_is_done(storage, hand):
    ids = [f"j{i:02}" for i in range(30)]
    storage.enqueue_jobs([job(each) for each in ids])
    keep(storage)
    assert len(storage.read_events(1000)) == 30
    for _ in ids:
        hand.work()
    keep(storage)
    events = storage.read_events(1000)
    assert len(events) <= MOST + len(counted(events))
    assert sum(e.detail["done"] for e in counted(events)) + sum(e.kind == "done" for e in events) == 30


def test_a_folded_job_keeps_its_result_and_goes_when_that_expires(storage, clock, hand):
    work_off(storage, hand, [f"j{i:02}" for i in range(30)])
    keep(storage)
    assert {state(storage, f"j{i:02}") for i in range(30)} == {"done"}
    clock.advance(101)
    keep(storage)
    assert state(storage, "j03") is None  # though older ones still wait for the history


def test_counts_are_read_once_and_deleted(storage, hand):
    work_off(storage, hand, [f"j{i:02}" for i in range(30)])
    keep(storage)
    storage.delete_events(storage.read_events(1000))
    assert storage.read_events(1000) == [] and storage.counts().events == 0


def test_two_keepers_count_nothing_twice(storage, make_huey, hand):
    other = make_huey(monitor_backlog_rows=MOST).storage
    work_off(storage, hand, [f"j{i:02}" for i in range(60)])
    more = True
    while more:
        more = storage.run_maintenance() | other.run_maintenance()
    events = storage.read_events(1000)
    assert sum(e.detail["done"] for e in counted(events)) + sum(e.kind == "done" for e in events) == 60


def test_a_recorder_never_reads_more_than_is_left_alone(monkeypatch):
    monkeypatch.undo()
    assert compaction.UNTOUCHED > BATCH


def test_what_cannot_be_folded_is_not_looked_at_over_and_over(storage, hand):
    work_off(storage, hand, [f"j{i}" for i in range(MOST)], "failed")
    assert not storage.run_maintenance()
    work_off(storage, hand, ["more"], "failed")
    assert not storage.run_maintenance()
