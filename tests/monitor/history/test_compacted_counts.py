"""What was folded while nobody recorded: it counts in the figures, once, and people are told how much it was."""

from __future__ import annotations

import pytest

from duey.monitor.history import History, JobFilter
from tests.monitor.history.conftest import Clock, Queue, Story, record

DETAIL = {
    "task": "tasks.add", "done": 500, "run_ms": 10_000.0, "run_max_ms": 90.0, "wait_ms": 2_500.0, "wait_max_ms": 40.0,
}  # fmt: skip


@pytest.fixture
def counts(story: Story) -> Story:
    """A job, and five hundred more that are only counted."""
    story.plain_job("a")
    story.tell("counted", "", 0.0, token=-17, detail=DETAIL)
    return story


def test_counts_stand_in_the_figures_and_in_no_list(history: History, counts: Story) -> None:
    record(history, counts.events)
    (figures,) = history.tasks(3600)
    assert (figures.outcomes.done, figures.outcomes.enqueued) == (501, 501)
    assert figures.run.count == figures.wait.count == 501
    assert figures.total_run_ms == pytest.approx(11_000)
    assert figures.run.max_ms == pytest.approx(1000)
    assert len(history.job_rows(JobFilter()).rows) == 1
    kept = history.kept()
    assert (kept.jobs, kept.counted) == (1, 500)


@pytest.mark.parametrize("again", ["in another batch", "in the same batch"])
def test_counts_that_come_again_change_nothing(history: History, counts: Story, again: str) -> None:
    if again == "in another batch":
        record(history, counts.events)
    record(history, counts.events * 2)
    assert history.kept().counted == 500
    assert history.tasks(3600)[0].outcomes.done == 501


def test_counts_are_told_apart_by_their_token(history: History, counts: Story) -> None:
    counts.tell("counted", "", 0.0, token=-18, detail=DETAIL)
    record(history, counts.events)
    assert history.kept().counted == 1000


def test_people_are_told_for_a_week(history: History, clock: Clock, counts: Story) -> None:
    assert history.health().warnings == ()
    record(history, counts.events)
    (warning,) = history.health().warnings
    assert warning.startswith("500 jobs that succeeded are in the figures, but not in the lists")
    clock.now += 8 * 86400
    assert history.health().warnings == ()


def test_counts_that_say_nothing_are_left_out_and_said(history: History, counts: Story) -> None:
    counts.tell("counted", "", 0.0, token=-19, detail={"done": "many"})
    recorder = history.recorder(Queue(counts.events))
    recorder.turn()
    assert recorder.status.refused == 1
    assert history.kept().counted == 500
