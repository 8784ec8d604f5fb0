"""Who gets in where: every page and every action, for nobody, a viewer and an admin."""

from __future__ import annotations

import re

import pytest

from tests.monitor.web.client import Browser
from tests.monitor.web.world import PASSWORDS, World, make_world
from tests.support import rows

PAGES = {
    "/": "overview",
    "/jobs": "list",
    "/errors": "list",
    "/tasks": "list",
    "/tasks/deliver_webhook": "figures",
    "/schedules": "list",
    "/schedules/new?task=add": "",
    "/schedules/monday-report/edit": "",
    "/workers": "list",
    "/audit": "list",
    "/account": "",
    "/access": "list",
    "/access/new-account": "",
    "/access/new-token": "",
}
FOR_ADMINS = {"/access", "/access/new-account", "/access/new-token"}


def job_with(world: World, state: str) -> str:
    """The id of a job in this state that engine and books both know."""
    known = {row.job.id for row in world.history.rows}
    return next(job.id for job in world.control.all.values() if job.state == state and job.id in known)


def json_of(path: str) -> str:
    """The address of a page's data."""
    place, _, query = path.partition("?")
    return f"/monitor{'/overview' if place == '/' else place}.json" + (f"?{query}" if query else "")


@rows("path", PAGES)
def test_nobody_is_led_to_the_log_in_and_back(anonymous: Browser, path: str) -> None:
    path += "&x=1%262" if "?" in path else "?x=1%262"
    answer = anonymous.get(f"/monitor{path}")
    assert answer.status == 303
    assert answer.headers["location"].startswith("/monitor/login?next=%2Fmonitor%2F")
    assert answer.body == b""
    form = anonymous.follow(answer)
    assert form.hidden()["next"] == f"/monitor{path}"


@rows("path", PAGES)
def test_nobody_gets_data_or_fragments(anonymous: Browser, path: str) -> None:
    for address in (json_of(path), f"/monitor{path}{'&' if '?' in path else '?'}fragment=list"):
        answer = anonymous.get(address)
        assert answer.status == 401
        assert set(answer.json) == {"status", "title", "detail"}


def test_nobody_learns_which_jobs_there_are(world: World, anonymous: Browser) -> None:
    known, unknown = (anonymous.get(f"/monitor/jobs/{job}") for job in (job_with(world, "failed"), "none"))
    assert known.status == unknown.status == 303
    assert anonymous.get("/monitor/no-such-page").status == 303


@rows("path", PAGES)
def test_viewer_and_admin_see_every_page(viewer: Browser, admin: Browser, path: str) -> None:
    if path in FOR_ADMINS:
        assert {viewer.get(f"/monitor{path}").status, viewer.get(json_of(path)).status} == {403}
    for browser in (admin,) if path in FOR_ADMINS else (viewer, admin):
        page = browser.get(f"/monitor{path}")
        assert page.status == 200
        assert page.text.count("<h1") == 1
        data = browser.get(json_of(path))
        assert data.status == 200
        assert data.headers["content-type"] == "application/json"


def test_a_viewer_is_offered_no_action_but_his_own(world: World, viewer: Browser) -> None:
    own = {"/monitor/jobs", *(f"/monitor{path}" for path in own_actions())}
    job = job_with(world, "failed")
    for path in [*PAGES, f"/jobs/{job}", "/tasks/import_csv"]:
        text = viewer.get(f"/monitor{path}").text
        offered = set(re.findall(r'formaction="([^"]*)"', text))
        assert offered <= own, path
        assert 'name="verb"' not in text
        assert not re.search(r'action="[^"]*/(run|retry|pause)"', text)


def every_action(world: World) -> dict[str, dict[str, str]]:
    """Each action of the site, on something that it could act on."""
    failed, queued = job_with(world, "failed"), job_with(world, "queued")
    return {
        f"/jobs/{failed}/retry": {},
        f"/jobs/{queued}/cancel": {},
        f"/jobs/{failed}/again": {},
        f"/jobs/{failed}/delete": {},
        "/jobs": {"verb": "retry", "state": "failed", "every": "1", "sure": "1", "until": "9999999999"},
        "/errors/deliver_webhook0/mute": {},
        "/tasks/add/run": {"p:a": "1", "p:b": "2"},
        "/tasks/add/pause": {},
        "/tasks/import_csv/resume": {},
        "/schedules/periodic.heartbeat/run": {},
        "/schedules/periodic.heartbeat/pause": {},
        "/schedules/monday-report/resume": {},
        "/schedules/monday-report/change": {"every": "1h"},
        "/schedules": {"task": "add", "name": "new", "cron": "@daily", "p:a": "1", "p:b": "2"},
        "/schedules/monday-report/remove": {"sure": "1"},
        "/workers/1/quiet": {},
        "/workers/1/stop": {"sure": "1"},
        "/queues/default/pause": {},
        "/accounts": {"name": "eva", "role": "viewer"},
        "/accounts/vera/admin": {"seen": world.access.accounts.get("vera").version, "sure": "1"},
        "/tokens": {"name": "ci", "scope": "read", "days": "30"},
        "/tokens/ci/revoke": {"seen": "1", "sure": "1"},
    }


def own_actions() -> dict[str, dict[str, str]]:
    """Those that a viewer may do as well."""
    return {
        "/logout": {},
        "/logout-everywhere": {},
        "/account/password": {"password": PASSWORDS["ana"], "new_password": "a new long sentence"},
        "/account/end": {"session": "1"},
        "/account/end-others": {},
        "/theme": {"theme": "dark"},
    }


def test_the_list_of_actions_is_whole(world: World) -> None:
    """Every POST of the site is in one of the lists above, so that none escapes these tests."""
    rules = [route.rule for route in world.site.routes if route.method == "POST"]
    listed = [*every_action(world), *own_actions(), "/login"]
    for rule in rules:
        pattern = re.sub(r"<[^>]*>", "[^/]+", rule.removeprefix("/monitor"))
        assert [path for path in listed if re.fullmatch(pattern, path)], rule


def snapshot(world: World) -> object:
    """Everything that an action could change."""
    control = world.control
    return (
        {job.id: job for job in control.all.values()},
        set(control.paused),
        list(control.asked),
        list(world.history.rows),
        list(world.history.groups),
        list(control.schedules.all()),
        [each.version for each in world.access.accounts.list()],
        [each.version for each in world.access.tokens.list()],
        world.access.audit.page(limit=500),
    )


FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": None, "Origin": "http://evil.test"},
    {"Sec-Fetch-Site": None, "Origin": "null"},
    {"Sec-Fetch-Site": None, "Origin": "https://duey.localhost.evil.test"},
)


def test_no_action_without_its_proof(world: World, admin: Browser) -> None:
    before = snapshot(world)
    other = world.browser("vera").proof
    for path, form in {**every_action(world), **own_actions()}.items():
        for proof in ("", "0" * 64, other, "ä"):
            assert admin.post(f"/monitor{path}", form, proof=proof).status == 403, path
        body = admin.call("POST", f"/monitor{path}", headers={"Sec-Fetch-Site": "same-origin"})
        assert body.status == 403, path
    assert snapshot(world)[:8] == before[:8]  # type: ignore[index]


def test_no_action_from_another_site(world: World, admin: Browser) -> None:
    before = snapshot(world)
    for path, form in {**every_action(world), **own_actions()}.items():
        for headers in FOREIGN:
            answer = admin.post(f"/monitor{path}", form, headers=headers)  # type: ignore[arg-type]
            assert answer.status == 403, (path, headers)
    assert snapshot(world) == before


def test_no_action_by_a_viewer(world: World, viewer: Browser) -> None:
    before = snapshot(world)
    for path, form in every_action(world).items():
        answer = viewer.post(f"/monitor{path}", form)
        assert answer.status == 403, path
        assert "vera is a viewer" in answer.words
    assert snapshot(world) == before


def test_no_action_by_nobody(world: World, anonymous: Browser) -> None:
    before = snapshot(world)
    anonymous.get("/monitor/login")
    for path, form in {**every_action(world), **own_actions()}.items():
        answer = anonymous.post(
            f"/monitor{path}", form, headers={"Referer": "http://duey.localhost/monitor/jobs?state=failed"}
        )
        assert answer.status == 303, path
        assert answer.headers["location"] == "/monitor/login?next=%2Fmonitor%2Fjobs%3Fstate%3Dfailed"
    assert snapshot(world) == before


def test_a_get_on_an_action_changes_nothing(world: World, admin: Browser) -> None:
    before = snapshot(world)
    for path in every_action(world):
        if path not in PAGES:
            assert admin.get(f"/monitor{path}").status in (404, 405), path
    assert snapshot(world) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": None, "Origin": "http://duey.localhost"},
        {"Sec-Fetch-Site": None, "Origin": "https://jobs.example.org"},
        {"Sec-Fetch-Site": None},
    ],
)
def test_what_comes_from_our_own_pages_is_done(tmp_path, clock, headers) -> None:
    world = make_world(tmp_path, clock, public_url="https://jobs.example.org")
    admin = world.browser("ana")
    assert admin.post("/monitor/tasks/add/pause", headers=headers).status == 303
    assert world.control.paused == {"tasks.add"}


def test_every_action_is_on_the_audit(world: World, admin: Browser) -> None:
    for path, form in every_action(world).items():
        before = world.access.audit.page(limit=1)[0].id
        answer = admin.post(f"/monitor{path}", form)
        makes_secret = path in ("/accounts", "/tokens")  # shown in the answer itself, once
        assert answer.status == (200 if makes_secret else 303), (path, answer.text)
        kind = answer.text if makes_secret else admin.follow(answer).text
        lines = world.access.audit.page(limit=1)
        done = lines[0].id > before
        assert done or "nothing was changed" in kind.lower() or "nothing was run" in kind.lower(), path
        if done:
            assert (lines[0].who, lines[0].source, lines[0].address) == ("ana", "web", "192.0.2.7")
