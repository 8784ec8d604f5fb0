"""What has expired goes, a little at a time; nothing goes before the history has read it."""

from __future__ import annotations

import pytest

from duey.model.job import Idempotency
from tests.contracts.rig import ended, job, jobs, part, state

DAY_S = 86400.0


def keep(storage, limit=1000):
    """Keep house until there is no more."""
    while storage.run_maintenance(limit):
        pass


def read_books(storage):
    while events := storage.read_events(1000):
        storage.delete_events(events)


@pytest.fixture
def ttl(make_huey):
    """A storage that keeps results for 100 s."""
    return make_huey(tasks_result_ttl_s=100, monitor_keep_failed_days=1).storage


@pytest.fixture
def storage(ttl):
    return ttl


@pytest.mark.parametrize("outcome", ["done", "canceled", "expired"])
def test_an_ended_job_goes_when_its_result_has_expired(storage, clock, hand, outcome):
    storage.enqueue_jobs(jobs("a"))
    hand.work(outcome)
    read_books(storage)
    clock.advance(99)
    keep(storage)
    assert state(storage, "a") == outcome
    clock.advance(2)
    keep(storage)
    assert (state(storage, "a"), storage.has_data_for_key("a"), storage.result_store_size()) == (None, False, 0)


def test_a_failed_job_is_kept_longer_so_that_it_can_be_retried(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work("failed")
    read_books(storage)
    clock.advance(DAY_S - 1)
    keep(storage)
    assert state(storage, "a") == "failed"
    clock.advance(2)
    keep(storage)
    assert state(storage, "a") is None


def test_a_job_stays_until_the_books_have_read_of_it(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work()
    clock.advance(1000)
    keep(storage)
    assert state(storage, "a") == "done"
    read_books(storage)
    keep(storage)
    assert state(storage, "a") is None


@pytest.mark.parametrize("place", ["queued", "scheduled", "running", "retrying"])
def test_a_job_that_has_not_ended_never_goes(storage, clock, hand, place):
    storage.enqueue_jobs([job("a", eta=clock.at + 1e8 if place == "scheduled" else None)])
    if place in ("running", "retrying"):
        claim = hand.claim_one()
        hand.begin(claim)
        if place == "retrying":
            hand.settle(claim, "retrying", eta=clock.at + 1e8)
    read_books(storage)
    clock.advance(1000 * DAY_S)
    keep(storage)
    assert state(storage, "a") == place


def test_a_retried_job_does_not_go_with_its_old_end(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work()
    clock.advance(50)
    storage.retry("a", None, 0)
    clock.advance(100)
    read_books(storage)
    keep(storage)
    assert state(storage, "a") == "queued"


def test_results_under_other_ids_expire_too(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(others=[("other", b"1")])
    clock.advance(101)
    keep(storage)
    assert not storage.has_data_for_key("other")


def test_what_users_put_never_expires(storage, clock):
    storage.put_data("mine", b"1")
    clock.advance(1000 * DAY_S)
    keep(storage)
    assert storage.peek_data("mine") == b"1"


def test_idempotency_keys_go_after_a_day(storage, clock):
    key = Idempotency("token", "key", "body")
    storage.enqueue_jobs(jobs("a"), key)
    clock.advance(DAY_S + 1)
    keep(storage)
    assert not storage.enqueue_jobs(jobs("b"), key._replace(fingerprint="another")).replayed


def test_house_is_kept_in_small_steps(storage, clock, hand):
    storage.enqueue_jobs([job(f"j{i}") for i in range(25)])
    hand.commit(*map(ended, hand.claim(25)))
    read_books(storage)
    clock.advance(101)
    steps = 0
    while storage.run_maintenance(10):
        steps += 1
        assert steps < 10
    assert steps >= 2
    assert storage.list_jobs(None, None, None, 100, None) == []


def test_an_expired_callback_takes_the_parts_of_its_chord_along(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work(chord_part=part("cid", 0, 1))
    hand.work()
    read_books(storage)
    clock.advance(101)
    keep(storage)
    assert storage.chord_results("cid") == []


def test_progress_goes_with_its_job(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    storage.put_progress(claim.seq, "{}")
    hand.settle(claim)
    read_books(storage)
    clock.advance(101)
    keep(storage)
    assert storage.progress_of(claim.seq) is None


def test_a_job_whose_task_nobody_has_known_for_a_day_fails(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(hand.claim_one(), "blocked", reason="unknown", started_at=None, result=None)
    clock.advance(DAY_S - 1)
    keep(storage)
    assert state(storage, "a") == "blocked"
    clock.advance(2)
    keep(storage)
    assert state(storage, "a") == "failed"
    assert storage.read_events(10)[-1].detail["message"].startswith("no consumer has known the task 'shop.order'")


def test_a_paused_job_waits_for_as_long_as_the_pause(storage, clock, hand):
    storage.pause("queue", "default")
    storage.enqueue_jobs(jobs("a"))
    hand.claim()
    clock.advance(30 * DAY_S)
    keep(storage)
    assert state(storage, "a") == "blocked"
