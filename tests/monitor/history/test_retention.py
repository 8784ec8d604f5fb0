"""What the history lets go, what they keep, and that they do so in small steps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from duey.monitor.history import History, JobFilter
from duey.monitor.history import database as history_database
from duey.monitor.history.database import database
from duey.monitor.history.recording import retention
from duey.monitor.history.recording.retention import KEPT_OF_EACH_TASK, Retention
from duey.monitor.history.schema import SLOTS
from tests.monitor.history.conftest import PATIENCE_S, START, Clock, Queue, Settings, Story, only_sqlite, record, tables
from tests.support import wait_until

DAY = 86400.0


def jobs(history: History, **wanted: str) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page, cursor = history.job_ids(JobFilter(**wanted), 5000, cursor)
        found += page
        if cursor is None:
            return found


def tell(story: Story, prefix: str, count: int, at: float = 0.0, task: str = "tasks.add", kind: str = "done") -> None:
    """Jobs that are enqueued one after another and have ended 2 s later."""
    for n in range(count):
        job_id, when = f"{prefix}{n}", at + n / 1000
        story.enqueue(job_id, when, task=task)
        if kind == "done":
            story.done(job_id, when + 1, when + 2, task=task)
        elif kind == "failed":
            story.failed(job_id, when + 1, when + 2, task=task)
        elif kind != "queued":
            story.tell(kind, job_id, when + 2, task=task, token=-1)


def test_ended_jobs_go_after_their_days_but_for_the_last_100(
    history: History, clock: Clock, path: Path, story: Story
) -> None:
    kinds = ("done", "canceled", "expired", "failed")
    for kind in kinds:
        tell(story, kind, 110, kind=kind, task=f"tasks.{kind}")
    record(history, story.events)
    for days, gone in ((30, 30), (180, 10)):
        clock.now = START + days * DAY
        assert history.prune().jobs == 0
        clock.now += 3
        assert history.prune().jobs == gone
    for kind in kinds:
        assert jobs(history, task=f"tasks.{kind}") == [f"{kind}{n}" for n in reversed(range(10, 110))]
    assert (history.kept().jobs, history.kept().deleted) == (400, 40)
    assert len(tables(history)["entries"]) == 100


def test_failed_jobs_are_never_kept_shorter_than_others(
    history: History, settings: Settings, clock: Clock, story: Story
) -> None:
    settings.keep_failed_days = 1
    tell(story, "old", 150, kind="failed")
    record(history, story.events)
    clock.now = START + 29 * DAY
    assert history.prune().jobs == 0
    clock.now = START + 31 * DAY
    assert history.prune().jobs == 50


def test_what_has_not_ended_stays_for_ever(history: History, settings: Settings, clock: Clock, story: Story) -> None:
    settings.retention_rows = 10
    tell(story, "waiting", 120, kind="queued")
    record(history, story.events)
    clock.now = START + 1000 * DAY
    history.prune()
    assert len(jobs(history)) == 120


def test_a_rare_task_is_not_pushed_out_by_a_frequent_one(
    history: History, settings: Settings, clock: Clock, story: Story
) -> None:
    settings.retention_rows = 500
    tell(story, "rare", 120, task="tasks.rare")
    tell(story, "old", 600, at=1)
    tell(story, "few", 7, at=2, task="tasks.few")
    tell(story, "new", 100, at=10)
    record(history, story.events)
    assert history.prune().jobs == 827 - 500
    assert jobs(history, task="tasks.rare") == [f"rare{n}" for n in reversed(range(20, 120))]
    assert len(jobs(history, task="tasks.few")) == 7
    assert jobs(history, task="tasks.add")[:101] == [f"new{n}" for n in reversed(range(100))] + ["old599"]
    assert len(jobs(history)) == 500


def test_failed_jobs_go_last_where_there_are_too_many(history: History, settings: Settings, story: Story) -> None:
    settings.retention_rows = 400
    tell(story, "bad", 300, kind="failed")
    tell(story, "good", 300, at=1)
    tell(story, "gone", 300, at=1, kind="canceled", task="tasks.other")
    record(history, story.events)
    history.prune()
    assert len(jobs(history)) == 400
    # The last 100 of each task stay: of tasks.add they are good ones, of tasks.other canceled ones.
    assert len(jobs(history, state="done")) == 100
    assert len(jobs(history, state="canceled")) == 100
    assert jobs(history, state="failed") == [f"bad{n}" for n in reversed(range(100, 300))]


def test_a_limit_below_what_must_stay_does_no_harm(history: History, settings: Settings, story: Story) -> None:
    settings.retention_rows = 1
    tell(story, "a", KEPT_OF_EACH_TASK + 1)
    record(history, story.events)
    assert history.prune().jobs == 1
    assert history.prune().jobs == 0


def test_a_job_that_ended_late_is_kept_for_its_days(history: History, clock: Clock, story: Story) -> None:
    story.enqueue("late", 0.0)
    tell(story, "old", 200, at=1)
    story.done("late", 29 * DAY, 29 * DAY + 1)
    tell(story, "new", 100, at=30 * DAY)
    record(history, story.events)
    clock.now = START + 31 * DAY
    history.prune()
    assert set(jobs(history)) == {"late", *(f"new{n}" for n in range(100))}


def test_the_recorder_keeps_the_limit_while_events_wait(
    history: History, settings: Settings, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.retention_rows = 300
    monkeypatch.setattr("duey.monitor.history.recording.recorder.BATCH", 400)
    tell(story, "a", 1500)
    queue = Queue(story.events)
    recorder = history.recorder(queue)
    most = 0
    while queue.waiting:
        recorder.turn()
        most = max(most, history.kept().jobs)
    recorder.turn()
    assert most < 300 + 500
    assert history.kept().jobs == 300


def test_a_step_ends_in_time_and_the_next_one_goes_on(
    path: Path, history: History, settings: Settings, clock: Clock, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 50)
    tell(story, "old", 400)
    record(history, story.events)
    clock.now = START + 31 * DAY
    keeper = Retention(history.database, settings, clock)
    left = []
    while keeper.step(give_up_at=time.monotonic()):  # no time at all: one small transaction each
        left.append(history.kept().jobs)
    assert left[:3] == [350, 300, 250]
    assert left[-1] == 100


def test_figures_groups_and_slots_go_in_their_time(history: History, clock: Clock, path: Path, story: Story) -> None:
    tell(story, "a", 1, kind="failed")
    record(history, story.events)
    with history._database.writing() as db:
        SLOTS.insert(schedule="nightly", at=START, outcome="on_time").execute(db)
    history.note_visit("ada")

    def tiers() -> list[int]:
        return [row[0] for row in tables(history)["figures"]]

    assert tiers() == [3600, 60, 86400] or sorted(tiers()) == [60, 3600, 86400]
    clock.now = START + 49 * 3600
    assert history.prune().figures == 1
    assert sorted(tiers()) == [3600, 86400]
    clock.now = START + 32 * DAY
    history.prune()
    assert tables(history)["error_hours"] == []
    clock.now = START + 93 * DAY
    assert history.prune().groups == 0
    assert history.slot_runs("nightly") == ()
    clock.now = START + 181 * DAY
    assert history.prune().groups == 1
    assert history.error_groups().groups == ()
    clock.now = START + 368 * DAY
    assert history.prune().figures == 2
    assert (tiers(), tables(history)["visits"]) == ([], [])
    assert jobs(history) == ["a0"]  # the last of its task


@only_sqlite
def test_pruning_gives_room_back_to_the_disk(
    history: History, clock: Clock, path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_database, "MANY_FREE_PAGES", 50)
    for n in range(800):
        story.enqueue(f"job{n}", n / 1000, args=["x" * 2000])
        story.done(f"job{n}", 3, 4)
    record(history, story.events)
    history.prune()
    before = path.stat().st_size
    clock.now = START + 31 * DAY
    recorder = history.recorder(Queue())

    def is_smaller() -> bool:
        recorder.turn()
        with database(f"sqlite:///{path}").reading() as db:
            return int(db.pragma("freelist_count")) < 0.3 * int(db.pragma("page_count"))

    wait_until(is_smaller, PATIENCE_S, "the recorder gives most of the free room back")
    history.prune()
    assert path.stat().st_size < before / 4


def test_forgetting_one_job(history: History, path: Path, story: Story) -> None:
    tell(story, "a", 2, kind="failed")
    record(history, story.events)
    history.forget("a0")
    assert jobs(history) == ["a1"]
    assert len(tables(history)["entries"]) == 1
    assert history.kept().jobs == 1
    assert history.totals(3600).failed == 2


def test_jobs_stay_as_long_as_their_task_says(history: History, clock: Clock, story: Story) -> None:
    for kind in ("done", "canceled", "expired"):
        for length, keep_s in (("short", 60.0), ("long", 100 * DAY), ("plain", None)):
            detail = {} if keep_s is None else {"keep_s": keep_s}
            story.enqueue(f"{length} {kind}", 0, task=f"tasks.{length}", detail=detail)
            story.tell(kind, f"{length} {kind}", 1, task=f"tasks.{length}")
    for length in ("plain", "long"):
        tell(story, f"more {length}", KEPT_OF_EACH_TASK, task=f"tasks.{length}")
    record(history, story.events)

    def left() -> set[str]:
        return {each.split()[0] for each in jobs(history)} - {"more"}

    for at, expected in (
        (60, {"short", "long", "plain"}), (62, {"long", "plain"}), (99 * DAY, {"long"}), (101 * DAY, set()),
    ):  # fmt: skip
        clock.now = START + at
        history.prune()
        assert left() == expected, at


def test_what_failed_stays_for_a_retry_whatever_its_task_says(history: History, clock: Clock, story: Story) -> None:
    story.enqueue("bad", 0, detail={"keep_s": 60.0})
    story.failed("bad")
    record(history, story.events)
    clock.now = START + 100 * DAY
    assert history.prune().jobs == 0
    tell(story, "more", KEPT_OF_EACH_TASK, at=1)
    record(history, story.events)
    clock.now = START + 181 * DAY
    history.prune()
    assert "bad" not in jobs(history)
