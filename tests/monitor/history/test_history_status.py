"""Visits, slots, and what the history tell of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.monitor.history import Count, History
from tests.monitor.history.conftest import START, Clock, Queue, Story, record

MINUTE = 60.0


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
    assert history.note_visit("ada") == second_ended


def test_polling_pages_do_not_write_each_time(history: History, clock: Clock) -> None:
    history.note_visit("ada")
    with history._database.reading() as db:
        before = db.execute_sql("SELECT total_changes()").fetchone()
        for _ in range(10):
            clock.now += 2
            history.note_visit("ada")
        assert db.execute_sql("SELECT total_changes()").fetchone() == before


def test_a_visit_never_raises(history: History, path: Path) -> None:
    path.mkdir(parents=True)
    assert history.note_visit("ada") is None


def test_what_failed_since(history: History, story: Story) -> None:
    for n in range(5):
        story.failed(f"job{n}", n, n + 1)
    story.tell("retried", "job4", 10)
    record(history, story.events)
    assert history.failed_since(START) == Count(4)
    assert history.failed_since(START + 2) == Count(2)
    assert history.failed_since(START + 9) == Count(0)


def test_what_the_books_hold(history: History, clock: Clock, path: Path, story: Story) -> None:
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
    assert kept.wal_bytes > 0
    assert kept.disk_free_bytes > 0


def test_health_of_sound_books(history: History) -> None:
    assert (history.health().ok, history.health().problems, history.health().warnings) == (True, (), ())


@pytest.mark.parametrize("leading", [True, False])
def test_health_tells_what_the_recorder_met(history: History, leading: bool) -> None:
    class Broken(Queue):
        def read_events(self, limit: int) -> list:
            raise OSError("the disk is gone")

    recorder = history.recorder(Broken())
    recorder.turn()
    assert (history.health().ok, history.health().problems) == (False, ("the disk is gone",))
    if not leading:
        other = history.recorder(Queue())
        recorder.close()
        other.turn()
        assert history.health().ok
