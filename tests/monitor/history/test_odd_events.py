"""Events that are hostile, broken or too much: stored as they are, mended, cut, or left out and said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.model.job import Failure
from duey.monitor.history import History, JobFilter
from duey.monitor.history.recording.writing import ENTRIES_KEPT
from tests.monitor.history.conftest import START, Queue, Story, record, tables

HOSTILE = "<script>alert('x')</script>\x00\x1b[31m%s{0}; DROP TABLE jobs;--\u202e\ud800"
STORED = HOSTILE.replace("\ud800", "\\ud800").replace("\x00", "\\x00")


def test_hostile_text_is_stored_as_it_is(history: History, story: Story) -> None:
    story.enqueue(HOSTILE, args=[HOSTILE], kwargs={HOSTILE: HOSTILE}, task=HOSTILE, queue=HOSTILE)
    error = (HOSTILE, HOSTILE, HOSTILE)
    story.failed(HOSTILE, error=error, task=HOSTILE, queue=HOSTILE, detail={"logs": [[START, HOSTILE, HOSTILE]]})
    record(history, story.events)
    job = history.job(HOSTILE)
    assert (job.id, job.qualname, job.queue) == (STORED, STORED, STORED)
    assert (job.args, job.kwargs) == ([HOSTILE], {HOSTILE: HOSTILE}) or job.args == [STORED]
    assert job.error == Failure(STORED, STORED)
    (attempt,) = history.attempts(HOSTILE)
    assert attempt.error == Failure(STORED, STORED, STORED)
    assert attempt.logs[0].text.startswith("<script>")
    assert history.error_groups().groups[0].message == STORED
    for wanted in (JobFilter(text=HOSTILE), JobFilter(task=HOSTILE, queue=HOSTILE, error_type=HOSTILE)):
        assert [row.job.id for row in history.job_rows(wanted).rows] == [STORED]


def test_an_event_without_an_identity_is_left_out_and_said(
    history: History, story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    story.plain_job("a")
    story.plain_job("b", 5)
    for n, broken in enumerate((
        {"kind": None}, {"at": float("nan")}, {"at": "now"}, {"token": 2**70}, {"detail": None}, {"detail": ["type"]},
    )):  # fmt: skip
        caplog.clear()
        events = [event._replace(job_id=f"{event.job_id}{n}") for event in story.events]
        recorder = history.recorder(source := Queue([events[0], events[1]._replace(**broken), *events[2:]]))
        recorder.record()
        recorder.close()
        assert (recorder.status.recorded, recorder.status.refused, source.waiting) == (3, 1, []), broken
        assert (history.job(f"a{n}").state, history.job(f"b{n}").state) == ("queued", "done"), broken
        assert "cannot be recorded" in caplog.text, broken


def test_odd_values_are_mended(history: History, story: Story) -> None:
    story.enqueue()
    story.done()
    for n, odd in enumerate(
        (
            {"started_at": "yesterday"},
            {"attempt": 2**80, "worker": "seven"},
            {"detail": {"logs": "text", "crashes": "x", "retries": 1e400, "reason": ["a"], "eta": {}}},
            {"detail": {"logs": [5, ["x"], [None, None, None, None]], "type": 5, "message": {}, "traceback": []}},
            {"result": {1: object()}},
            {"task": None, "queue": 5, "priority": "high", "enqueued_at": None},
        )
    ):
        for kind in ("done", "failed", "retrying", "blocked"):
            job_id = f"{kind}{n}"
            other = story.events[-1]._replace(kind=kind, job_id=job_id, **odd)
            recorder = history.recorder(Queue([story.events[0]._replace(job_id=job_id), other]))
            recorder.record()
            recorder.close()
            assert recorder.status.refused == 0, odd
            assert history.job_history(job_id).row.job.id == job_id, odd


def test_events_of_jobs_that_are_gone_are_dropped(history: History, story: Story) -> None:
    story.plain_job("")
    recorder = history.recorder(source := Queue(story.events))
    recorder.record()
    assert (source.waiting, recorder.status.recorded, recorder.status.refused) == ([], 0, 2)


def test_large_values_are_cut(history: History, story: Story) -> None:
    story.enqueue(args=["x" * 100_000], kwargs={"k": "y" * 100_000})
    story.failed(error=("E" * 9000, "m" * 90_000, "t" * 900_000), detail={"logs": [[START, "INFO", "l" * 1000]] * 5000})
    record(history, story.events)
    job, (attempt,) = history.job("a"), history.attempts("a")
    assert len(str(job.args)) < 17_000
    assert "characters" in job.args[0]
    assert len(str(job.kwargs)) < 17_000
    assert attempt.error is not None
    assert len(attempt.error.message) < 5_000
    assert 60_000 < len(attempt.error.traceback) < 66_000


def test_a_job_that_is_retried_for_ever_keeps_its_last_entries(history: History, path: Path, story: Story) -> None:
    story.enqueue()
    for i in range(ENTRIES_KEPT + 500):
        story.failed(kind="retrying", started_at=i + 1, at=i + 1.5, attempt=i + 1)
    record(history, story.events, batch=200)
    assert ENTRIES_KEPT <= len(tables(history)["entries"]) <= ENTRIES_KEPT + 300
    assert history.attempts("a")[0].number == ENTRIES_KEPT + 500
    assert len(history.attempts("a")) == 100
    assert history.error_groups().groups[0].count == ENTRIES_KEPT + 500
