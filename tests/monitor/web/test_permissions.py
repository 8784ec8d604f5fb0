"""Who gets in where: every page and every action, for nobody, a viewer and an admin."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from duey.monitor.history import JobFilter
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Browser
from tests.monitor.web.world import PASSWORDS, World, make_world
from tests.support import rows

PAGES = {
    "/": "overview", "/changes": "", "/jobs": "list", "/errors": "list", "/alerts": "list", "/tasks": "list",
    "/tasks/deliver_webhook": "figures", "/schedules": "list", "/schedules/new?task=add": "",
    "/schedules/preview?cron=@daily": "",
    "/schedules/monday-report/edit": "", "/schedules/periodic.heartbeat": "runs",
    "/workers": "list", "/audit": "list", "/account": "", "/account/second-factor": "", "/access": "list",
    "/access/new-account": "", "/access/new-token": "",
}  # fmt: skip
EVER = "first=0&last=9999999999"
FOR_ADMINS = {"/access", "/access/new-account", "/access/new-token"}
FOREIGN: tuple[dict[str, str | None], ...] = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": None, "Origin": "http://evil.test"},
    {"Sec-Fetch-Site": None, "Origin": "null"},
    {"Sec-Fetch-Site": None, "Origin": "https://duey.localhost.evil.test"},
)


def json_of(path: str) -> str:
    """The address of a page's data."""
    place, _, query = path.partition("?")
    return f"/monitor{'/overview' if place == '/' else place}.json" + (f"?{query}" if query else "")


def every_action(world: World) -> dict[str, dict[str, str]]:
    """Each action of the site, on something that it could act on."""
    worker = world.presences[0].n if world.presences else 1
    incident = next((each.incident.id for each in world.site.services.alerts.incidents("open").rows), "none")
    return {
        "/jobs/failed-0/retry": {}, "/jobs/queued-0/cancel": {}, "/jobs/failed-1/again": {},
        "/jobs/scheduled-0/run": {}, "/jobs/running-0/stack": {}, "/jobs/failed-0/share": {},
        "/jobs/failed-1/delete": {"sure": "1"},
        "/jobs": {"verb": "retry", "state": "failed", "every": "1", "sure": "1", "until": "9999999999"},
        f"/errors/{world.history.error_groups().groups[0].fingerprint}/mute": {}, f"/alerts/{incident}/ack": {},
        f"/alerts/{incident}/mute": {"for": "1h"}, "/alerts/channels/pager/test": {}, "/alerts/drill": {},
        "/tasks/add/run": {"p:a": "1", "p:b": "2"}, "/tasks/add/pause": {}, "/tasks/import_csv/resume": {},
        "/schedules/periodic.heartbeat/run": {}, "/schedules/periodic.heartbeat/pause": {},
        f"/schedules/periodic.heartbeat/run-missed?{EVER}": {"sure": "1"},
        f"/schedules/periodic.heartbeat/dismiss?outcome=late&{EVER}": {}, "/schedules/monday-report/resume": {},
        "/schedules/monday-report/change": {"every": "1h"},
        "/schedules": {"task": "add", "name": "new", "cron": "@daily", "p:a": "1", "p:b": "2"},
        "/schedules/monday-report/remove": {"sure": "1"}, f"/workers/{worker}/quiet": {},
        "/workers/quiet": {"sure": "1"},
        f"/workers/{worker}/stop": {"sure": "1"}, "/queues/default/pause": {},
        "/accounts": {"name": "eva", "role": "viewer"},
        "/accounts/vera/second-factor": {"seen": world.access.accounts.get("vera").version, "sure": "1"},
        "/accounts/vera/admin": {"seen": world.access.accounts.get("vera").version, "sure": "1"},
        "/tokens": {"name": "ci", "scope": "read", "days": "30"}, "/tokens/ci/revoke": {"seen": "1", "sure": "1"},
        "/tokens/ci/rotate": {"seen": "1", "sure": "1", "overlap_h": "0"},
    }  # fmt: skip


def own_actions() -> dict[str, dict[str, str]]:
    """Those that a viewer may do as well."""
    return {
        "/logout": {}, "/logout-everywhere": {}, "/seen": {},
        "/account/password": {"password": PASSWORDS["ana"], "new_password": "a new long sentence"},
        "/account/second-factor/begin": {}, "/account/second-factor/confirm": {"code": "000000"},
        "/account/second-factor/codes": {"code": "0"}, "/account/second-factor/off": {"code": "0"},
        "/account/end": {"session": "1"}, "/account/end-others": {}, "/theme": {"theme": "dark"},
        "/zone": {"zone": "Europe/Zagreb"},
    }  # fmt: skip


def snapshot(world: World) -> object:
    """Everything that an action could change."""
    control, access = world.control, world.access
    return (
        control.jobs(limit=500), control.counts(), world.huey.storage.pauses(), control.workers(),
        control.schedules.all(), world.history.job_rows(JobFilter(), 500), world.history.error_groups(),
        [each.version for each in (*access.accounts.list(), *access.tokens.list())], access.audit.page(limit=500),
    )  # fmt: skip


def test_nobody_is_led_to_the_log_in_and_back(anonymous: Browser) -> None:
    for page in PAGES:
        sep = "&" if "?" in page else "?"
        answer = anonymous.get(f"/monitor{page}{sep}x=1%262")
        assert answer.status == 303 and answer.body == b"", page
        assert answer.headers["location"].startswith("/monitor/login?next=%2Fmonitor%2F"), page
        assert anonymous.follow(answer).hidden()["next"] == f"/monitor{page}{sep}x=1%262", page
        for address in (json_of(page), f"/monitor{page}{sep}fragment=list"):
            answer = anonymous.get(address)
            assert answer.status == 401 and set(answer.json) == {"status", "title", "detail"}, address
    for unknown in ("jobs/failed-0", "jobs/none", "no-such-page"):
        assert anonymous.get(f"/monitor/{unknown}").status == 303, "nobody learns what there is"


@rows("path", PAGES)
def test_viewer_and_admin_see_every_page(viewer: Browser, admin: Browser, path: str) -> None:
    if path in FOR_ADMINS:
        assert {viewer.get(f"/monitor{path}").status, viewer.get(json_of(path)).status} == {403}
    page, data = (admin if path in FOR_ADMINS else viewer).get(f"/monitor{path}"), admin.get(json_of(path))
    assert (page.status, data.status, page.text.count("<h1")) == (200, 200, 1)
    assert data.headers["content-type"] == "application/json"


def test_a_viewer_is_offered_no_action_but_his_own(viewer: Browser) -> None:
    own = {"/monitor/jobs", *(f"/monitor{path}" for path in own_actions())}
    cause = re.search(r'href="/monitor(/errors/[0-9a-f]+)"', viewer.get("/monitor/errors").text)
    assert cause
    for path in {*PAGES, "/jobs/failed-0", "/tasks/import_csv", cause[1]} - FOR_ADMINS:
        text = viewer.get(f"/monitor{path}").text
        assert set(re.findall(r'formaction="([^"]*)"', text)) <= own, path
        assert 'name="verb"' not in text and not re.search(r'action="[^"]*/(run|retry|pause)"', text), path


def test_no_action_without_a_right_to_it(world: World, admin: Browser, viewer: Browser, anonymous: Browser) -> None:
    anonymous.get("/monitor/login")
    before, other = snapshot(world), viewer.proof
    theirs = every_action(world)
    proofs, places = itertools.cycle(["", "0" * 64, other, "ä"]), itertools.cycle(FOREIGN)
    for path, form in {**theirs, **own_actions()}.items():
        proof, headers = next(proofs), next(places)  # one piece looks at all of them, before any action
        assert admin.post(f"/monitor{path}", form, proof=proof).status == 403, (path, proof)
        assert admin.post(f"/monitor{path}", form, headers=headers).status == 403, (path, headers)
        assert admin.call("POST", f"/monitor{path}", headers={"Sec-Fetch-Site": "same-origin"}).status == 403, path
        if path in theirs:
            answer = viewer.post(f"/monitor{path}", form)
            assert answer.status == 403 and "vera is a viewer" in answer.words, path
            if path not in PAGES:
                assert admin.get(f"/monitor{path}").status in (404, 405), f"a GET changes nothing: {path}"
        referer = {"Referer": "http://duey.localhost/monitor/jobs?state=failed"}
        answer = anonymous.post(f"/monitor{path}", form, headers=referer)
        assert answer.status == 303, path
        assert answer.headers["location"] == "/monitor/login?next=%2Fmonitor%2Fjobs%3Fstate%3Dfailed", path
    assert snapshot(world) == before


def test_what_comes_from_our_own_pages_is_done(tmp_path: Path, clock: Clock) -> None:
    world = make_world(tmp_path, clock, public_url="https://jobs.example.org")
    admin = world.browser("ana")
    for headers in (
        {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": None, "Origin": "http://duey.localhost"},
        {"Sec-Fetch-Site": None, "Origin": "https://jobs.example.org"}, {"Sec-Fetch-Site": None},
    ):  # fmt: skip
        assert admin.post("/monitor/tasks/add/pause", headers=headers).status == 303, headers
        assert world.huey.storage.pauses() == {("task", "tasks.add")}, headers
        world.control.resume_task("add")
    world.close()


def test_every_action_is_on_the_audit(world: World, admin: Browser) -> None:
    for path, form in every_action(world).items():
        before = world.access.audit.page(limit=1)[0].id
        answer = admin.post(f"/monitor{path}", form)
        makes_secret = path in ("/accounts", "/tokens") or path.endswith("/share")  # shown in the answer itself, once
        assert answer.status == (200 if makes_secret else 303), (path, answer.text)
        said = answer.text if makes_secret else admin.follow(answer).text
        line = world.access.audit.page(limit=1)[0]
        if line.id > before:
            assert (line.who, line.source, line.address) == ("ana", "web", "192.0.2.7"), path
        else:
            assert "nothing was changed" in said.lower() or "nothing was run" in said.lower(), path
