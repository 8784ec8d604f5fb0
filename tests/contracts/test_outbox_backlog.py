"""Above `[monitor] backlog_rows` unread events the oldest successes become counts; failures stay, whatever happens."""

from __future__ import annotations

import pytest

from duey.monitor.history.recording.recorder import BATCH
from duey.storage import compaction
from tests.contracts.rig import job, state

MOST = 20
JOBS = [f"j{i:02}" for i in range(30)]
UNTOUCHED = compaction.UNTOUCHED


@pytest.fixture(autouse=True)
def few_left_alone(monkeypatch):
    """The oldest events that a recorder might have in hand."""
    monkeypatch.setattr(compaction, "UNTOUCHED", 4)


@pytest.fixture
def storage(make_huey):
    return make_huey(monitor_backlog_rows=MOST, tasks_result_ttl_s=100).storage


def keep(*storages):
    while any([each.run_maintenance() for each in storages]):
        pass


def work_off(storage, hand, ids, outcome="done", **fields):
    """Accept these jobs and end each in its order."""
    for each in ids:
        storage.enqueue_jobs([job(each)])
        hand.work(outcome, **fields)


def counted(storage):
    return [e for e in storage.lifecycle.read_events(1000) if e.kind == "counted"]


def check_folded(storage, total):
    """The bound holds, and each success is an event or in a count."""
    events = storage.lifecycle.read_events(1000)
    assert len(events) <= MOST + len(counted(storage))
    assert sum(e.detail["done"] for e in counted(storage)) + sum(e.kind == "done" for e in events) == total


def test_above_the_bound_the_oldest_successes_become_counts(storage, clock, hand):
    for each in JOBS:
        storage.enqueue_jobs([job(each, enqueued_at=clock.at)])
        claim = hand.claim_one()
        clock.advance(3)
        hand.settle(claim, started_at=clock.at - 2)
        if each == JOBS[MOST // 2 - 1]:
            keep(storage)
            assert len(storage.read_outbox(100)) == MOST and not counted(storage), "up to it nothing is folded"
    keep(storage)
    check_folded(storage, 30)
    told = {e.job_id for e in storage.lifecycle.read_events(100) if e.kind == "done"}
    assert {"j00", "j01"} <= told, "a recorder might have these in hand"
    assert {*JOBS[25:]} <= told, "the newest"
    assert "j03" not in told
    for event in counted(storage):
        c = event.detail
        assert (event.job_id, event.task, event.at % 60) == ("", "shop.order", 0)
        assert c["run_ms"] == pytest.approx(2000 * c["done"]) and c["run_max_ms"] == pytest.approx(2000)
        assert c["wait_ms"] == pytest.approx(1000 * c["done"]) and c["wait_max_ms"] == pytest.approx(1000)
    assert len({e.token for e in counted(storage)}) == len(counted(storage))
    # counts are read once and deleted; a folded job keeps its result, and goes when that expires
    storage.delete_events([e for e in storage.lifecycle.read_events(1000) if e.kind == "counted"])
    assert not counted(storage)
    assert {state(storage, each) for each in JOBS} == {"done"}
    clock.advance(101)
    while storage.run_maintenance(1):  # fewer at a time than there are older ones
        pass
    assert state(storage, "j03") is None, "though older ones still wait for the history"


def test_what_an_attempt_used_keeps_no_success(storage, hand):
    for n, detail in enumerate(('{"usage": [12.5, 1048576]}', '{"usage": [12.5, null]}')):
        work_off(storage, hand, [f"{n}-{i}" for i in range(MOST)], detail=detail)
    keep(storage)
    check_folded(storage, 2 * MOST)
    assert sum(e.detail["done"] for e in counted(storage)) >= MOST


def test_what_is_no_plain_success_is_never_folded_nor_looked_at_over_and_over(storage, hand):
    for outcome in ("failed", "canceled", "expired"):
        work_off(storage, hand, [f"{outcome}{i}" for i in range(3)], outcome)
    work_off(
        storage, hand, [f"said{i}" for i in range(3)], detail='{"usage": [1.5, null], "logs": [[1, "INFO", "said"]]}'
    )
    for i in range(3):
        storage.enqueue_jobs([job(f"retried{i}", retries=1)])
        hand.work("retrying"), hand.work()
    assert not storage.lifecycle.run_maintenance()
    work_off(storage, hand, ["more"], "failed")
    assert not storage.lifecycle.run_maintenance()
    assert MOST < len(storage.lifecycle.read_events(1000)) == 4 * 2 * 3 + 3 * 3 + 2 <= 2 * MOST


def test_twice_as_many_are_the_most_whatever_they_tell(storage, clock, hand, caplog):
    """And the jobs of those that are dropped go when their time is over."""
    work_off(storage, hand, [f"c{i:02}" for i in range(3 * MOST)], "canceled")
    keep(storage)
    events = storage.lifecycle.read_events(1000)
    assert len(events) == 2 * MOST
    assert [e.job_id for e in events[:4]] == ["c00", "c00", "c01", "c01"], "a recorder might have these in hand"
    assert events[4].job_id == "c42" and "were dropped" in caplog.text
    clock.advance(101)
    keep(storage)
    assert [state(storage, each) for each in ("c00", "c02", "c41", "c42")] == ["canceled", None, None, "canceled"]


def test_what_waits_is_never_folded_and_folded_once_it_is_done(storage, hand):
    storage.enqueue_jobs([job(each) for each in JOBS])
    keep(storage)
    assert len(storage.lifecycle.read_events(1000)) == 30
    for _ in JOBS:
        hand.work()
    keep(storage)
    check_folded(storage, 30)


def test_two_keepers_count_nothing_twice(storage, make_huey, hand):
    other = make_huey(monitor_backlog_rows=MOST).storage
    work_off(storage, hand, [f"j{i:02}" for i in range(60)])
    keep(storage, other)
    check_folded(storage, 60)


def test_a_recorder_never_reads_more_than_is_left_alone():
    assert UNTOUCHED > BATCH
