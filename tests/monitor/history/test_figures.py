"""Figures and charts: tasks over a window, minutes, days, waits; every step is there, and sums are exact."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from duey.monitor.history import BUCKETS, History, Outcomes
from tests.monitor.history.conftest import START, Clock, Story, record
from tests.support import rows

DAY = 86400.0
ZAGREB = ZoneInfo("Europe/Zagreb")


def run(story: Story, job_id: str, at: float, wait_s: float, run_s: float, **more: object) -> None:
    """A job that ends at `at`."""
    story.enqueue(job_id, at - run_s - wait_s, **{k: v for k, v in more.items() if k == "task"})
    story.done(job_id, at - run_s, at, **more)


@pytest.fixture
def past(history: History, story: Story) -> Story:
    """Two tasks within the last hour, and one long ago."""
    for n in range(100):
        run(story, f"fast{n}", -600 - n * 10, wait_s=0.25, run_s=0.5)
    run(story, "slow", -300, wait_s=4, run_s=64, task="reports.slow")
    story.failed("bad", -200, -199, task="reports.slow", kind="retrying")
    story.failed("bad", -190, -188, task="reports.slow", attempt=2)
    story.tell("canceled", "gone", -100, token=-1, task="reports.slow")
    story.tell("rescued", "again", -100, task="tasks.add")
    run(story, "old", -20 * DAY, wait_s=1, run_s=1, task="tasks.old")
    record(history, story.events)
    return story


def test_tasks_over_a_window(history: History, past: Story) -> None:
    slow, fast = history.tasks(3 * 3600)
    assert (slow.task, slow.qualname, fast.task) == ("slow", "reports.slow", "add")
    assert slow.outcomes == Outcomes(enqueued=1, done=1, failed=1, retried=1, canceled=1)
    assert (slow.failures, slow.total_run_ms, slow.run.count, slow.run.max_ms) == (2, 67_000.0, 3, 64_000.0)
    assert fast.outcomes == Outcomes(enqueued=100, done=100, rescued=1)
    assert (fast.run.count, fast.run.sum_ms, fast.run.max_ms) == (100, 50_000.0, 500.0)
    assert fast.run.p50_ms is not None
    assert 256 <= fast.run.p50_ms <= fast.run.p95_ms <= 500
    assert 128 <= fast.wait.p95_ms <= 250
    assert sum(fast.run.buckets) == 100
    assert len(fast.run.buckets) == BUCKETS
    assert sum(fast.sparkline) == 100
    assert sum(slow.sparkline) == 4
    assert sum(slow.sparkline_failed) == 2
    assert len(fast.sparkline) == len(slow.sparkline) <= 30
    assert fast.last_at == START - 100
    # since it was first heard of, 1,590 s ago
    assert fast.rate_per_s == pytest.approx(100 / 1590.75)


@rows(("window_s", "tasks"), [(60, 0), (3600, 2), (DAY, 2), (4 * DAY, 2), (30 * DAY, 3), (10**9, 3)])
def test_windows_of_every_length_agree(history: History, past: Story, window_s: float, tasks: int) -> None:
    found = history.tasks(window_s)
    assert len(found) == tasks
    assert sum(figures.outcomes.done for figures in found) == (101 if tasks >= 2 else 0) + (tasks == 3)
    total = history.totals(window_s)
    assert total.done == sum(figures.outcomes.done for figures in found)
    assert total.failed == (tasks >= 2)
    for figures in found:
        assert figures.window_s <= window_s
        again = history.task(figures.qualname, window_s)
        assert again is not None
        assert again.figures.outcomes == figures.outcomes
        assert again.figures.run == figures.run


def test_one_task_over_time(history: History, past: Story) -> None:
    found = history.task("add", 3600, steps=12)
    assert found is not None
    assert (found.step_s, len(found.steps)) == (300, 12)
    assert [step.at for step in found.steps] == [found.steps[0].at + 300 * i for i in range(12)]
    assert sum(step.outcomes.done for step in found.steps) == 100
    assert sum(step.run.count for step in found.steps) == 100
    assert [sum(step.run.buckets) for step in found.steps] == [step.run.count for step in found.steps]
    assert found.steps[-1].run.p50_ms is None
    assert history.task("unknown") is None


def test_a_task_that_did_nothing_lately_is_known_nevertheless(history: History, past: Story) -> None:
    found = history.task("old", 3600)
    assert found is not None
    assert (found.figures.outcomes, found.figures.run.p95_ms) == (Outcomes(), None)
    assert found.figures.last_at == START - 20 * DAY


def test_minutes(history: History, clock: Clock, past: Story) -> None:
    clock.now += 30
    minutes = history.minutes()
    assert [minute.at for minute in minutes] == [START - 60 * i for i in reversed(range(60))]
    assert [minute.complete for minute in minutes] == [True] * 59 + [False]
    assert sum(minute.outcomes.done for minute in minutes) == 101
    assert [minute.at - START for minute in minutes if minute.outcomes.failed] == [-240]
    assert sum(minute.outcomes.done for minute in history.minutes(60, task="slow")) == 1
    assert len(history.minutes(10**9)) == 2880


def test_days_of_utc(history: History, past: Story) -> None:
    days = history.days()
    assert len(days) == 30
    midnight = datetime.fromtimestamp(START, timezone.utc).replace(hour=0, minute=0, second=0)
    assert [day.at for day in days] == [(midnight - timedelta(days=i)).timestamp() for i in reversed(range(30))]
    assert [day.outcomes.done for day in days][-1] == 101
    assert sum(day.outcomes.done for day in days) == 102
    assert [day.complete for day in days][-2:] == [True, False]
    assert sum(day.outcomes.done for day in history.days(task="tasks.old")) == 1


@pytest.mark.parametrize("day", [datetime(2027, 3, 28), datetime(2027, 10, 31), datetime(2027, 6, 1)])
def test_days_of_a_zone_that_changes_its_clocks(history: History, clock: Clock, story: Story, day: datetime) -> None:
    begin = day.replace(tzinfo=ZAGREB)
    end = (day + timedelta(days=1)).replace(tzinfo=ZAGREB)
    clock.now = end.timestamp() + 3600
    for n, at in enumerate((begin.timestamp() - 1, begin.timestamp() + 1, end.timestamp() - 1, end.timestamp() + 1)):
        story.done(f"job{n}", at - START - 0.5, at - START)
    record(history, story.events)
    days = history.days(3, ZAGREB)
    assert [one.outcomes.done for one in days] == [1, 2, 1]
    assert [one.at for one in days][1:] == [begin.timestamp(), end.timestamp()]


def test_waits_by_the_minute_in_which_a_job_started(history: History, clock: Clock, story: Story) -> None:
    for n in range(10):
        run(story, f"short{n}", -100, wait_s=1, run_s=0.5)
    run(story, "long", 0, wait_s=200, run_s=170)  # it started at -170
    record(history, story.events)
    waits = {wait.at - START: wait for wait in history.waits()}
    assert len(waits) == 60
    assert (waits[-120].count, waits[-120].max_ms) == (10, 1000.0)
    assert (waits[-180].count, waits[-180].max_ms) == (1, 200_000.0)
    assert waits[-180].p95_ms == pytest.approx(200_000)
    assert (waits[-60].count, waits[-60].p50_ms, waits[-60].max_ms) == (0, None, None)


def test_what_lies_ahead_is_left_out(history: History, story: Story) -> None:
    story.done("ahead", 7200, 7201)
    record(history, story.events)
    assert history.tasks(3600) == ()
    assert sum(minute.outcomes.done for minute in history.minutes()) == 0
    assert history.waits()[-1].count == 0


def test_empty_books(history: History) -> None:
    assert history.tasks() == ()
    assert history.totals() == Outcomes()
    assert len(history.minutes()) == 60
    assert len(history.days()) == 30
    assert len(history.waits()) == 60
    assert history.error_groups().groups == ()
