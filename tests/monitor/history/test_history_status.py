"""What the history says of itself, of visits and of schedules, and what was recorded only as numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from duey.monitor.history import Count, History, JobFilter, Slot, SlotRun
from duey.monitor.history.database import File
from duey.monitor.history.recording import retention
from duey.monitor.history.schema import MIGRATIONS
from tests.monitor.conftest import START, Clock
from tests.monitor.history.conftest import Queue, Story, only_sqlite, record, tables

MINUTE = 60.0
DETAIL = {
    "task": "tasks.add", "done": 500, "run_ms": 10_000.0, "run_max_ms": 90.0, "wait_ms": 2_500.0, "wait_max_ms": 40.0,
}  # fmt: skip


@only_sqlite
def test_the_recorder_says_that_a_schema_is_newer(history: History, path: Path) -> None:
    """And leaves the file alone: test_sqlite_file."""
    File(f"sqlite:///{path}", migrations=(*MIGRATIONS, ("SELECT 1",))).prepare()
    recorder = history.recorder(Queue())
    recorder.turn()
    assert f"has schema {len(MIGRATIONS) + 1}" in (recorder.status.problem or "")


# visits and health


def test_a_visit_tells_when_the_one_before_ended(history: History, clock: Clock) -> None:
    assert history.note_visit("ada") is None
    for _ in range(20):  # one long visit
        clock.now += 10 * MINUTE
        assert history.note_visit("ada") is None
    ended = clock.now
    clock.now += 31 * MINUTE
    assert history.note_visit("ada") == ended
    clock.now += 10 * MINUTE
    assert history.note_visit("ada") == ended
    assert history.note_visit("bob") is None
    second_ended = clock.now
    clock.now += 1000 * MINUTE
    assert history.note_visit("ada", looks=False) == second_ended
    clock.now += 10
    assert history.note_visit("ada") == second_ended, "a page that refreshes itself is no visit"
    looked = clock.now
    clock.now += 40 * MINUTE
    assert history.note_visit("ada", looks=False) == looked, "also if it is open all day"
    history.mark_seen("ada")
    history.mark_seen("eve")
    assert history.note_visit("ada") == history.note_visit("eve") == clock.now
    before = tables(history)["visits"]
    for _ in range(10):
        clock.now += 2
        history.note_visit("ada")
    assert tables(history)["visits"] == before, "not each page writes"


@only_sqlite
def test_a_visit_never_raises(history: History, path: Path) -> None:
    path.mkdir(parents=True)
    assert history.note_visit("ada") is None


def test_what_failed_since(history: History, story: Story) -> None:
    for n in range(5):
        story.failed(f"job{n}", n, n + 1)
    story.tell("retried", "job4", 10)
    record(history, story.events)
    assert [history.failed_since(START + later) for later in (0, 2, 9)] == [Count(4), Count(2), Count(0)]


@only_sqlite
def test_what_the_history_holds(history: History, path: Path, story: Story) -> None:
    history.prepare()
    empty = history.kept()
    assert (empty.jobs, empty.deleted, empty.oldest_at, empty.recorded_at) == (0, 0, None, None)
    assert empty.began_at > 1_700_000_000
    story.plain_job("a", 5)
    story.plain_job("b", 6)
    record(history, story.events)
    kept = history.kept()
    assert (kept.jobs, kept.oldest_at, kept.recorded_at) == (2, START + 5, START)
    assert kept.file_bytes == path.stat().st_size
    assert kept.wal_bytes > 0 and kept.disk_free_bytes > 0


def test_health_tells_what_the_recorder_that_leads_met(history: History) -> None:
    class Broken(Queue):
        def read_events(self, limit: int, term: int | None = None) -> list:
            raise OSError("the disk is gone")

    assert (history.health().ok, history.health().problems, history.health().warnings) == (True, (), ())
    recorder = history.recorder(Broken())
    recorder.turn()
    assert (history.health().ok, history.health().problems) == (False, ("the disk is gone",))
    other = history.recorder(Queue())
    recorder.close()
    other.turn()
    assert history.health().ok


# what was recorded only as numbers, while nobody recorded


def test_counts_stand_in_the_figures_once_and_in_no_list(history: History, clock: Clock, story: Story) -> None:
    story.plain_job("a")
    story.tell("counted", "", 0.0, token=-17, detail=DETAIL)
    for again in range(3):  # in another batch, and in the same one
        record(history, story.events * min(again + 1, 2))
        (figures,) = history.tasks(3600)
        assert (figures.outcomes.done, figures.outcomes.enqueued) == (501, 501)
        assert figures.run.count == figures.wait.count == 501
        assert figures.total_run_ms == pytest.approx(11_000) and figures.run.max_ms == pytest.approx(1000)
        assert len(history.job_rows(JobFilter()).rows) == 1
        assert (history.kept().jobs, history.kept().counted) == (1, 500)
    (warning,) = history.health().warnings
    assert warning.startswith("500 jobs that succeeded are in the figures, but not in the lists")
    story.tell("counted", "", 0.0, token=-18, detail=DETAIL)  # others, by their token
    story.tell("counted", "", 0.0, token=-19, detail={"done": "many"})  # says nothing
    recorder = history.recorder(Queue(story.events))
    recorder.turn()
    assert (recorder.status.refused, history.kept().counted) == (1, 1000)
    clock.now += 8 * 86400
    assert not [each for each in history.health().warnings if "succeeded" in each], "people are told for a week"


# slots of schedules: copied as the queue tells of them, and kept when it has let them go


def told(n: float, outcome: str = "on time", job_id: str | None = None, reason: str | None = None) -> SimpleNamespace:
    """A slot, `n` seconds after START, as the queue tells of it."""
    return SimpleNamespace(at=START + n, outcome=outcome, job_id=job_id, reason=reason)


def tell(history: History, **schedules: list[SimpleNamespace]) -> list[float]:
    """A recorder asks, and is told this; the slots of `nightly` that the history has then."""
    tables = [SimpleNamespace(name=name, slots=slots) for name, slots in schedules.items()]
    history.recorder(Queue(), schedules=lambda: tables).turn()
    return [each.slot.at - START for each in history.slot_runs("nightly")]


def test_slots_are_copied_newest_first_and_stay(history: History, clock: Clock) -> None:
    assert tell(history, nightly=[told(2, "missed", None, "no consumer"), told(0)], hourly=[told(1)]) == [2, 0]
    missed = Slot("nightly", START + 2, "missed", None, "no consumer")
    assert history.slot_runs("nightly", limit=1) == (SlotRun(missed, None, None),)
    assert [each.slot.at - START for each in history.slot_runs("nightly", outcomes=["on time"])] == [0]
    assert tell(history, nightly=[told(3)]) == tell(history) == [3, 2, 0], "also when the queue has let them go"
    for late in ("waiting", "running", "failed"):
        tell(history, nightly=[told(4, late, None if late == "waiting" else "nightly@4")])
    assert history.slot_runs("nightly", limit=1)[0].slot == Slot("nightly", START + 4, "failed", "nightly@4", None)
    clock.now = START + 30 * 86400 + 3
    history.prune()
    assert tell(history) == [4, 3], "they go with the jobs of their time"


def test_a_frequent_schedule_does_not_push_out_the_slots_of_others(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "KEPT_SLOTS", 10)
    skipped = [told(n, "skipped", None, "the run before has not ended") for n in range(60)]
    tell(history, nightly=[told(0, "missed", None, "no consumer")], often=skipped, always=skipped[:3])
    history.prune()
    assert [len(history.slot_runs(name)) for name in ("nightly", "often", "always")] == [1, 10, 3]
    found = history.slots_to_look_at()
    assert [(each.schedule, each.count) for each in found] == [("nightly", 1), ("often", 10), ("always", 3)]
    assert history.slots_to_look_at("often") == found[1:2]
    assert (found[1].first_at, found[1].last_at) == (START + 50, START + 59)
    assert history.missed_slots(START) == found[:1] and history.missed_slots(START + 1) == ()
    assert history.dismiss_slots("often", "skipped", START + 55, START + 99) == 5
    assert history.open_slots("often", "skipped", START, START + 99) == tuple(START + n for n in range(50, 55))
    tell(history, often=skipped)
    history.prune()
    left = {each.schedule: each.count for each in history.slots_to_look_at()}
    assert left == {"nightly": 1, "often": 5, "always": 3}, "dismissed ones stay so when they are copied again"
