"""From events to books: each kind of event, and what a job, its attempts and its timeline look like after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.errors import UnknownJob
from duey.model.job import Failure, Job
from duey.monitor.history import Attempt, History, LogLine
from tests.monitor.history.conftest import START, Story, record, tables, traceback


def told(history: History, story: Story) -> Job:
    """The job `a` after everything was recorded in one batch."""
    record(history, story.events)
    return history.job("a")


def kinds(history: History) -> list[str]:
    return [step.kind for step in reversed(history.job_history("a").timeline)]


def test_a_plain_job_is_one_row(history: History, path: Path, story: Story) -> None:
    story.enqueue(
        args=[1, "x"], kwargs={"to": "ada"}, priority=5.0, queue="mail",
        detail={"retries": 3, "parent": "p", "by": "ci", "context": {"trace": "t"}, "expires_at": START + 60,
                "names": ["n"]},
    )  # fmt: skip
    story.done(started_at=1.5, at=4.0, result={"sum": 3}, queue="mail")
    assert told(history, story) == Job(
        id="a", task="add", qualname="tasks.add", queue="mail", args=[1, "x"], kwargs={"to": "ada"}, state="done",
        priority=5.0, attempt=1, retries_left=3, crashes=0, enqueued_at=START, started_at=START + 1.5,
        finished_at=START + 4, wait_ms=1500.0, run_ms=2500.0, result={"sum": 3}, context={"trace": "t"}, worker="7",
        parent="p", by="ci", expires_at=START + 60,
    )  # fmt: skip
    assert len(tables(history)["jobs"]) == 1
    assert tables(history)["entries"] == []
    assert history.attempts("a") == (Attempt(1, "done", "7", START + 1.5, START + 4, 1500.0, 2500.0),)
    steps = [(step.kind, step.at - START, step.since_previous_ms) for step in history.job_history("a").timeline]
    assert steps == [("done", 4.0, 2500.0), ("started", 1.5, 1500.0), ("enqueued", 0.0, None)]


def test_a_job_that_waits(history: History, story: Story) -> None:
    story.enqueue()
    story.enqueue("b", detail={"eta": START + 60})
    record(history, story.events)
    assert (history.job("a").state, history.job("a").finished_at) == ("queued", None)
    assert (history.job("b").state, history.job("b").eta) == ("scheduled", START + 60)
    story.done("b", started_at=61, at=62)
    record(history, story.events)
    assert (history.job("b").state, history.job("b").wait_ms) == ("done", 1000.0)


def test_a_job_that_fails_twice_and_then_ends_well(history: History, story: Story) -> None:
    story.enqueue()
    story.failed(kind="retrying", detail={"eta": START + 10, "retries": 1})
    job = told(history, story)
    assert (job.state, job.attempt, job.retries_left, job.eta) == ("retrying", 1, 1, START + 10)
    assert job.error == Failure("ValueError", "no")
    assert (job.started_at, job.finished_at) == (None, None)
    story.failed(kind="retrying", started_at=11, at=12, attempt=2, error=("KeyError", "k", traceback()))
    story.done(started_at=12.5, at=13, attempt=3, result=1)
    job = told(history, story)
    assert (job.state, job.attempt, job.error, job.result) == ("done", 3, None, 1)
    attempts = history.attempts("a")
    assert [(a.number, a.outcome, a.wait_ms) for a in attempts] == [
        (3, "done", 500.0),
        (2, "retrying", 1000.0),
        (1, "retrying", 1000.0),
    ]
    assert attempts[1].error == Failure("KeyError", "k", traceback())
    assert attempts[1].fingerprint not in (None, attempts[2].fingerprint)
    assert kinds(history) == ["enqueued", "started", "retrying", "started", "retrying", "started", "done"]


def test_a_failed_job_keeps_its_traceback_and_log_lines(history: History, story: Story) -> None:
    story.enqueue()
    lines = [[START + 1.2, "INFO", "begun"], [START + 1.3, "ERROR", "oh <script>"]]
    story.failed(detail={"logs": lines, "progress": {"done": 1, "total": 2, "note": "half"}})
    job = told(history, story)
    assert (job.state, job.error, job.progress) == (
        "failed",
        Failure("ValueError", "no"),
        {"done": 1, "total": 2, "note": "half"},
    )
    (attempt,) = history.attempts("a")
    assert attempt.error == Failure("ValueError", "no", traceback())
    assert attempt.logs == (LogLine(START + 1.2, "INFO", "begun"), LogLine(START + 1.3, "ERROR", "oh <script>"))


def test_log_lines_of_a_job_that_went_well_are_kept(history: History, story: Story) -> None:
    story.enqueue()
    story.done(detail={"logs": [[START, "INFO", "hello"]]})
    told(history, story)
    (attempt,) = history.attempts("a")
    assert (attempt.outcome, attempt.logs) == ("done", (LogLine(START, "INFO", "hello"),))
    assert kinds(history) == ["enqueued", "started", "done"]


def test_a_job_whose_worker_dies(history: History, story: Story) -> None:
    story.enqueue()
    story.tell("rescued", at=4, detail={"host": "box", "pid": 42, "deliveries": 3})
    assert told(history, story).crashes == 3, "as an older version counted it"
    story.tell("rescued", at=5, detail={"host": "box", "pid": 42, "crashes": 4})
    job = told(history, story)
    assert (job.state, job.crashes) == ("queued", 4)
    story.done(started_at=6, at=7)
    assert told(history, story).wait_ms == 1000.0
    past = history.job_history("a")
    assert [(a.number, a.outcome, a.started_at) for a in past.attempts] == [
        (1, "done", START + 6), (1, "rescued", None), (1, "rescued", None),
    ]  # fmt: skip
    assert {step.reason for step in past.timeline if step.kind == "rescued"} == {"its worker died on box as pid 42"}


def test_a_job_that_was_killed_too_often(history: History, story: Story) -> None:
    story.enqueue()
    story.tell("failed", at=5, detail={"type": "WorkerDied", "message": "its worker died 3 times", "traceback": ""})
    job = told(history, story)
    assert (job.state, job.error, job.run_ms) == ("failed", Failure("WorkerDied", "its worker died 3 times"), None)
    assert [(a.number, a.outcome) for a in history.attempts("a")] == [(1, "failed")]


def test_a_job_that_is_interrupted_by_a_shutdown(history: History, story: Story) -> None:
    story.enqueue()
    story.tell("released", at=3, started_at=1, worker=7)
    job = told(history, story)
    assert (job.state, job.attempt, job.crashes) == ("queued", 0, 0)
    story.done(started_at=4, at=5)
    assert told(history, story).wait_ms == 1000.0
    assert [a.outcome for a in history.attempts("a")] == ["done", "released"]


def test_a_job_that_is_blocked_and_let_go_again(history: History, story: Story) -> None:
    story.enqueue()
    story.tell("blocked", at=1, detail={"reason": "task tasks.add"})
    job = told(history, story)
    assert (job.state, job.reason) == ("blocked", "task tasks.add")
    story.tell("unblocked", at=10)
    assert told(history, story).reason is None
    story.done(started_at=11, at=12)
    assert told(history, story).wait_ms == 1000.0
    assert kinds(history) == ["enqueued", "blocked", "unblocked", "started", "done"]
    assert [a.outcome for a in history.attempts("a")] == ["done"]


def test_a_job_that_ends_without_its_body(history: History, story: Story) -> None:
    for kind in ("canceled", "expired"):
        story.enqueue(kind)
        story.tell(kind, kind, at=1, token=-1)
        record(history, story.events)
        job = history.job(kind)
        assert (job.state, job.finished_at, job.started_at) == (kind, START + 1, None)
        assert history.attempts(kind) == ()
        assert [step.kind for step in history.job_history(kind).timeline] == [kind, "enqueued"]


def test_a_job_that_is_canceled_and_retried_by_hand_again_and_again(history: History, story: Story) -> None:
    story.enqueue()
    for at in (10.0, 20.0, 30.0):
        story.tell("canceled", at=at, token=-1)  # the same token each time
        story.tell("retried", at=at + 1, token=0)
    story.done(started_at=40, at=41)
    told(history, story)
    assert kinds(history) == ["enqueued", *["canceled", "retried"] * 3, "started", "done"]
    assert history.totals(3600).canceled == 3


def test_a_failed_job_that_is_retried_by_hand_with_other_arguments(history: History, story: Story) -> None:
    story.enqueue(args=[1])
    story.failed()
    story.tell("retried", at=10, args=[2], kwargs={"b": 3}, detail={"retries": 5})
    job = told(history, story)
    assert (job.state, job.args, job.kwargs, job.error) == ("queued", [2], {"b": 3}, None)
    assert (job.retries_left, job.finished_at, job.wait_ms) == (5, None, None)
    story.done(started_at=11, at=12, attempt=2)
    assert told(history, story).wait_ms == 1000.0
    assert [a.outcome for a in history.attempts("a")] == ["done", "failed"]


def test_a_done_job_that_is_run_again_keeps_its_first_end(history: History, story: Story) -> None:
    story.enqueue()
    story.done(result=1)
    record(history, story.events)
    story.tell("retried", at=10)
    story.done(started_at=11, at=12, attempt=2, result=2)
    assert told(history, story).result == 2
    assert [(a.number, a.outcome, a.finished_at - START) for a in history.attempts("a")] == [
        (2, "done", 12),
        (1, "done", 2),
    ]


def test_an_id_that_is_used_again_after_the_engine_let_it_go(history: History, story: Story) -> None:
    story.enqueue(args=["first"])
    story.failed()
    story.enqueue(at=100, args=["second"])
    job = told(history, story)
    assert (job.state, job.args, job.attempt, job.error, job.enqueued_at) == (
        "queued", ["second"], 0, None, START + 100,
    )  # fmt: skip
    story.done(started_at=101, at=102)
    assert told(history, story).wait_ms == 1000.0
    assert kinds(history) == ["enqueued", "started", "failed", "enqueued", "started", "done"]


def test_a_job_that_was_begun_before_the_books(history: History, story: Story) -> None:
    story.enqueue(args=[1])
    story.done()
    record(history, story.events[1:])
    job = history.job("a")
    assert (job.state, job.args, job.enqueued_at, job.wait_ms) == ("done", [], START, 1000.0)
    record(history, story.events)  # a restored backup brings what was missed
    assert (history.job("a").state, history.job("a").args) == ("done", [1])


def test_a_batch_that_knows_of_a_retry_before_it_is_read(history: History, story: Story) -> None:
    story.enqueue(detail={"eta": START + 60})  # the job's row as it is when the event is read: due for its retry
    story.failed(kind="retrying", detail={"eta": START + 60})
    record(history, story.events)
    assert [a.wait_ms for a in history.attempts("a")] == [1000.0]


def test_odd_durations_and_results(history: History, story: Story) -> None:
    story.enqueue(at=5)
    story.done(started_at=4.5, at=4, detail={"result_stored": False})
    job = told(history, story)
    assert (job.wait_ms, job.run_ms) == (0, 0), "never negative"
    assert (job.result, job.result_stored) == (None, False)


def test_a_kind_of_a_later_version_is_written_down_and_moves_nothing(history: History, story: Story) -> None:
    story.enqueue()
    story.done(result=1)
    story.tell("admired", at=9, detail={"reason": "by everybody"})
    job = told(history, story)
    assert (job.state, job.result, job.finished_at) == ("done", 1, START + 2)
    assert kinds(history) == ["enqueued", "started", "done", "admired"]
    assert history.job_history("a").timeline[0].reason == "by everybody"


def test_unknown_jobs(history: History) -> None:
    for call in (history.job, history.job_history, history.attempts, history.forget):
        with pytest.raises(UnknownJob):
            call("nope")
