"""What the other pages tell and do: overview, errors, tasks, schedules, workers, audit."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import pytest

from duey.monitor.history import Slot
from tests.monitor.web.client import Browser
from tests.monitor.web.conftest import Clock
from tests.monitor.web.world import World


def test_the_overview_begins_with_what_is_wrong(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/")
    headline = re.search(r'<h1 class="health (\w+)">(.*?)</h1>', page.text, re.DOTALL)
    assert headline and headline[1] == "bad"
    assert "jobs failed since your last visit; 3 scheduled runs missed" in page.words
    assert admin.get("/monitor/overview.json").json["health"]["level"] == "bad"


def test_the_overview_tells_what_fails_and_what_did_not_run(world: World, admin: Browser, clock: Clock) -> None:
    page, data = admin.get("/monitor/?fragment=now"), admin.get("/monitor/overview.json").json
    assert "What fails since your last visit" in page.words
    group = world.history.groups[0]
    assert f'<a href="/monitor/jobs?q=group%3A{group.fingerprint}">{group.type}</a>' in page.text
    assert group.message in page.words
    assert "What did not run since your last visit" in page.words
    assert len(data["missed"]) == 3 and page.words.count("no consumer 02:00-02:15") == 1, "three slots in one line"
    for path in ("/jobs?state=failed", "/schedules", "/jobs?state=queued"):
        assert f'<a href="/monitor{path}">' in page.text.partition("</h1>")[0]
    clock.now += 30 * 86400  # nothing of it is news any more
    world.history.last_visit = clock.now - 60
    assert "What fails" not in admin.get("/monitor/?fragment=now").words


def test_a_disk_that_is_nearly_full_is_told(world: World, admin: Browser, monkeypatch) -> None:
    assert "of disk are left" not in admin.get("/monitor/").words
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=300 << 20))
    assert "MB of disk are left for the queue." in admin.get("/monitor/").words


def test_an_empty_deployment_is_told_how_to_begin(empty: World) -> None:
    admin = empty.browser("ana")
    words = admin.get("/monitor/").words
    assert "No consumer is running." in words
    for path in ("/tasks", "/schedules", "/workers", "/errors"):
        assert admin.get(f"/monitor{path}").status == 200
    assert "duey worker" in admin.get("/monitor/workers").words
    assert "@huey.periodic_task" in admin.get("/monitor/schedules").words


def test_errors_link_to_their_jobs_and_are_marked(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/errors")
    assert "regressed" in page.words and "new since your last visit" in page.words
    fingerprint = world.history.groups[0].fingerprint
    assert f"q=group%3A{fingerprint}+since%3A1h" in page.text
    for mark, state in (("mute", "muted"), ("reopen", "open"), ("fix", "fixed")):
        assert admin.post(f"/monitor/errors/{fingerprint}/{mark}").status == 303
        assert world.history.groups[0].state == state
    assert fingerprint not in admin.get("/monitor/errors?fragment=list").text
    assert fingerprint in admin.get("/monitor/errors?state=fixed").text
    assert admin.post("/monitor/errors/none/mute").status == 404
    assert admin.post(f"/monitor/errors/{fingerprint}/burn").status == 404


def test_tasks_are_sorted_by_what_they_cost(world: World, admin: Browser) -> None:
    def names(page: str) -> list[str]:
        return re.findall(r'<tr data-id="([^"]*)"', admin.get(f"/monitor/tasks{page}").text)

    assert names("") == [each.qualname for each in world.history.figures]
    assert names("?sort=failed")[0] == "tasks.deliver_webhook"
    assert names("?q=mail") == ["tasks.send_email"]


def test_a_task_is_run_from_its_form(world: World, admin: Browser, clock: Clock) -> None:
    page = admin.get("/monitor/tasks/add")
    assert 'name="p:a"' in page.text and page.words.count("required") == 2
    now = admin.post("/monitor/tasks/add/run", {"p:a": "1", "p:b": "2"})
    job = world.control.all[now.headers["location"].rpartition("/")[2]]
    assert (job.kwargs, job.state) == ({"a": 1, "b": 2}, "queued")
    later = admin.post("/monitor/tasks/add/run", {"p:a": "1", "after": "15min"})
    assert world.control.all[later.headers["location"].rpartition("/")[2]].eta == clock.now + 900
    at = admin.post("/monitor/tasks/add/run", {"p:a": "1", "at": "2030-01-31T14:00"})
    assert world.control.all[at.headers["location"].rpartition("/")[2]].eta == 1_896_098_400


def test_a_run_form_that_is_refused_queues_nothing_and_keeps_what_was_typed(world: World, admin: Browser) -> None:
    before = set(world.control.all)
    for form, said in (
        ({"p:a": '"x"'}, "expected int"),
        ({"p:a": "x"}, "expected JSON for int"),
        ({"p:a": "1", "after": "soon"}, "expected a length such as 90s"),
        ({"p:a": "1", "at": "soon"}, "expected a time such as"),
        ({"p:a": "1", "after": "5s", "at": "2030-01-31T14:00"}, "found both"),
    ):
        answer = admin.post("/monitor/tasks/add/run", form)
        assert answer.status == 422 and said in answer.words, form
    assert 'name="p:a" value="1"' in answer.text
    assert set(world.control.all) == before


def test_pausing_twice_says_so(world: World, admin: Browser) -> None:
    assert "add is paused" in admin.follow(admin.post("/monitor/tasks/add/pause")).words
    assert "paused already: nothing was changed" in admin.follow(admin.post("/monitor/tasks/add/pause")).words


def test_what_went_wrong_before_the_newest_slots_is_told_from_the_books(world: World, admin: Browser) -> None:
    oldest = min(slot.at for slot in world.control.schedules.get("periodic.nightly_backup").slots)
    world.history.all_slots = (
        Slot("periodic.nightly_backup", oldest + 1, "missed", None, "the engine tells of this one itself"),
        Slot("periodic.nightly_backup", oldest - 1, "missed", None, "the disk was full"),
        Slot("periodic.nightly_backup", oldest - 2, "on time", "job"),
        Slot("removed-since", oldest - 3, "missed", None, "of no schedule"),
    )
    schedule_store = admin.get("/monitor/schedules.json").json["ledger"]
    assert [entry["slot"]["reason"] for entry in schedule_store if entry["schedule"] == "periodic.nightly_backup"] == [
        "the disk was full"
    ]
    assert "of no schedule" not in [entry["slot"]["reason"] for entry in schedule_store]


def test_a_missed_slot_is_run_once_asked(world: World, admin: Browser) -> None:
    schedule = world.control.schedules.get("periodic.heartbeat")
    missed = next(slot for slot in schedule.slots if slot.outcome == "missed")
    page = admin.get("/monitor/schedules")
    assert f'name="slot" value="{missed.at}"' in page.text
    admin.post("/monitor/schedules/periodic.heartbeat/run", {"slot": str(missed.at)})
    assert world.control.schedules.ran == [("periodic.heartbeat", missed.at)]
    for slot in ("5", "x"):
        refused = admin.post("/monitor/schedules/periodic.heartbeat/run", {"slot": slot})
        assert "Nothing was run" in admin.follow(refused).words


def test_schedules_say_when_for_how_long_and_what_became_of_their_slots(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/schedules")
    row = page.text.partition('data-id="periodic.heartbeat"')[2].partition("</tr>")[0]
    assert row.count("<title>") == 60
    assert row.count("missed: no consumer 02:00-02:15</title>") == 3 and "late by 4 s</title>" in row
    assert re.search(r"then \d\d:\d\d(, \d\d:\d\d){3} \(UTC\)<", row), "with the next one that makes five"
    assert re.search(r'<td class="num wide">[\d.]+ ms</td>', row), "the average run time"
    wrong = page.words.partition("What did not run as it should")[2]
    assert "heartbeat missed: no consumer 02:00-02:15" in wrong and "heartbeat late by 4 s" in wrong


def test_workers_are_asked_and_the_unusual_stands_first(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/workers")
    assert "3 of 4 busy" in page.words
    ratios = [float(each) for each in re.findall(r"([\d.]+)× usual", page.text)]
    assert ratios and ratios == sorted(ratios, reverse=True)
    assert "Gone in the last day" in page.words and "atlas 3988" in page.words
    admin.post("/monitor/workers/1/quiet")
    assert "Stop atlas 4121?" in admin.post("/monitor/workers/1/stop").words
    assert world.control.asked == [("1", "quiet")]
    admin.post("/monitor/workers/1/stop", {"sure": "1"})
    assert world.control.asked == [("1", "quiet"), ("1", "stop")]
    world.control.crew = [replace(each, alive=False) for each in world.control.crew]
    gone = admin.post("/monitor/workers/1/quiet")
    assert "already stopped: nothing was changed" in admin.follow(gone).words


def test_consumers_that_run_other_code_are_told_apart(world: World, admin: Browser) -> None:
    words = admin.get("/monitor/workers").words
    assert "code 8e02d17" in words and "code 31bb9c4" in words
    assert words.count("other code than the newest") == 1
    world.control.crew = [replace(each, code="8e02d17") for each in world.control.crew]
    assert "other code" not in admin.get("/monitor/workers").words


def test_a_queue_is_paused_and_resumed(world: World, admin: Browser) -> None:
    assert 'formaction="/monitor/queues/default/pause"' in admin.get("/monitor/workers").text
    assert "The queue default is paused" in admin.follow(admin.post("/monitor/queues/default/pause")).words
    assert world.control.paused >= {"queue:default"}
    assert "Paused: import_csv, the queue default." in admin.get("/monitor/").words
    again = admin.follow(admin.post("/monitor/queues/default/pause"))
    assert "is paused already: nothing was changed" in again.words
    assert 'formaction="/monitor/queues/default/resume"' in again.text
    assert "The queue default is resumed" in admin.follow(admin.post("/monitor/queues/default/resume")).words
    assert "queue:default" not in world.control.paused
    unknown = admin.follow(admin.post("/monitor/queues/nowhere/pause"))
    assert "No worker serves a queue 'nowhere'" in unknown.words
    assert admin.post("/monitor/queues/default/quiet").status == 404


def test_the_audit_is_paged_and_filtered(world: World, admin: Browser) -> None:
    for n in range(120):
        world.access.audit.record("bot", "api", "192.0.2.9", "cancel", f"job-{n}")
    seen: list[int] = []
    address = "/monitor/audit?who=bot"
    while address:
        page = admin.get(address)
        seen += map(int, re.findall(r"job-(\d+)", page.text))
        link = re.search(r'href="([^"]*)" rel="next"', page.text)
        address = link[1].replace("&amp;", "&") if link else ""
    assert seen == list(range(119, -1, -1))
    assert admin.get("/monitor/audit?cursor=x").status == 400


def test_the_audit_is_offered_as_csv(world: World, viewer: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(30):
        world.access.audit.record("=cmd|' /C calc'!A0", "api", "192.0.2.9", "cancel", f"job-{n}", 1, 'a "b"\nc')
    world.access.audit.record("ana", "web", "192.0.2.7", "cancel", "other")
    page = viewer.get("/monitor/audit", who="=cmd|' /C calc'!A0", action="cancel").text
    address = re.search(r'href="([^"]*audit\.csv[^"]*)"', page)
    assert address
    answer = viewer.get(unescape(address[1]))
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["target"] for row in rows] == [f"job-{n}" for n in reversed(range(30))]
    assert {(row["who"], row["detail"]) for row in rows} == {("'=cmd|' /C calc'!A0", 'a "b"\nc')}
    assert len(viewer.get("/monitor/audit.csv").text.splitlines()) > 32
    monkeypatch.setattr("duey.monitor.web.pages.audit.CSV_LINES", 3)
    assert len(list(csv.DictReader(io.StringIO(viewer.get("/monitor/audit.csv?action=cancel").text, newline="")))) == 3
