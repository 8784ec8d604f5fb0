"""What has expired goes, a little at a time; nothing goes before the history has read it."""

from __future__ import annotations

import pytest

from duey.model.job import Idempotency
from tests.contracts.rig import ended, job, jobs, part, run_next, state

DAY_S = 86400.0
LONG_S = 1000 * DAY_S


def keep(storage, limit=1000):
    """Keep house until there is no more; in how many steps."""
    steps = 1
    while storage.lifecycle.run_maintenance(limit):
        steps += 1
    return steps


def read_history(storage):
    while events := storage.lifecycle.read_events(1000):
        storage.delete_events(events)


@pytest.fixture
def huey(make_huey):
    """One that keeps results for 100 s."""
    return make_huey(tasks_result_ttl_s=100, monitor_keep_failed_days=1)


def test_an_ended_job_goes_when_its_result_has_expired_and_the_history_has_read_of_it(storage, clock, hand):
    """What failed is kept longer, so that it can be retried."""
    short = ("done", "canceled", "expired")
    for outcome in (*short, "failed"):
        storage.enqueue_jobs([job(outcome)])
        hand.work(outcome)
    storage.enqueue_jobs(jobs("a"))
    began = clock.at
    read_history(storage)
    for outcomes, kept_s in ((short, 100), (("failed",), DAY_S)):
        clock.at = began + kept_s - 1
        keep(storage)
        assert [state(storage, each) for each in outcomes] == [*outcomes]
        clock.advance(2)
        keep(storage)
        assert [(state(storage, each), storage.has_data_for_key(each)) for each in outcomes] == [(None, False)] * len(
            outcomes
        )
    assert (storage.result_store_size(), state(storage, "a")) == (0, "queued")


def test_an_ended_job_of_which_nobody_has_read_stays(storage, clock, hand):
    """It does not hold up those behind it."""
    storage.enqueue_jobs(jobs("abc"))
    for _ in range(3):
        hand.work()
    clock.advance(LONG_S)
    keep(storage, 1)
    assert [state(storage, each) for each in "abc"] == ["done"] * 3
    read_history(storage)
    clock.advance(61)
    keep(storage, 1)
    assert [state(storage, each) for each in "abc"] == [None] * 3


def test_what_has_not_ended_never_goes(storage, clock, hand):
    """Nor what users put, nor a job that was retried meanwhile."""
    storage.pause("task", "shop.held")
    storage.enqueue_jobs(
        [job("retried"), job("running"), job("retrying"), job("blocked", task="shop.held", priority=9)]
    )
    storage.put_data("mine", b"1")
    hand.work()
    running, retrying = hand.claim(2)
    hand.begin(running)
    hand.settle(retrying, "retrying", eta=clock.at + 2 * LONG_S)
    storage.enqueue_jobs([job("queued"), job("scheduled", eta=clock.at + 2 * LONG_S)])
    clock.advance(50)
    storage.retry("retried", None, 0)
    read_history(storage)
    clock.advance(LONG_S)
    keep(storage)
    places = ("queued", "scheduled", "running", "retrying", "blocked")
    assert [state(storage, each) for each in (*places, "retried")] == [*places, "queued"]
    assert storage.peek_data("mine") == b"1"


def test_what_belongs_to_a_job_goes_with_it(storage, clock, hand):
    """Its progress, results under other ids, a chord's parts with its callback; idempotency keys after a day."""
    key = Idempotency("token", "key", "body")
    storage.enqueue_jobs(jobs("a"), key)
    claim = hand.claim_one()
    storage.put_progress(claim.job.seq, "{}")
    hand.settle(claim, others=(("other", b"1"),), chord_part=part("cid", 0, 1))
    assert hand.work() == "callback"
    read_history(storage)
    clock.advance(101)
    keep(storage)
    assert (storage.progress_of(claim.job.seq), storage.has_data_for_key("other")) == (None, False)
    assert storage.chord_results("cid") == []
    clock.advance(DAY_S)
    keep(storage)
    assert not storage.enqueue_jobs(jobs("b"), key._replace(fingerprint="another")).replayed


def test_house_is_kept_in_small_steps(storage, clock, hand):
    storage.enqueue_jobs([job(f"j{i}") for i in range(25)])
    hand.commit(*map(ended, hand.claim(25)))
    read_history(storage)
    clock.advance(101)
    assert 3 <= keep(storage, 10) < 10
    assert storage.list_jobs(None, None, None, 100, None) == []


def test_a_job_whose_task_nobody_has_known_for_a_day_fails_and_one_that_is_paused_waits(storage, clock, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.settle(hand.claim_one(), "blocked", reason="unknown", started_at=None, result=None)
    storage.pause("queue", "default")
    storage.enqueue_jobs(jobs("b"))
    hand.claim()
    clock.advance(DAY_S - 1)
    keep(storage)
    assert state(storage, "a") == "blocked"
    clock.advance(2)
    keep(storage)
    assert state(storage, "a") == "failed"
    assert storage.lifecycle.read_events(10)[-1].detail["message"].startswith("no consumer knew the task 'shop.order'")
    clock.advance(30 * DAY_S)
    keep(storage)
    assert state(storage, "b") == "blocked"


def test_a_result_is_kept_as_long_as_its_task_says(huey, storage, clock):
    def end(n, error=None, **options):
        def body():
            if error:
                raise error
            return 7

        made = huey.task(name=f"t{n}", **options)(body)()
        assert storage.lifecycle.read_events(10)[0].detail.get("keep_s") == options.get("keep_for"), (
            "the history is told"
        )
        run_next(huey)
        read_history(storage)
        return made

    for n, (options, kept_s) in enumerate([({"keep_for": 60}, 60), ({"keep_for": 200_000}, 200_000), ({}, 100)]):
        result = end(n, **options)
        clock.advance(kept_s - 1)
        keep(storage)
        assert result.get() == 7, options
        clock.advance(1)
        keep(storage)
        assert state(storage, result.id) is None, options
    failed = end("failing", ValueError(), keep_for=60)
    clock.advance(DAY_S - 1)
    keep(storage)
    assert state(storage, failed.id) == "failed", "it can be retried"
