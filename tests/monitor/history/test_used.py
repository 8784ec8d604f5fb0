"""What attempts used: of a job, of an attempt, of a task."""

from __future__ import annotations

from pathlib import Path

from duey.monitor.history import History
from tests.monitor.history.conftest import Story, record, tables

MB = 1024 * 1024


def test_each_attempt_has_what_it_used(history: History, story: Story, path: Path) -> None:
    story.enqueue("a", 0.0)
    story.failed("a", 1.0, 2.0, kind="retrying", detail={"usage": [800.0, 90 * MB], "eta": 3.0, "retries": 1})
    story.done("a", 3.0, 4.0, attempt=2, detail={"usage": [1.5, None]})
    story.tell("retried", "a", 5.0, token=-1)
    story.failed("a", 6.0, 7.0, attempt=3)
    story.enqueue("b", 8.0)
    story.done("b", 9.0, 9.5, detail={"usage": [20.0, 50 * MB], "logs": [[9.1, "INFO", "x"]]})
    record(history, story.events)
    found = [(each.cpu_ms, each.peak_bytes) for each in reversed(history.attempts("a"))]
    assert found == [(800.0, 90 * MB), (1.5, None), (None, None)]
    assert [(each.cpu_ms, each.peak_bytes, len(each.logs)) for each in history.attempts("b")] == [(20.0, 50 * MB, 1)]
    before = tables(history)
    record(history, story.events, batch=2)
    assert tables(history) == before, "a batch that comes again changes nothing"


def test_a_plain_end_with_what_it_used_makes_no_entry(history: History, story: Story, path: Path) -> None:
    for n in range(40):
        story.enqueue(f"j{n}", 3.0 * n)
        story.done(f"j{n}", 3.0 * n + 1, 3.0 * n + 2, detail={"usage": [float(n), n * MB]})
    story.plain_job("short", 200.0)
    story.enqueue("odd", 210.0)
    story.done("odd", 211.0, 212.0, detail={"usage": "much"})
    record(history, story.events)
    assert tables(history)["entries"] == []
    used = history.used("add")
    assert used is not None
    assert (used.count, used.cpu_p95_ms, used.cpu_max_ms) == (40, 37.0, 39.0)
    assert (used.peak_p95_bytes, used.peak_max_bytes) == (37 * MB, 39 * MB)
    assert [(each[0], each[2]) for each in used.largest[:2]] == [("j39", 39 * MB), ("j38", 38 * MB)]
    assert history.used("unknown") is None
