"""The list of jobs: tabs, filter, chips, pages that lose nothing, and verbs on many in two steps."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from duey.model.job import Page
from duey.monitor.history import JobRow
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.conftest import Clock
from tests.monitor.web.world import World


def ids(page: Answer) -> list[str]:
    return re.findall(r'<tr data-id="([^"]*)"', page.text)


def failed(world: World) -> list[str]:
    return [row.job.id for row in world.history.rows if row.job.state == "failed"]


def test_tabs_count_live_states_by_the_engine(world: World, admin: Browser) -> None:
    counts = world.control.counts()
    words = admin.get("/monitor/jobs").words
    for label, number in (("Running", counts.running), ("Queued", counts.queued), ("Retrying", counts.retrying)):
        assert f"{label} {number}" in words


def test_a_tab_shows_its_state_alone(world: World, admin: Browser) -> None:
    assert ids(admin.get("/monitor/jobs?state=failed")) == failed(world)[:25]
    running = [job.id for job in world.control.all.values() if job.state == "running"]
    assert set(ids(admin.get("/monitor/jobs?state=running"))) == set(running)


def test_what_runs_is_shown_as_running_though_the_books_say_queued(world: World, admin: Browser) -> None:
    running = {job.id for job in world.control.all.values() if job.state == "running"}
    shown = {each["job"]["id"]: each["job"]["state"] for each in admin.get("/monitor/jobs.json?limit=60").json["jobs"]}
    assert {shown[each] for each in running} == {"running"}
    assert not running & set(ids(admin.get("/monitor/jobs?state=queued&q=since:9h")))


def test_how_long_a_job_has_run_is_told_by_its_worker(world: World, admin: Browser) -> None:
    job = next(job for job in world.control.all.values() if job.progress)
    world.control.all[job.id] = replace(job, started_at=None)  # as the engine's list has it
    for address in ("/monitor/jobs?state=running", "/monitor/jobs"):
        row = re.search(rf'<tr data-id="{job.id}">.*?</tr>', admin.get(address).text, re.DOTALL)
        assert row and re.search(r'data-kind="run">6 min</time>', row[0]), address


def test_pages_lose_nothing_while_jobs_arrive(world: World, admin: Browser) -> None:
    expected = failed(world)
    assert len(expected) > 25
    first = admin.get("/monitor/jobs?state=failed")
    newest = world.history.rows[0]
    late = replace(newest.job, id="late", state="failed", error=None)
    world.history.rows.insert(0, JobRow(newest.n + 1, late, newest.changed_at))
    address = re.search(r'<a class="button" href="([^"]*)" rel="next">', first.text)
    assert address
    second = admin.get(address[1].replace("&amp;", "&"))
    assert ids(first) + ids(second) == expected[:50]


def test_a_filter_stands_in_the_address_and_its_chips_take_it_away(world: World, admin: Browser) -> None:
    page = admin.get("/monitor/jobs", q="task:send_email args.to:bob@ since:6h", state="done")
    shown = [row for row in world.history.rows if row.job.id in ids(page)]
    assert shown and all(row.job.kwargs["to"].startswith("bob@") for row in shown)
    chips = re.findall(r'<li><a href="([^"]*)" title="Remove">([^<]*) <', page.text)
    assert [text for _, text in chips] == ["task:send_email", "args.to:bob@", "since:6h"]
    assert "args.to" not in chips[1][0] and "state=done" in chips[1][0]
    assert 'value="task:send_email args.to:bob@ since:6h"' in page.text


def test_what_a_filter_cannot_mean_is_told(admin: Browser) -> None:
    words = admin.get("/monitor/jobs", q="since:yesterday", state="faild").words
    assert "since: expected a length" in words and "did you mean failed?" in words


def test_a_foreign_cursor_is_refused(admin: Browser) -> None:
    assert admin.get("/monitor/jobs?cursor=x1").status == 400


def test_empty_lists_say_what_would_be_here(empty: World) -> None:
    browser = empty.browser("ana")
    assert "Run a task from its page under Tasks" in browser.get("/monitor/jobs").words
    assert "There is none now" in browser.get("/monitor/jobs?state=failed").words
    assert "Remove a condition above" in browser.get("/monitor/jobs?q=nothing").words


def test_all_that_match_are_retried_in_two_steps(world: World, admin: Browser) -> None:
    admin.get("/monitor/jobs?state=failed")
    wanted = failed(world)
    for job_id in wanted:
        world.control.all[job_id] = next(row.job for row in world.history.rows if row.job.id == job_id)
    form = {"verb": "retry", "state": "failed", "every": "1"}
    asked = admin.post("/monitor/jobs", form)
    assert asked.status == 200
    assert f"Retry {len(wanted)} jobs?" in asked.words
    assert {world.control.all[each].state for each in wanted} == {"failed"}, "nothing is done before the second step"
    done = admin.post("/monitor/jobs", {**asked.hidden(), "proof": admin.proof})
    assert f"{len(wanted)} jobs queued again" in admin.follow(done).words
    assert {world.control.all[each].state for each in wanted} == {"queued"}
    line = world.access.audit.page(limit=1)[0]
    assert (line.action, line.count) == ("retry jobs", len(wanted))


def test_what_changed_after_the_question_is_left_out(world: World, admin: Browser) -> None:
    asked = admin.post("/monitor/jobs", {"verb": "delete", "state": "failed", "every": "1"}).hidden()
    late = next(row for row in world.history.rows if row.job.state == "failed")
    at = world.history.rows.index(late)
    world.history.rows[at] = replace(late, changed_at=world.history.clock() + 60)
    admin.post("/monitor/jobs", asked)
    assert failed(world) == [late.job.id]


@pytest.mark.parametrize("state", ["queued", "scheduled", "running"])
def test_what_came_after_the_question_was_not_meant(world: World, admin: Browser, clock: Clock, state: str) -> None:
    meant = [job.id for job in world.control.all.values() if job.state == state]
    asked = admin.post("/monitor/jobs", {"verb": "cancel", "state": state, "every": "1"}).hidden()
    clock.now += 5
    late = replace(
        world.control.all[meant[0]],
        id="late",
        enqueued_at=clock.now,
        started_at=None if state != "running" else clock.now,
    )
    world.control.all["late"] = late
    said = admin.follow(admin.post("/monitor/jobs", asked)).words
    assert f"{len(meant)} job" in said and "left alone" not in said
    assert world.control.all["late"] == late


def test_ticked_jobs_are_acted_on_and_others_are_not(world: World, admin: Browser) -> None:
    other = failed(world)[2:]
    ticked = re.findall(r'name="id" value="([^"]*)"', admin.get("/monitor/jobs?state=failed").text)[:2]
    asked = admin.post("/monitor/jobs", {"verb": "delete", "id": ticked})
    assert "Delete 2 jobs?" in asked.words and all(f'value="{each}"' in asked.text for each in ticked)
    sure = {"verb": "delete", "id": ticked, "sure": "1"}
    assert "2 jobs deleted" in admin.follow(admin.post("/monitor/jobs", sure)).words
    assert failed(world) == other


def test_a_job_whose_state_has_changed_is_counted_and_left_alone(world: World, admin: Browser) -> None:
    queued = [job.id for job in world.control.all.values() if job.state == "queued"][:3]
    world.control.finish(queued[0])
    world.control.start(queued[1])  # could be asked to stop, but that is not what was seen and meant
    sure = {"verb": "cancel", "id": [f"queued {each}" for each in queued], "sure": "1"}
    said = admin.follow(admin.post("/monitor/jobs", sure)).words
    assert "1 job canceled" in said and "2 jobs left alone" in said
    assert [world.control.all[each].state for each in queued] == ["done", "running", "canceled"]


def test_all_of_a_state_means_those_that_are_still_in_it(world: World, admin: Browser, monkeypatch) -> None:
    waiting = [job.id for job in world.control.all.values() if job.state == "retrying"]
    asked = admin.post("/monitor/jobs", {"verb": "retry", "state": "retrying", "every": "1"}).hidden()
    listing = world.control.jobs

    def and_then_one_ends(*asked: object) -> Page:
        page = listing(*asked)  # type: ignore[arg-type]
        world.control.finish(waiting[0])
        return page

    monkeypatch.setattr(world.control, "jobs", and_then_one_ends)
    said = admin.follow(admin.post("/monitor/jobs", asked)).words
    assert f"{len(waiting) - 1} job" in said and "1 job left alone" in said
    assert world.control.all[waiting[0]].state == "done"


def test_forms_that_ask_nothing_change_nothing(world: World, admin: Browser) -> None:
    assert "No job was selected" in admin.follow(admin.post("/monitor/jobs", {"verb": "retry"})).words
    assert admin.post("/monitor/jobs", {"verb": "burn"}).status == 400
    bad = {"verb": "delete", "every": "1", "q": "since:never", "sure": "1", "until": "9"}
    assert admin.post("/monitor/jobs", bad).status == 422
    assert admin.post("/monitor/jobs", {"verb": "delete", "every": "1", "sure": "1", "until": "x"}).status == 400
    assert len(failed(world)) > 25
