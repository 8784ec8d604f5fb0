"""Another history is recorded: every page says so, and names the host to whoever has logged in, and to nobody else."""

from __future__ import annotations

import re

import pytest

from tests.monitor.web.client import Browser
from tests.monitor.web.test_permissions import PAGES
from tests.monitor.web.world import World

OWNER = "boreas:/srv/monitor.db"


@pytest.fixture
def apart(world: World) -> World:
    """A web whose history does not own the events: another one was first."""
    world.control.storage.own_outbox("b" * 13, OWNER, take_over=True)
    world.record()
    return world


def addresses(world: World) -> list[str]:
    """A page of each route, and one that there is not."""
    group = world.history.error_groups().groups[0].fingerprint
    return [*PAGES, f"/jobs/{world.ids('failed')[0]}", f"/errors/{group}", "/nothing"]


def said(browser: Browser, path: str) -> list[str]:
    found = browser.get(f"/monitor{path}").text
    return re.findall(r'<p class="message bad" role="status">(.*?)</p>', found)


def test_every_page_says_where_the_history_is(apart: World) -> None:
    asked = addresses(apart)
    for rule in {route.rule for route in apart.site.routes if route.method == "GET" and route.rule.endswith(".html")}:
        pattern = re.sub(
            r"<[^>]*>", "[^/]+", rule.removeprefix("/monitor").replace("/overview", "/").removesuffix(".html")
        )
        is_known = any(re.fullmatch(pattern, path.partition("?")[0]) for path in asked)
        assert is_known or re.search(r"/login|/shared/|\.csv|/incident", rule), f"ask {rule} here as well"
    admin = apart.browser("ana")
    for path in asked:
        (sentence,) = said(admin, path)
        assert OWNER in sentence and "duey record --take-over" in sentence, path
    assert "what has ended is recorded on another host" in admin.get("/monitor/").text
    assert all(said(apart.browser("vera"), path) for path in ("/", "/jobs"))


def test_strangers_learn_no_names(apart: World) -> None:
    for path in ("/login", "/shared/x"):
        text = apart.browser().get(f"/monitor{path}").text
        assert "Another host keeps the history of this service" in text and OWNER not in text


def test_what_waits_and_runs_is_shown_all_the_same(apart: World) -> None:
    admin = apart.browser("ana")
    for state in ("queued", "running", "scheduled"):
        for job_id in apart.ids(state):
            assert job_id in admin.get(f"/monitor/jobs?state={state}").text


def test_where_the_events_are_recorded_nothing_is_said(world: World) -> None:
    world.record()
    assert said(world.browser("ana"), "/") == []
