"""A batch that comes twice changes nothing: random lives of jobs, delivered in random, overlapping, repeated batches.

What the history then hold is compared with a model that knows nothing of batches, and, row by row in every table, with
books that got each event once and alone.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from duey.model.event import Event
from duey.monitor.history import History, JobFilter
from duey.monitor.history.recording.causes import cause_of
from tests.monitor.history.conftest import START, Clock, NewUrl, Queue, Settings, Story, record, tables, traceback
from tests.support import rounds

ENDS = ("done", "failed", "canceled", "expired")
ERRORS = (("ValueError", "no", traceback()), ("KeyError", "k", traceback("/srv/other.py:f")))


def live(rng: random.Random, jobs: int) -> list[Event]:
    """The lives of some jobs, their events mixed as time mixes them. All instants are quarters of a second."""
    story = Story()
    for n in range(jobs):
        _one_life(story, rng, f"job{n}", 4 * rng.randrange(100))
    # Sorting is stable: the order within a job stays.
    return sorted(story.events, key=lambda event: event.at)


def _one_life(story: Story, rng: random.Random, job_id: str, quarters: int) -> None:
    def at(later: int) -> float:
        nonlocal quarters
        quarters += rng.randrange(later) + 1
        return quarters / 4

    task = rng.choice(["tasks.add", "tasks.mail", "reports.add"])
    detail = {"eta": START + quarters / 4 + 30} if rng.random() < 0.2 else {}
    story.enqueue(job_id, quarters / 4, task=task, args=[rng.randrange(5)], detail=detail)
    attempt = 0
    for _ in range(rng.randrange(12)):
        kind = rng.choice(
            ["done", "done", "failed", "retrying", "rescued", "released", "blocked", "canceled", "expired"]
        )
        if kind in ("done", "failed", "retrying"):
            attempt += 1
            started, ended = at(300), at(300)
            if kind == "done":
                logs = {"logs": [[START, "INFO", "x"]]} if rng.random() < 0.3 else {}
                story.done(job_id, started, ended, attempt=attempt, task=task, result=attempt, detail=logs)
            else:
                error = rng.choice(ERRORS)
                story.failed(job_id, started, ended, attempt=attempt, task=task, kind=kind, error=error)
        elif kind == "canceled":
            story.tell(kind, job_id, at(50), token=-1, task=task, attempt=attempt)
        else:
            story.tell(kind, job_id, at(50), task=task, attempt=attempt)
        if kind == "blocked":
            story.tell("unblocked", job_id, at(50), task=task)
        if kind in ENDS:
            if rng.random() < 0.3:
                return
            if rng.random() < 0.2:
                story.enqueue(job_id, at(50), task=task, args=["again"])
                attempt = 0
            else:
                story.tell("retried", job_id, at(50), task=task, attempt=attempt)


@dataclass
class Model:
    """What must stand in the history, computed from the events in their order, each once, and in the plainest way."""

    events: list[Event]
    states: dict[str, str] = field(default_factory=dict)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # (task, kind)
    run_ms: Counter[str] = field(default_factory=Counter)
    minutes: Counter[tuple[int, str]] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for event in self.events:
            moves = {"enqueued": "queued", "rescued": "queued", "released": "queued", "blocked": "queued"}
            moves |= {"unblocked": "queued", "retried": "queued"}
            self.states[event.job_id] = moves.get(event.kind, event.kind)
            if event.kind == "enqueued" and event.detail.get("eta"):
                self.states[event.job_id] = "scheduled"
            self.outcomes[event.task, event.kind] += 1
            self.minutes[int(event.at // 60 * 60), event.kind] += 1
            if event.kind in ("done", "failed", "retrying"):
                self.run_ms[event.task] += (event.at - event.started_at) * 1000  # type: ignore[operator]
            if event.kind in ("failed", "retrying"):
                self.groups[cause_of(event.detail["type"], event.detail["traceback"], event.task).fingerprint] += 1

    def check(self, history: History) -> None:
        for job_id, state in self.states.items():
            self._check_job(history, job_id, state)
        for figures in history.tasks(3600 * 3):
            for kind in ("enqueued", "done", "failed", "canceled", "expired", "rescued"):
                assert getattr(figures.outcomes, kind) == self.outcomes[figures.qualname, kind], kind
            assert figures.outcomes.retried == self.outcomes[figures.qualname, "retrying"]
            assert figures.total_run_ms == self.run_ms[figures.qualname]
            assert figures.run.count == sum(self.outcomes[figures.qualname, k] for k in ("done", "failed", "retrying"))
            assert figures.wait.count == figures.run.count
        for minute in history.minutes(180):
            assert minute.outcomes.done == self.minutes[int(minute.at), "done"]
            assert minute.outcomes.failed == self.minutes[int(minute.at), "failed"]
        assert {group.fingerprint: group.count for group in history.error_groups().groups} == dict(self.groups)
        assert history.kept().jobs == len(self.states)

    def _check_job(self, history: History, job_id: str, state: str) -> None:
        mine = [event for event in self.events if event.job_id == job_id]
        past = history.job_history(job_id)
        assert past.row.job.state == state
        steps = [(step.at, step.kind) for step in past.timeline if step.kind != "started"]
        assert sorted(steps) == sorted((event.at, event.kind) for event in mine)
        attempts = [a for a in past.attempts if a.outcome in ("done", "failed", "retrying")]
        ran = [event for event in mine if event.kind in ("done", "failed", "retrying")]
        assert [(a.outcome, a.finished_at, a.started_at) for a in reversed(attempts)] == [
            (event.kind, event.at, event.started_at) for event in ran
        ]
        if state == "done":
            assert past.row.job.result == ran[-1].result


def crashes(rng: random.Random, count: int) -> list[tuple[int, int]]:
    """Slices of the events that together hold them all in order, and come again: at once, overlapping, and late."""
    found: list[tuple[int, int]] = []
    done = 0
    while done < count:
        start = done if rng.random() < 0.6 else rng.randrange(done + 1)
        end = min(count, done + 1 + rng.randrange(30))
        found += [(start, end)] * (1 if rng.random() < 0.7 else 2)
        done = end
        if rng.random() < 0.1:
            late = rng.randrange(done)
            found.append((late, min(done, late + rng.randrange(40))))
    return found


@given(st.integers(0, 2**32), st.integers(1, 12))
@hypothesis_settings(max_examples=rounds(8, soak=2000), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_replays_change_nothing(seed: int, jobs: int) -> None:
    rng = random.Random(seed)
    events = live(rng, jobs)
    clock = Clock(max(event.at for event in events))
    with tempfile.TemporaryDirectory() as folder:
        once, again = (History(f"sqlite:///{folder}/{name}.db", Settings(), clock) for name in ("once", "again"))
        record(once, events, batch=1)
        Model(events).check(once)
        for start, end in crashes(rng, len(events)):
            record(again, events[start:end])
        assert tables(again) == tables(once)
        again.close()
        once.close()


@pytest.mark.soak
@pytest.mark.timeout(rounds(120, soak=1800))
def test_both_kinds_of_databases_hold_and_answer_the_same(new_schema: NewUrl, tmp_path: Path) -> None:
    for seed in range(rounds(2, soak=100)):
        rng = random.Random(seed)
        events = live(rng, 40)
        clock = Clock(max(event.at for event in events) + 1)
        file, server = (History(url, Settings(), clock) for url in (f"sqlite:///{tmp_path}/{seed}.db", new_schema()))
        record(file, events, batch=7)
        for start, end in crashes(rng, len(events)):
            record(server, events[start:end])
        assert tables(server) == tables(file), seed
        assert answers(server) == answers(file), seed


def answers(history: History) -> list[Any]:
    """What pages ask."""
    groups = history.error_groups()
    wanted = [
        JobFilter(), JobFilter(state="failed"), JobFilter(task="add"), JobFilter(task="add", state="done"),
        JobFilter(text="JOB1"), JobFilter(args=(("0", "1"),)), JobFilter(error_type="KeyError"),
        JobFilter(since=START + 50, until=START + 90),
        *(JobFilter(fingerprint=each.fingerprint) for each in groups.groups),
    ]  # fmt: skip
    found: list[Any] = [
        groups,
        history.tasks(),
        history.task("add"),
        history.minutes(),
        history.days(),
        history.waits(),
    ]
    found += [history.totals(), history.failed_since(START), history.waiting_by_task(), history.deploys(0)]
    for each in wanted:
        found += [history.job_rows(each, 10), history.count(each), history.state_counts(each)]
    return found + [history.job_history(row.job.id) for row in history.job_rows(JobFilter(), 100).rows]


def test_a_crash_between_the_books_and_the_queue_changes_nothing(history: History, path: Path, story: Story) -> None:
    story.plain_job("a")
    story.failed("b", error=ERRORS[0])
    queue = Queue(story.events)
    queue.hold = True
    before: dict[str, Any] = {}
    for _ in range(3):  # it dies each time
        recorder = history.recorder(queue)
        recorder.turn()
        assert recorder.status.problem == "RuntimeError: the process dies here"
        recorder.close()
        before = before or tables(history)
        assert tables(history) == before
    queue.hold = False
    history.recorder(queue).turn()
    assert (tables(history), queue.waiting) == (before, [])
    assert history.totals(3600).done == 1
