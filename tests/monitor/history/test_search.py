"""Finding jobs: each filter, pages that are complete while rows arrive, counts that end, and looks that are bounded."""

from __future__ import annotations

import random
from typing import Any

import pytest

from duey.errors import BadRequest, StateConflict
from duey.model.job import STATES
from duey.monitor.history import Count, History, JobFilter
from duey.monitor.history.queries import search
from duey.monitor.history.queries.views import last_part
from tests.monitor.history.conftest import START, Story, record, traceback
from tests.support import rounds, rows


def found(history: History, limit: int = 50, **wanted: Any) -> list[str]:
    return [row.job.id for row in history.job_rows(JobFilter(**wanted), limit).rows]


def all_pages(history: History, wanted: JobFilter, limit: int) -> list[str]:
    ids: list[str] = []
    cursor = None
    while True:
        page = history.job_rows(wanted, limit, cursor)
        assert len(page.rows) <= limit
        ids += [row.job.id for row in page.rows]
        cursor = page.next
        if cursor is None:
            return ids


@pytest.fixture
def shelf(history: History, story: Story) -> History:
    """A few jobs of every kind."""
    story.plain_job("plain", 0, args=["ada@example.org", 42], kwargs={"to": "Bob", "deep": {"er": [1]}, "yes": True})
    story.plain_job(
        "mail", 10, queue="mail", task="tasks.send_mail", detail={"names": ["to", "size"]}, args=["cleo", 7]
    )
    story.enqueue("broken", 20, task="tasks.send_mail", kwargs={"to": 'say "hi"\n'})
    story.failed("broken", 21, 22, task="tasks.send_mail", error=("KeyError", "k", traceback("/srv/a.py:f")))
    story.enqueue("child", 30, detail={"parent": "plain", "by": "schedule:x"}, args=["100%_sure", "Žagreb"])
    story.enqueue("other", 40, task="reports.add")
    story.failed("other", 41, 42, task="reports.add", kind="retrying")
    story.enqueue("later", 50, detail={"eta": START + 9999})
    story.tell("canceled", "later", 60, token=-1)
    story.enqueue("0123456789abcdef", 70)
    record(history, story.events)
    return history


def test_newest_first(shelf: History) -> None:
    assert found(shelf) == ["0123456789abcdef", "later", "other", "child", "broken", "mail", "plain"]


@rows(
    ("wanted", "ids"),
    [
        ({"state": "done"}, ["mail", "plain"]),
        ({"state": "retrying"}, ["other"]),
        ({"state": "expired"}, []),
        ({"state": "nonsense"}, []),
        ({"task": "send_mail"}, ["broken", "mail"]),
        ({"task": "tasks.send_mail", "state": "failed"}, ["broken"]),
        ({"task": "add"}, ["0123456789abcdef", "later", "other", "child", "plain"]),  # two tasks have this name
        ({"task": "tasks.add", "state": "queued"}, ["0123456789abcdef", "child"]),
        ({"task": "unknown"}, []),
        ({"queue": "mail"}, ["mail"]),
        ({"queue": "default", "state": "done"}, ["plain"]),
        ({"queue": "none"}, []),
        ({"error_type": "KeyError"}, ["broken"]),
        ({"error_type": "ValueError", "state": "failed"}, []),
        ({"parent": "plain"}, ["child"]),
        ({"by": "schedule:x"}, ["child"]),
        ({"by": "schedule"}, []),
        ({"since": START + 22, "until": START + 42}, ["child", "broken"]),
        ({"text": "mail"}, ["mail"]),  # an id that is found whole is all that is looked for
        ({"text": "ADA@"}, ["plain"]),
        ({"text": "send"}, ["broken", "mail"]),
        ({"text": 'say "hi"\n'}, ["broken"]),
        ({"text": "%"}, ["child"]),
        ({"text": "0%_s"}, ["child"]),
        ({"text": "Žag"}, ["child"]),
        ({"text": "01234567"}, ["0123456789abcdef"]),
        ({"text": "0123456"}, []),  # too short to be the beginning of an id
        ({"text": "mail", "state": "failed"}, []),
        ({"args": (("to", "bob"),)}, ["plain"]),
        ({"args": (("to", "cleo"),)}, ["mail"]),  # a parameter's name
        ({"args": (("0", "cl"), ("size", "7"))}, ["mail"]),
        ({"args": (("1", "42"),)}, ["plain"]),
        ({"args": (("yes", "true"),)}, ["plain"]),
        ({"args": (("deep", '{"er":'),)}, ["plain"]),
        ({"args": (("to", 'say "'),)}, ["broken"]),
        ({"args": (("to", "ob"),)}, []),
        ({"args": (("1", "ž"),)}, ["child"]),
        ({"args": (("99999999999", "x"),)}, []),
        ({"args": (("to", ""),), "state": "failed"}, ["broken"]),
    ],
)
def test_filters(shelf: History, wanted: dict[str, Any], ids: list[str]) -> None:
    assert found(shelf, **wanted) == ids
    assert shelf.count(JobFilter(**wanted)) == Count(len(ids))
    assert shelf.job_ids(JobFilter(**wanted)) == (ids, None)
    if "state" not in wanted:
        counts = shelf.state_counts(JobFilter(**wanted))
        assert list(counts) == list(STATES)
        assert sum(count.number for count in counts.values()) == len(ids)
        for state, count in counts.items():
            assert shelf.count(JobFilter(**wanted, state=state)) == count


def test_the_fingerprint_of_a_group_leads_to_its_jobs(shelf: History) -> None:
    for group in shelf.error_groups().groups:
        assert found(shelf, fingerprint=group.fingerprint) == [group.last_job_id]


def test_as_the_engine_lists_them(shelf: History) -> None:
    page = shelf.jobs(state="done", limit=1)
    assert ([job.id for job in page.jobs], page.jobs[0].kwargs) == (["mail"], {})
    page = shelf.jobs(state="done", limit=1, cursor=page.next)
    assert ([job.id for job in page.jobs], page.next) == (["plain"], None)
    assert [job.id for job in shelf.jobs(task="send_mail", q="hi").jobs] == ["broken"]


@rows("cursor", ["", "x", "-1", "1" * 30, "١", "1.5"])
def test_a_cursor_that_was_not_given_is_refused(shelf: History, cursor: str) -> None:
    for call in (shelf.job_rows, shelf.job_ids):
        with pytest.raises(BadRequest):
            call(JobFilter(), 10, cursor)
    with pytest.raises(BadRequest):
        shelf.error_groups(cursor=cursor)


def test_short_names_are_shown_while_they_are_unique(shelf: History) -> None:
    assert shelf.job("plain").task == "tasks.add"
    assert shelf.job("mail").task == "send_mail"


@rows(
    ("qualname", "short"),
    [("tasks.add", "add"), ("shop.jobs.add", "add"), ("tasks.add.on_failed", "add.on_failed"), ("add", "add")],
)
def test_a_handler_is_named_with_its_task(qualname: str, short: str) -> None:
    assert last_part(qualname) == short


def test_only_what_has_ended_can_be_forgotten(shelf: History) -> None:
    with pytest.raises(StateConflict):
        shelf.forget("child")
    shelf.forget("plain")
    assert "plain" not in found(shelf)
    assert shelf.job_history("child").row.job.parent == "plain"


def test_children(shelf: History) -> None:
    assert [row.job.id for row in shelf.job_history("plain").children] == ["child"]


# pages


FILTERS = [
    JobFilter(), JobFilter(state="done"), JobFilter(task="tasks.add"), JobFilter(text="even"),
    JobFilter(args=(("kind", "odd"),)), JobFilter(task="tasks.add", since=START + 50),
]  # fmt: skip


def tell_many(story: Story, begin: int, end: int, rng: random.Random) -> None:
    for n in range(begin, end):
        story.enqueue(
            f"job{n}", n, task=rng.choice(["tasks.add", "tasks.mail"]), kwargs={"kind": ["even", "odd"][n % 2]}
        )
        if rng.random() < 0.7:
            story.done(f"job{n}", n + 0.1, n + 0.2)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(rounds(1, soak=50)))
def test_pages_are_complete_while_rows_arrive(history: History, story: Story, seed: int) -> None:
    rng = random.Random(seed)
    tell_many(story, 0, 100, rng)
    record(history, story.events)
    for wanted in FILTERS:
        expected, limit = all_pages(history, wanted, 500), rng.randint(5, 40)
        seen: list[str] = []
        cursor = ""
        while cursor is not None:
            page = history.job_rows(wanted, limit, cursor or None)
            seen += [row.job.id for row in page.rows]
            cursor, before = page.next, len(story.events)
            tell_many(story, 1000 + before, 1005 + before, rng)
            record(history, story.events[before:])
        assert seen == expected and len(set(seen)) == len(seen), wanted


def test_a_page_that_is_exactly_full_is_the_last_one(shelf: History) -> None:
    page = shelf.job_rows(JobFilter(), 7)
    assert (len(page.rows), page.next) == (7, None)


def test_counts_end_at_their_cap(history: History, story: Story) -> None:
    for n in range(30):
        story.plain_job(f"job{n}", n)
    record(history, story.events)
    for wanted in (JobFilter(), JobFilter(state="done"), JobFilter(task="add"), JobFilter(text="job", queue="default")):
        expected = 30 if wanted.text is None else 0
        assert history.count(wanted, cap=30) == Count(expected)
        assert history.count(wanted, cap=29) == Count(min(29, expected), expected > 29)
    assert history.count(JobFilter(text="add"), cap=10) == Count(10, True)


def test_a_look_is_bounded_and_its_cursor_goes_on(
    history: History, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SCAN_ROWS", 100)
    monkeypatch.setattr(search, "WINDOWS", (10, 20))
    for n in range(1000):
        story.enqueue(f"job{n}", n, args=["needle" if n % 400 == 1 else "hay"])
    record(history, story.events)
    wanted = JobFilter(text="needle")
    page = history.job_rows(wanted, 10)
    assert (page.rows, page.searched_back_to) == ((), START + 900)
    assert all_pages(history, wanted, 10) == ["job801", "job401", "job1"]
    assert history.count(wanted) == Count(0, True)
    assert history.state_counts(wanted)["queued"] == Count(0, True)
    assert [row.job.id for row in history.job_rows(wanted, 10, deep=True).rows] == ["job801", "job401", "job1"]
    monkeypatch.setattr(search, "SCAN_ROWS", 100_000)
    assert history.count(wanted) == Count(3)


def test_many_ids_with_one_beginning_are_looked_through_like_any_text(history: History, story: Story) -> None:
    for n in range(search.SHORT_ID_MATCHES + 1):
        story.enqueue(f"report-{n:03}", n)
    record(history, story.events)
    assert found(history, text="report-00", limit=500) == [f"report-{n:03}" for n in reversed(range(10))]
    assert len(found(history, text="report-", limit=500)) == 0
    assert len(found(history, text="report-0", limit=500)) == 100
    assert len(found(history, text="report-01", limit=500)) == 10


def test_a_name_that_many_tasks_share(history: History, story: Story) -> None:
    for n in range(130):
        story.plain_job(f"job{n:03}", n, task=f"module{n}.send")
    record(history, story.events)
    wanted = JobFilter(task="send")
    assert [row.job.id for row in history.job_rows(wanted, 200).rows] == [f"job{n:03}" for n in reversed(range(130))]
    assert history.count(wanted).number == history.state_counts(wanted)["done"].number == 130
    assert history.peaks([f"module{n}.send" for n in range(130)]) == {}
