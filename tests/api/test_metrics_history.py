"""What the history has counted, as Prometheus text, from a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey import config
from duey.model.event import Event
from duey.monitor.history import History
from tests.api.conftest import make_world


class Source:
    """Events as a queue would give them, once."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def read_events(self, limit: int) -> list[Event]:
        return self.events[:limit]

    def delete_events(self, events: list[Event]) -> None:
        self.events = self.events[len(events) :]


@pytest.fixture
def history(tmp_path: Path) -> History:
    settings = config.load(environ={}).monitor
    history = History(f"sqlite:///{tmp_path / 'history.db'}", settings)
    history.prepare()
    now = 1_790_000_000.0
    events = []
    for n in range(3):
        events.append(Event(2 * n, "enqueued", f"j{n}", 0, now, "tasks.add", "default", 0, now, args=[], kwargs={}))
        kind = "done" if n else "failed"
        detail = {} if n else {"type": "ValueError", "message": "no", "traceback": ""}
        events.append(
            Event(
                2 * n + 1, kind, f"j{n}", n + 1, now + 1, "tasks.add", "default", 0, now, 1, now + 0.5, 1, detail=detail
            )
        )
    recorder = History(f"sqlite:///{tmp_path / 'history.db'}", settings, clock=lambda: now + 2).recorder(Source(events))
    recorder.turn()
    recorder.close()
    return History(f"sqlite:///{tmp_path / 'history.db'}", settings, clock=lambda: now + 2)


def test_jobs_by_task_and_outcome_and_how_long_they_took(tmp_path: Path, history: History) -> None:
    page = make_world(tmp_path, history=history).client().get("/metrics").body.decode()
    assert 'duey_jobs_ended_total{outcome="done",task="tasks.add"} 2.0' in page
    assert 'duey_jobs_ended_total{outcome="failed",task="tasks.add"} 1.0' in page
    assert 'duey_job_run_seconds_count{task="tasks.add"} 3.0' in page
    assert 'duey_job_run_seconds_sum{task="tasks.add"} 1.5' in page
    assert 'duey_job_run_seconds_bucket{le="0.512",task="tasks.add"} 3.0' in page
    assert "duey_history_jobs 3.0" in page


def test_books_that_are_away_leave_the_rest(tmp_path: Path, history: History) -> None:
    world = make_world(tmp_path, history=history)
    history.close()
    for file in tmp_path.glob("history.db*"):
        file.unlink()
    (tmp_path / "history.db").write_bytes(b"nonsense" * 1000)
    page = world.client().get("/metrics").body.decode()
    assert "duey_history_up 0.0" in page
    assert "duey_up 1.0" in page
