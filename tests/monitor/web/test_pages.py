"""What the other pages tell and do: overview, errors, tasks, schedules, workers, audit."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from html import unescape
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from tests.monitor.conftest import Clock
from tests.monitor.history.conftest import Queue, Story
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.world import World


def test_the_overview_begins_with_what_is_wrong(world: World, admin: Browser, clock: Clock) -> None:
    page, data = admin.get("/monitor/"), admin.get("/monitor/overview.json").json
    headline = re.search(r'<h1 class="health (\w+)">', page.text)
    assert headline and headline[1] == data["health"]["level"] == "bad"
    assert "31 jobs failed since your last visit; 3 scheduled runs missed" in page.words
    for path in ("/jobs?state=failed&amp;q=since%3A2027-01-14T23", "/schedules", "/jobs?state=queued"):
        assert f'<a href="/monitor{path}' in page.text.partition("</h1>")[0]
    assert "What fails since your last visit" in page.words and "What did not run since your last visit" in page.words
    group = world.history.error_groups("open").groups[0]
    assert f'<a href="/monitor/errors/{group.fingerprint}">{group.type}</a>' in page.text
    assert group.message in page.words
    (missed,) = data["missed"]
    assert missed["count"] == 3 and page.words.count("no consumer 02:00-02:15") == 1, "three slots in one line"
    assert "Mark as seen" in page.words
    with world.history.database.writing() as db:
        db.execute_sql("INSERT INTO deploys VALUES ('before', 1), ('31bb9c4f77aa', ?)", (clock.now - 90,))
    world.hire("borneo", 4123)
    world.record()
    charts = re.findall(r'aria-label="([^"]*)" data-tips', admin.get("/monitor/").text)
    assert len(charts) == 3 and all("new code 31bb9c4f77aa at 07:58" in each for each in charts)
    assert sum("consumer started on borneo at 08:00" in each for each in charts) == 3, "each chart marks it"
    assert "new code 31bb9c4f77aa at 07:58" in admin.get("/monitor/schedules/periodic.heartbeat").text
    seen = admin.follow(admin.post("/monitor/seen")).words
    assert "jobs failed" not in seen and "What fails" not in seen and "Mark as seen" not in seen
    clock.now += 30 * 86400  # nothing of it is news any more
    assert "What fails" not in world.browser("ana").get("/monitor/?fragment=now").words


def test_a_disk_that_is_nearly_full_is_told(empty: World, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = empty.browser("ana")
    assert "of disk are left" not in admin.get("/monitor/").words
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=300 << 20))
    assert "MB of disk are left for the queue." in admin.get("/monitor/").words


def test_an_empty_deployment_is_told_how_to_begin(empty: World) -> None:
    admin = empty.browser("ana")
    for path, words in (
        ("/", "No consumer is running."), ("/tasks", "deliver_webhook"), ("/schedules", "@huey.periodic_task"),
        ("/errors", ""), ("/workers", "duey worker"),
    ):  # fmt: skip
        page = admin.get(f"/monitor{path}")
        assert page.status == 200 and words in page.words, path


def test_errors_link_to_their_jobs_and_are_marked(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/errors")
    group = world.history.error_groups("open").groups[0]
    assert "new since your last visit" in page.words and f"errors/{group.fingerprint}" in page.text
    for mark, state in (("mute", "muted"), ("reopen", "open"), ("fix", "fixed")):
        assert admin.post(f"/monitor/errors/{group.fingerprint}/{mark}").status == 303
        marked = world.history.error_group(group.fingerprint)
        assert marked and marked.state == state
    assert group.fingerprint not in admin.get("/monitor/errors?fragment=list").text
    assert group.fingerprint in admin.get("/monitor/errors?state=fixed").text
    undone = admin.follow(
        admin.post(verb(admin.follow(admin.post(f"/monitor/errors/{group.fingerprint}/mute")), "Undo"))
    )
    assert "Marked as fixed" in undone.words, "back to what it was"
    one = admin.get(f"/monitor/errors/{group.fingerprint}")
    assert f"q=group%3A{group.fingerprint}+since%3A1h" in one.text
    assert "ana fix error" in one.words and "Retry the" in one.words and "Whole traceback" in one.words
    asked = admin.post("/monitor/jobs", one.hidden() | {"verb": "retry"})
    assert re.search(r"Retry \d+ jobs\?", asked.words) and "state failed" in asked.words, "none that has succeeded"
    data = admin.get(f"/monitor/errors/{group.fingerprint}.json").json
    assert {*data["by_state"]} <= {"failed", "retrying"} and data["jobs"][0] == "retrying-1"
    assert admin.get("/monitor/errors/none").status == 404
    for address in ("none/mute", f"{group.fingerprint}/burn"):
        assert admin.post(f"/monitor/errors/{address}").status == 404


def test_a_fixed_error_that_comes_back_says_so(world: World, admin: Browser, clock: Clock) -> None:
    for job_id in ("first", "second"):
        clock.now += 10
        world.enqueue("fail", job_id, "as told", priority=99)
        world.finish(world.begin())
        world.record()
        if job_id == "first":
            (group,) = [each for each in world.history.error_groups().groups if each.type == "RuntimeError"]
            world.history.mark_group(group.fingerprint, "fixed")
    assert "regressed" in admin.get("/monitor/errors").words and "regressed" in admin.get("/monitor/").words


def test_tasks_say_what_waits_and_runs_now_and_what_they_cost_in_all(world: World, admin: Browser) -> None:
    data = admin.get("/monitor/tasks.json").json
    assert data["running"]["tasks.deliver_webhook"] == 1 and data["waiting"]["tasks.deliver_webhook"] == 1
    assert data["waiting"]["tasks.import_csv"] == 2 and 0 < data["utilization"] < 1
    page = admin.get("/monitor/tasks")
    assert '<a href="/monitor/jobs?task=tasks.deliver_webhook&amp;state=running">1</a>' in page.text
    assert re.search(r"4 workers would have been busy .* % of the time", page.words.replace("6 workers", "4 workers"))
    for sort in ("waiting", "running", "share", "memory"):
        assert admin.get(f"/monitor/tasks?sort={sort}").status == 200, sort
    first = admin.get("/monitor/tasks.json?sort=waiting").json["tasks"][0]["qualname"]
    assert first == "tasks.import_csv"


def test_all_consumers_are_quieted_after_a_question(world: World, admin: Browser) -> None:
    assert "Quiet 1 consumer?" in admin.post("/monitor/workers/quiet").words, "the other is quiet already"
    assert (
        "1 consumer asked to take no more jobs"
        in admin.follow(admin.post("/monitor/workers/quiet", {"sure": "1"})).words
    )
    assert all(each.quiet for each in world.control.workers() if each.alive)
    assert "All consumers are quiet already" in admin.follow(admin.post("/monitor/workers/quiet")).words


def test_what_changed_is_one_list(world: World, admin: Browser, clock: Clock) -> None:
    admin.post("/monitor/tasks/add/pause")
    story = Story(clock.now)
    for n in range(40):
        at, run_s = (-3600.0 - n, 3.0) if n < 10 else (-3 * 86400.0 - n, 0.1)
        story.enqueue(f"slow-{n}", at - run_s, task="tasks.report")
        story.done(f"slow-{n}", at - run_s, at, task="tasks.report")
    world.history.recorder(Queue(story.events)).turn()
    with world.history.database.writing() as db:
        db.execute_sql("INSERT INTO deploys VALUES ('before', 1), ('31bb9c4f77aa', ?)", (clock.now - 90,))
    page, data = admin.get("/monitor/changes"), admin.get("/monitor/changes.json").json
    kinds = [each["kind"] for each in data["changes"]]
    assert {"new code", "new error", "incident", "pause task"} <= {*kinds} and "log in" not in kinds
    times = [each["at"] for each in data["changes"]]
    assert times == sorted(times, reverse=True) and min(times) >= "2027-01-14T08:00:00"
    assert [each["task"] for each in data["slower"]] == ["report"] and "Slower tasks" in page.words
    assert "31bb9c4f77aa" in page.words and "pause task tasks.add ana" in page.words
    heat = admin.get("/monitor/tasks/tasks.report").text.partition('class="chart heat"')[2].partition("</svg>")[0]
    assert "; new code 31bb9c4f77aa at " in heat and 'class="event"' in heat, "marked on the map of run times as well"
    week = admin.get("/monitor/changes.json?window=7d").json["changes"]
    assert len(week) > len(kinds)
    assert '<a href="/monitor/changes">' in admin.get("/monitor/").text


def test_tasks_are_sorted_by_what_they_cost(world: World, admin: Browser) -> None:
    def names(page: str) -> list[str]:
        return re.findall(r'<tr data-id="([^"]*)"', admin.get(f"/monitor/tasks{page}").text)

    assert [name for name in names("") if name != "tasks.gone"][:4] == [
        each.qualname for each in world.history.tasks() if each.total_run_ms
    ][:4]
    assert names("?sort=failed")[0] == "tasks.deliver_webhook"
    assert names("?q=mail") == ["tasks.send_email"]


def test_a_task_is_run_from_its_form(world: World, admin: Browser, clock: Clock) -> None:
    page = admin.get("/monitor/tasks/add")
    assert 'name="p:a"' in page.text and page.words.count("required") == 2
    for more, state, eta in (
        ({}, "queued", None), ({"after": "15min"}, "scheduled", clock.now + 900),
        ({"at": "2030-01-31T14:00"}, "scheduled", 1_896_098_400),
    ):  # fmt: skip
        made = admin.post("/monitor/tasks/add/run", {"p:a": "1", "p:b": "2", **more})
        job = world.control.job(made.headers["location"].rpartition("/")[2])
        assert (job.kwargs, job.state, job.eta) == ({"a": 1, "b": 2}, state, eta)
    before = world.control.counts()
    for form, said in (
        ({"p:a": '"x"'}, "expected an integer"), ({"p:a": "x"}, "expected JSON for int"),
        ({"p:a": "1", "after": "soon"}, "expected a length such as 90s"),
        ({"p:a": "1", "at": "soon"}, "expected a time such as"),
        ({"p:a": "1", "after": "5s", "at": "2030-01-31T14:00"}, "found both"),
    ):  # fmt: skip
        answer = admin.post("/monitor/tasks/add/run", {"p:b": "2", **form})
        assert answer.status == 422 and said in answer.words, form
    assert 'name="p:a" value="1"' in answer.text, "what was typed is kept"
    assert world.control.counts() == before


# schedules


def test_schedules_say_when_for_how_long_and_what_became_of_their_slots(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/schedules")
    row = page.text.partition('data-id="periodic.heartbeat"')[2].partition("</tr>")[0]
    assert row.count("<title>") == 60
    assert row.count("missed: no consumer 02:00-02:15</title>") == 3 and "late by 4 s</title>" in row
    assert re.search(r"then \d\d:\d\d(, \d\d:\d\d){3} \(UTC\)<", row), "with the next one that makes five"
    assert re.search(r'<td class="num wide">[\d.]+ ms</td>', row), "the average run time"
    wrong = page.words.partition("Missed, late and failed runs")[2]
    places = [wrong.index(f"heartbeat {each}") for each in ("missed: no consumer", "late by 4 s", "skipped: the run")]
    assert places == sorted(places), "missed ones first"


HEARTBEAT = "/monitor/schedules/periodic.heartbeat"


def test_a_schedule_has_a_page_with_its_runs_and_who_changed_it(world: World, admin: Browser, clock: Clock) -> None:
    admin.post(f"{HEARTBEAT}/pause")
    page, data = admin.get(HEARTBEAT), admin.get(f"{HEARTBEAT}.json").json
    assert "ana pause schedule" in page.words and "none while it is paused" in page.words
    assert len(data["runs"]) == 50 and re.search(r'aria-label="Run times of \d+ runs, the longest', page.text)
    older = admin.get(unescape(re.search(r'href="([^"]+)" rel="next"', page.text)[1]))  # type: ignore[index]
    shown = [
        each
        for page in (page, older)
        for each in re.findall(r"<tr><td>(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)", page.text)
    ]
    assert len(shown) == 60 and shown == sorted(set(shown), reverse=True)
    missed = admin.get(f"{HEARTBEAT}?outcome=missed")
    assert len(re.findall(r"<tr><td>\d{4}-", missed.text)) == 3 and "?outcome=missed&before" not in missed.text
    for query, status in (("outcome=x", 400), ("before=x", 400), ("before=nan", 200)):
        assert admin.get(f"{HEARTBEAT}?{query}").status == status, query
    assert admin.get("/monitor/schedules/no-such").status == 404
    world.history.database.path.write_bytes(b"no database")
    assert "none while it is paused" in admin.get(HEARTBEAT).words, "without the history, too"


def verb(page: Answer, label: str) -> str:
    """Where the button with this label posts to."""
    found = re.search(rf'formaction="([^"]+)"[^>]*>{re.escape(label)}</button>', page.text)
    assert found, (label, page.words)
    return unescape(found[1])


def test_missed_slots_are_run_together_or_dismissed(world: World, admin: Browser) -> None:
    asked = admin.post(verb(admin.get("/monitor/schedules"), "Run all 3"))
    assert "Run 3 missed slots of heartbeat?" in asked.words
    run = unescape(re.search(r'action="([^"]+run-missed[^"]+)"', asked.text)[1])  # type: ignore[index]
    assert "3 missed slots of heartbeat queued" in admin.follow(admin.post(run, {"sure": "1"})).words
    outcomes = [slot.outcome for slot in world.control.schedules.get("periodic.heartbeat").slots]
    assert outcomes.count("running") == 3 and "missed" not in outcomes
    assert "0 missed slots of heartbeat queued" in admin.follow(admin.post(run, {"sure": "1"})).words
    page = admin.get(HEARTBEAT)
    assert "Run all" not in page.words and "late by 4 s" in page.words.partition("Missed, late")[2]
    late = verb(page, "Dismiss")
    assert "1 slot of periodic.heartbeat dismissed" in admin.follow(admin.post(late)).words
    assert "dismissed already" in admin.follow(admin.post(late)).words
    left = [each["outcome"] for each in admin.get("/monitor/schedules.json").json["to_look_at"]]
    assert left == ["skipped"], "late ones are dismissed, missed ones run"
    assert admin.get(f"{HEARTBEAT}.json?outcome=late").json["runs"], "it stays in the list of runs"
    assert admin.post(f"{HEARTBEAT}/dismiss?outcome=late&first=x").status == 400
    trail = [(each.action, each.count) for each in world.access.audit.page(limit=2)]
    assert trail == [("dismiss slots", 1), ("run schedule", 3)]


def test_a_missed_slot_is_run_once_asked(world: World, admin: Browser) -> None:
    missed = next(slot for slot in world.control.schedules.get("periodic.heartbeat").slots if slot.outcome == "missed")
    ran = admin.post(f"{HEARTBEAT}/run", {"slot": str(missed.at)})
    assert ran.headers["location"].startswith("/monitor/jobs/periodic.heartbeat")
    for slot in (str(missed.at), "1700000000", "x"):
        assert "othing was run" in admin.follow(admin.post(f"{HEARTBEAT}/run", {"slot": slot})).words, slot
    slots = world.control.schedules.get("periodic.heartbeat").slots
    assert next(slot for slot in slots if slot.at == missed.at).outcome == "running"
    assert "Run all 2" in admin.get("/monitor/schedules").words


def test_a_pause_can_be_undone_where_it_is_told(world: World, admin: Browser) -> None:
    for path, paused in (
        ("/tasks/add", lambda: world.control.task("add").paused),
        (HEARTBEAT.removeprefix("/monitor"), lambda: world.control.schedules.get("periodic.heartbeat").paused),
        ("/queues/default", lambda: world.control.queues()[0].paused),
    ):
        told = admin.follow(admin.post(f"/monitor{path}/pause"))
        assert paused(), path
        resumed = admin.follow(admin.post(verb(told, "Undo")))
        assert not paused() and "Undo" not in resumed.words, path
    for forged in (
        "/monitor/jobs/failed-0/delete", "https://evil.test/resume", "/monitor/../x/resume",
        "/monitor/jobs/failed-0/delete?sure=1&x=/resume", "/monitor/jobs/failed-0/cancel#/resume", ["/resume"],
    ):  # fmt: skip
        admin.post("/monitor/tasks/add/pause")
        (name,) = [each for each in admin.jar if "message" in each]
        admin.jar[name] = quote(json.dumps(["good", "Look", forged]))
        page = admin.get("/monitor/tasks")
        assert "Look" in page.words and "Undo" not in page.words, forged


# workers and queues


def test_workers_are_asked_and_the_unusual_stands_first(world: World, admin: Browser, clock: Clock) -> None:
    page, first = admin.get("/monitor/workers"), str(world.presences[0].n)
    assert "4 of 4 busy" in page.words
    assert "as usual" in page.words and "nothing to compare with yet" in page.words
    ratios = [float(each) for each in re.findall(r"([\d.]+)× usual", page.text)]
    assert len(ratios) > 1 and ratios == sorted(ratios, reverse=True)
    assert "Gone in the last 24 h" in page.words and "atlas 3988" in page.words
    assert '<a href="/monitor/jobs/sum">add</a>' in page.text, "what it was doing"
    assert "code 8e02d17" in page.words and "code 31bb9c4" in page.words
    assert page.words.count("other code than the newest") == 1
    workers = type(world.control).workers
    with pytest.MonkeyPatch.context() as patch:  # a host of a queue on Redis
        off = [dataclasses.replace(each, clock_ahead_s=-90.0) for each in workers(world.control)]
        patch.setattr(type(world.control), "workers", lambda control: off)
        assert admin.get("/monitor/workers").words.count("clock 90 s behind") == 2
        for age_s, number in ((8, 0), (10, 2)):  # the lease is 15 s, and a heartbeat comes every 3 s
            off[:] = [dataclasses.replace(each, heartbeat_at=clock.now - age_s) for each in off]
            assert admin.get("/monitor/workers").words.count("no heartbeat") == number, age_s
    world.hire("atlas", 99_994_120, "other")
    both = admin.get("/monitor/workers").words
    assert "8 workers" not in both and both.count("Stop…") == 2, "two processes of one consumer"
    assert re.search(r"worker \d+ as pid 99994121 , worker \d+ as pid 99994120", both)
    admin.post(f"/monitor/workers/{first}/quiet")
    assert "is quiet already" in admin.follow(admin.post(f"/monitor/workers/{first}/quiet")).words
    assert "Stop atlas 99994121?" in admin.post(f"/monitor/workers/{first}/stop").words
    assert [world.huey.storage.control_signals(world.presences[n].n) for n in (0, -1)] == [(True, False)] * 2
    world.presences.pop().close()
    admin.post(f"/monitor/workers/{first}/stop", {"sure": "1"})
    assert world.huey.storage.control_signals(world.presences[0].n) == (True, True)
    world.presences.pop().close()
    assert "other code" not in admin.get("/monitor/workers").words
    world.presences[0].close()
    gone = admin.post(f"/monitor/workers/{first}/quiet")
    assert "already stopped: nothing was changed" in admin.follow(gone).words


def test_tasks_and_queues_are_paused_and_resumed(world: World, admin: Browser) -> None:
    def said(path: str) -> Answer:
        return admin.follow(admin.post(f"/monitor/{path}"))

    assert "add is paused" in said("tasks/add/pause").words
    assert "paused already: nothing was changed" in said("tasks/add/pause").words
    assert 'formaction="/monitor/queues/default/pause"' in admin.get("/monitor/workers").text
    assert "The queue default is paused" in said("queues/default/pause").words
    assert ("queue", "default") in world.huey.storage.pauses()
    assert "Paused: add, import_csv, the queue default." in admin.get("/monitor/").words
    again = said("queues/default/pause")
    assert "is paused already: nothing was changed" in again.words
    assert 'formaction="/monitor/queues/default/resume"' in again.text
    assert "The queue default is resumed" in said("queues/default/resume").words
    assert ("queue", "default") not in world.huey.storage.pauses()
    assert "No worker serves a queue 'nowhere'" in said("queues/nowhere/pause").words
    assert admin.post("/monitor/queues/default/quiet").status == 404


# the audit


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


def test_jobs_and_errors_are_offered_as_csv(world: World, viewer: Browser) -> None:
    for page, count, first in (
        (
            "jobs?state=failed&q=error:OverflowError",
            3,
            {"state": "failed", "args": "[1]", "error_type": "OverflowError"},
        ),
        ("jobs?state=running", 4, {"state": "running", "error_type": ""}),
        ("errors?state=open", 3, {"state": "open", "type": "ConnectionRefusedError"}),
        ("errors?state=all&task=import_csv", 3, {"task": "import_csv"}),
    ):
        shown = viewer.get(f"/monitor/{page}").text
        address = re.search(r'href="([^"]*\.csv[^"]*)"', shown)
        assert address
        answer = viewer.get(unescape(address[1]))
        name = page.partition("?")[0]
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert len(rows) == count and rows[0].items() >= first.items(), (page, rows[0])
        assert "hidden" not in answer.text, "secrets are redacted"
    for unknown in ("jobs.csv?q=since:soon", "errors.csv?state=shut"):
        assert viewer.get(f"/monitor/{unknown}").status == 422, "an empty file would say that there is nothing"


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
    monkeypatch.setattr("duey.monitor.web.pages.people.audit.CSV_LINES", 3)
    assert len(list(csv.DictReader(io.StringIO(viewer.get("/monitor/audit.csv?action=cancel").text, newline="")))) == 3
