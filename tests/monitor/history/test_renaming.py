"""What is recorded under a task's former name is shown as that of the task."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.monitor.history import History, JobFilter
from duey.monitor.history.recording import renaming
from tests.monitor.history.conftest import NewUrl, Queue, Settings, Story, record, tables

RENAMED = {"tasks.bill": "tasks.charge", "tasks.pay": "tasks.charge", "tasks.never": "tasks.charge"}
TASKS = ("tasks.bill", "tasks.pay", "tasks.charge", "tasks.add")


def tell(story: Story, as_one: bool) -> None:
    """Jobs of all names; `as_one`: of the present one from the beginning."""
    for n in range(8):
        name = TASKS[n % 4]
        name = RENAMED.get(name, name) if as_one else name
        story.plain_job(f"done{n}", n * 50.0, task=name)
        story.enqueue(f"failed{n}", n * 50.0 + 5, task=name)
        story.failed(f"failed{n}", n * 50.0 + 6, n * 50.0 + 7, task=name, error=("E", f"{name}", ""))


def test_everything_is_as_if_the_task_had_always_had_its_name(
    history: History, new_url: NewUrl, settings: Settings, clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renaming, "CHUNK", 2)  # several steps
    stories = Story(), Story()
    for story, as_one in zip(stories, (False, True), strict=True):
        tell(story, as_one)
    record(history, stories[0].events)
    recorder = history.recorder(Queue(), renamed=RENAMED)
    recorder.turn()
    while recorder._renaming:  # what did not fit into the time of a turn
        recorder.turn()
    recorder.close()
    always = History(new_url(), settings, clock)
    record(always, stories[1].events)
    found, expected = tables(history), tables(always)
    assert found["figures"] == expected["figures"]
    assert found["tasks"] == expected["tasks"]
    assert {row.job.qualname for row in history.job_rows(JobFilter(), 50).rows} == {"tasks.charge", "tasks.add"}
    assert history.count(JobFilter(task="charge")).number == 12
    assert {group.qualname for group in history.error_groups().groups} == {"tasks.charge", "tasks.add"}


def test_a_recorder_with_nothing_to_rename_writes_nothing(history: History, path: Path, story: Story) -> None:
    story.plain_job("a", task="tasks.charge")
    record(history, story.events)
    before = tables(history)
    recorder = history.recorder(Queue(), renamed=RENAMED)
    recorder.turn()
    recorder.close()
    assert tables(history) == before
