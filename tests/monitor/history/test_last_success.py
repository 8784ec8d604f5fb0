"""What differs between a failed job and the last one of its task that was done."""

from __future__ import annotations

from dataclasses import replace

from duey.model.job import WorkerInfo
from duey.monitor.history import Difference, History
from duey.monitor.history.recording import copies
from tests.monitor.conftest import START
from tests.monitor.history.conftest import Story, record

WORKER = WorkerInfo("7", "one", 71, START, START, 4, "thread", ("default",), True, False, (), code="a1b2")


def test_arguments_durations_code_and_host_are_compared(history: History, story: Story) -> None:
    names = {"names": ["order", "days"]}
    story.enqueue("good", 0.0, args=[1, 30], kwargs={"dry": True}, detail=names)
    story.done("good", 0.1, 0.2)
    story.enqueue("other", 1.0, task="tasks.other")
    story.done("other", 1.1, 1.2, task="tasks.other")
    story.enqueue("bad", 2.0, args=[2, 30], kwargs={"again": "x" * 200}, detail=names)
    story.failed("bad", 2.1, 7.1)
    story.events[-1] = story.events[-1]._replace(worker=8)
    story.plain_job("later", 8.0)
    record(history, story.events)
    copies.note_workers(history.database, [WORKER, replace(WORKER, id="8", host="two", code="c3d4")], START)
    found = history.since_last_success("bad")
    assert found is not None and (found.job_id, found.finished_at) == ("good", START + 0.2)
    assert found.differences == (
        Difference("code", "c3d4", "a1b2"), Difference("host", "two", "one"), Difference("argument order", "2", "1"),
        Difference("argument again", f'"{"x" * 118}…', "none"), Difference("argument dry", "none", "true"),
        Difference("ran for", "5 s", "100 ms"),
    )  # fmt: skip


def test_where_there_is_nothing_to_compare(history: History, story: Story) -> None:
    story.enqueue("first", 0.0)
    story.failed("first", 1.0, 2.0)
    record(history, story.events)
    assert history.since_last_success("first") is None and history.since_last_success("unknown") is None


def test_the_same_call_differs_in_nothing(history: History, story: Story) -> None:
    story.enqueue("good", 0.0, args=[1])
    story.done("good", 0.1, 0.2)
    story.enqueue("bad", 1.0, args=[1])
    story.failed("bad", 1.1, 1.25)
    record(history, story.events)
    found = history.since_last_success("bad")
    assert found is not None and found.differences == ()
