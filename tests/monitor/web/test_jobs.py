"""The list of jobs: tabs, filter, chips, pages that lose nothing, and verbs on many in two steps."""

from __future__ import annotations

import re
from typing import Any

import pytest

from duey.model.job import Page
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.scene import MAIL
from tests.monitor.web.world import World


def ids(page: Answer) -> list[str]:
    return re.findall(r'<tr data-id="([^"]*)"', page.text)


def test_tabs_count_and_show_live_states_by_the_queue(world: World, admin: Browser) -> None:
    counts, words = world.control.counts(), admin.get("/monitor/jobs").words
    for state in ("running", "queued", "retrying", "blocked"):
        assert f"{state.capitalize()} {getattr(counts, state)}" in words
        assert ids(admin.get(f"/monitor/jobs?state={state}")) == world.ids(state)
    running = world.ids("running")
    shown = {each["job"]["id"]: each["job"]["state"] for each in admin.get("/monitor/jobs.json?limit=60").json["jobs"]}
    assert {shown[each] for each in running} == {"running"}, "though the history says queued"
    assert not {*running} & {*ids(admin.get("/monitor/jobs?state=queued&q=since:9h"))}
    for address in ("/monitor/jobs?state=running", "/monitor/jobs"):
        row = re.search(r'<tr data-id="running-0">.*?</tr>', admin.get(address).text, re.DOTALL)
        assert row and re.search(r'data-kind="run">6 min</time>', row[0]), "as long as its worker says"
    world.presences[0].close()
    assert ids(admin.get("/monitor/jobs?state=running")) == running, "also where its worker says nothing"


def test_pages_lose_nothing_while_jobs_arrive(world: World, admin: Browser) -> None:
    first = admin.get("/monitor/jobs?state=failed")
    expected = [each["job"]["id"] for each in admin.get("/monitor/jobs.json?state=failed&limit=200").json["jobs"]]
    assert ids(first) == expected[:25] and len(expected) > 25
    world.enqueue("fail", "late", "as told", priority=99)
    world.finish(world.begin())
    world.record()
    address = re.search(r'<a class="button" href="([^"]*)" rel="next">', first.text)
    assert address
    assert ids(first) + ids(admin.get(address[1].replace("&amp;", "&"))) == expected
    assert ids(admin.get("/monitor/jobs?state=failed"))[0] == "late"
    assert admin.get("/monitor/jobs?cursor=x1").status == 400


def test_a_filter_stands_in_the_address_and_its_chips_take_it_away(world: World, admin: Browser) -> None:
    asked = "task:send_email args.to:bob@ since:6h"
    page = admin.get("/monitor/jobs", q=asked, state="done")
    assert ids(page) and {int(each.removeprefix("past-")) % 10 for each in ids(page)} == {1}
    chips = re.findall(r'<li><a href="([^"]*)" title="Remove">([^<]*) <', page.text)
    assert [text for _, text in chips] == asked.split()
    assert "args.to" not in chips[1][0] and "state=done" in chips[1][0] and f'value="{asked}"' in page.text
    words = admin.get("/monitor/jobs", q="since:yesterday", state="faild").words
    assert "since: expected a length" in words and "did you mean failed?" in words
    words = admin.get("/monitor/jobs", q="sku:A751 quue:slow https://example.org").words
    assert "sku:A751 is searched as text" in words and "an argument is args.sku:A751." in words
    assert "did you mean queue:slow?" in words and words.count("is searched as text") == 2
    nested = {ids(admin.get("/monitor/jobs", q=f"args.body.order:{n} state:failed"))[0] for n in (5, 7)}
    assert nested == {"failed-5", "failed-7"}
    running = admin.get("/monitor/jobs", q="args.1.order:2", state="running")
    assert ids(running) == ["running-1"], "also among those that run now"


def test_empty_lists_say_what_would_be_here(empty: World) -> None:
    browser = empty.browser("ana")
    assert "Run a task from its page under Tasks" in browser.get("/monitor/jobs").words
    assert "There is none now" in browser.get("/monitor/jobs?state=failed").words
    assert "Remove a condition above" in browser.get("/monitor/jobs?q=nothing").words


# verbs on many


def sure(browser: Browser, asked: dict[str, Any]) -> str:
    """What is said after the second step."""
    return browser.follow(browser.post("/monitor/jobs", asked)).words


def test_all_that_match_are_retried_in_two_steps(world: World, admin: Browser) -> None:
    wanted = world.ids("failed")
    asked = admin.post("/monitor/jobs", {"verb": "retry", "state": "failed", "every": "1", "q": "since:24h"})
    assert asked.status == 200 and f"Retry {len(wanted)} jobs?" in asked.words
    assert {world.state(each) for each in wanted} == {"failed"}, "nothing is done before the second step"
    assert f"{len(wanted)} jobs queued again" in sure(admin, {**asked.hidden(), "proof": admin.proof})
    assert {world.state(each) for each in wanted} == {"queued"}
    line = world.access.audit.page(limit=1)[0]
    assert (line.action, line.count) == ("retry jobs", len(wanted))


def test_jobs_that_do_not_need_an_action_are_left_alone_unless_their_tab_was_chosen(
    world: World, admin: Browser
) -> None:
    """A job that failed once and then succeeded still belongs to its error: what it did must not happen twice."""
    states = ("failed", "done", "canceled", "expired")
    counts = {state: each["number"] for state, each in admin.get("/monitor/jobs.json").json["counts"].items()}
    was_done = world.ids("done")
    asked = admin.post("/monitor/jobs", {"verb": "retry", "every": "1"})
    needy = sum(counts[state] for state in ("failed", "canceled", "expired"))
    assert f"Retry {needy} jobs?" in asked.words and f"{counts['failed']} failed" in asked.words
    assert re.search(rf"Left alone: .*{counts['done']} done", asked.words)
    assert "jobs queued again" in sure(admin, asked.hidden())
    assert world.ids("done") == was_done and not world.ids("failed")

    done = [f"done {each}" for each in was_done[:2]]
    asked = admin.post("/monitor/jobs", {"verb": "retry", "id": done})
    assert (
        "Retry 0 jobs?" in asked.words and "Left alone: 2 done" in asked.words and 'class="primary"' not in asked.text
    )
    assert "2 jobs left alone: to retry them as well, choose the tab" in sure(admin, {**asked.hidden(), "id": done})
    assert world.ids("done") == was_done
    asked = admin.post("/monitor/jobs", {"verb": "retry", "id": done, "state": "done"})
    assert "2 have succeeded and would run again" in asked.words
    assert "2 jobs queued again" in sure(admin, {**asked.hidden(), "id": done})

    live = ("running", "queued", "blocked", "retrying", "scheduled")
    standing = {each for state in live for each in world.ids(state)}
    assert standing
    sure(admin, admin.post("/monitor/jobs", {"verb": "delete", "every": "1"}).hidden())
    assert {each for state in live for each in world.ids(state)} == standing
    assert not any(world.ids(state) for state in states)


def test_what_changed_after_the_question_is_left_out(world: World, admin: Browser, clock: Clock) -> None:
    asked = admin.post("/monitor/jobs", {"verb": "delete", "state": "failed", "every": "1"}).hidden()
    clock.now += 5
    world.control.retry("failed-0")
    world.control.cancel("failed-0")
    world.control.retry("failed-0")
    while "failed-0" not in world.running:
        world.begin()
    world.huey.execute(world.running["failed-0"])
    world.record()
    sure(admin, asked)
    assert ids(admin.get("/monitor/jobs?state=failed")) == []
    assert world.state("failed-0") == "retrying"


@pytest.mark.parametrize("state", ["queued", "scheduled", "running"])
def test_what_came_after_the_question_was_not_meant(world: World, admin: Browser, clock: Clock, state: str) -> None:
    meant = world.ids(state)
    asked = admin.post("/monitor/jobs", {"verb": "cancel", "state": state, "every": "1"}).hidden()
    clock.now += 5
    world.enqueue("send_email", "late", kwargs=MAIL, priority=99, delay_s=60 if state == "scheduled" else None)
    if state == "running":
        world.begin()
    said = sure(admin, asked)
    assert f"{len(meant)} job" in said and "left alone" not in said
    assert world.state("late") == state and not world.control.job("late").reason


def test_ticked_jobs_are_acted_on_and_others_are_not(world: World, admin: Browser) -> None:
    before = ids(admin.get("/monitor/jobs?state=failed"))
    ticked = re.findall(r'name="id" value="([^"]*)"', admin.get("/monitor/jobs?state=failed").text)[:2]
    asked = admin.post("/monitor/jobs", {"verb": "delete", "id": ticked})
    assert "Delete 2 jobs?" in asked.words and all(f'value="{each}"' in asked.text for each in ticked)
    assert "2 jobs deleted" in sure(admin, {"verb": "delete", "id": ticked, "sure": "1"})
    assert ids(admin.get("/monitor/jobs?state=failed"))[:23] == before[2:]


def test_jobs_whose_state_has_changed_are_counted_and_left_alone(
    world: World, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticked = [world.enqueue("add", f"new-{n}", 1, 1, priority=99 - n) for n in range(3)]
    world.finish(world.begin())
    world.begin()  # could be asked to stop, but that is not what was seen and meant
    said = sure(admin, {"verb": "cancel", "id": [f"queued {each}" for each in ticked], "sure": "1"})
    assert "1 job canceled" in said and "2 jobs left alone" in said
    assert [world.state(each) for each in ticked] == ["done", "running", "canceled"]
    asked = admin.post("/monitor/jobs", {"verb": "retry", "state": "retrying", "every": "1"}).hidden()
    listing = world.control.jobs

    def and_then_one_ends(*asked: Any) -> Page:
        page = listing(*asked)
        if world.state("retrying-0") == "retrying":
            world.control.cancel("retrying-0")
        return page

    monkeypatch.setattr(world.control, "jobs", and_then_one_ends)
    said = sure(admin, asked)
    assert "1 job queued again" in said and "1 job left alone" in said
    assert world.state("retrying-0") == "canceled"


def test_forms_that_ask_nothing_change_nothing(world: World, admin: Browser) -> None:
    assert "No job was selected" in sure(admin, {"verb": "retry"})
    every = {"verb": "delete", "every": "1", "sure": "1"}
    for form, status in (
        ({"verb": "burn"}, 400),
        ({**every, "q": "since:never", "until": "9"}, 422),
        ({**every, "until": "x"}, 400),
    ):
        assert admin.post("/monitor/jobs", form).status == status, form
    assert len(ids(admin.get("/monitor/jobs?state=failed"))) == 25
