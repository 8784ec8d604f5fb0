"""Error groups: counted, shown by hour and day, muted, fixed, and back again."""

from __future__ import annotations

import pytest

from duey.monitor.history import Count, History
from duey.monitor.history.queries import groups
from tests.monitor.history.conftest import START, Clock, Story, record, traceback

HOUR = 3600.0


def fail(
    history: History, story: Story, *ats: float, error: tuple[str, str] = ("ValueError", "no"), job_id: str = "a"
) -> str:
    """Attempts that failed so many seconds after START; the fingerprint of their group."""
    before = len(story.events)
    for at in ats:
        kind, message = error
        story.failed(job_id, at - 1, at, kind="retrying", error=(kind, message, traceback("/srv/t.py:send")))
    record(history, story.events[before:])
    return history.error_groups().groups[0].fingerprint


def test_a_group_counts_its_failures(history: History, story: Story) -> None:
    fingerprint = fail(history, story, -7 * 24 * HOUR, -25 * HOUR, -5 * HOUR, -50 * 60, -10.0, job_id="first")
    fail(history, story, -5.0, error=("ValueError", "a later message"), job_id="last")
    group = history.error_group(fingerprint)
    assert group is not None
    assert (group.type, group.message, group.task, group.qualname) == (
        "ValueError", "a later message", "add", "tasks.add",
    )  # fmt: skip
    assert group.frames == ("t.py:send",)
    assert (group.count, group.last_hour, group.last_day, group.last_week) == (6, Count(3), 4, 6 - 1)
    assert (group.first_seen, group.last_seen) == (START - 7 * 24 * HOUR, START - 5)
    assert (group.last_job_id, group.state, group.regressed_at) == ("last", "open", None)
    assert len(group.sparkline) == 28
    assert sum(group.sparkline) == group.last_week
    assert group.sparkline[-1] == 4


def test_the_last_hour_is_counted_up_to_a_cap(history: History, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = fail(history, story, *(-float(n) for n in range(1, 6)))
    monkeypatch.setattr(groups, "LAST_HOUR_CAP", 4)
    group = history.error_group(fingerprint)
    assert group is not None
    assert group.last_hour == Count(4, True)


def test_a_failure_that_is_told_late_does_not_become_the_last(history: History, story: Story) -> None:
    fingerprint = fail(history, story, -5.0, error=("ValueError", "new"))
    fail(history, story, -500.0, error=("ValueError", "old"))
    group = history.error_group(fingerprint)
    assert group is not None
    assert (group.message, group.last_seen, group.first_seen, group.count) == ("new", START - 5, START - 500, 2)


def test_muting_fixing_and_coming_back(history: History, clock: Clock, story: Story) -> None:
    fingerprint = fail(history, story, -10.0)
    muted = history.mark_group(fingerprint, "muted")
    assert muted is not None
    assert muted.state == "muted"
    fail(history, story, -5.0)
    again = history.error_group(fingerprint)
    assert again is not None
    assert (again.state, again.count, again.regressed_at) == ("muted", 2, None)
    history.mark_group(fingerprint, "fixed")
    fail(history, story, -1.0)  # it happened before it was fixed, and is recorded only now
    still = history.error_group(fingerprint)
    assert still is not None
    assert (still.state, still.count) == ("fixed", 3)
    clock.now += 100
    fail(history, story, 50.0)
    back = history.error_group(fingerprint)
    assert back is not None
    assert (back.state, back.regressed_at, back.count) == ("open", START + 50, 4)
    fixed = history.mark_group(fingerprint, "fixed")
    assert fixed is not None
    assert fixed.regressed_at is None


def test_marking_what_is_not_there_or_no_state(history: History, story: Story) -> None:
    assert history.mark_group("nope", "muted") is None
    assert history.error_group("nope") is None
    with pytest.raises(ValueError, match="expected open, muted, fixed"):
        history.mark_group("nope", "solved")


def test_pages_and_filters(history: History, story: Story) -> None:
    for n in range(25):
        error = (f"Error{n:02}", "even" if n % 2 == 0 else "100% odd", traceback())
        story.failed(f"job{n}", n - 100, n // 2 - 90, error=error, task=["tasks.add", "tasks.mail"][n % 2])
    record(history, story.events)
    seen: list[str] = []
    cursor = None
    while True:
        page = history.error_groups(limit=4, cursor=cursor)
        seen += [group.type for group in page.groups]
        cursor = page.next
        if cursor is None:
            break
    assert sorted(seen) == [f"Error{n:02}" for n in range(25)]
    assert seen[0] == "Error24"
    assert len(history.error_groups(task="mail").groups) == 12
    assert len(history.error_groups(q="0% ODD").groups) == 12
    assert [group.type for group in history.error_groups(q="error07").groups] == ["Error07"]
    assert history.error_groups(state="fixed").groups == ()
    assert len(history.error_groups(state="open").groups) == 25


def test_a_job_that_ended_well_after_a_failure_is_found_by_its_group(history: History, story: Story) -> None:
    fingerprint = fail(history, story, -10.0)
    story.done("a", -5, -4, attempt=2)
    record(history, story.events)
    job = history.job("a")
    assert (job.state, job.error) == ("done", None)
    assert history.job_history("a").row.fingerprint == fingerprint
