"""Every route of the whole service, as the application itself lists them: none is open by being forgotten.

What each page and each endpoint does with a right that it has been shown is for the tests of its room.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from duey.api import Api, make_api
from duey.monitor.access.login import passwords
from duey.server.main import side_by_side
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.scene import morning
from tests.monitor.web.test_permissions import PAGES, every_action, own_actions
from tests.monitor.web.world import World

# Open to anybody, on purpose. /metrics is closed by [auth] metrics_token.
OPEN = {
    "GET /monitor",  # leads to the overview, which leads to the log-in
    "GET /monitor/login",
    "GET /monitor/login.html",
    "GET /monitor/login.json",
    "GET /monitor/static/<address>",
    "GET /api/openapi.json",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
}
WITH_A_TICKET = {
    "GET /monitor/shared/<ticket>",
    "GET /monitor/shared/<ticket>.json",
    "GET /monitor/shared/<ticket>.html",
}
WITH_A_PROOF = {
    "POST /monitor/login",
    "POST /monitor/login/code",
}  # open, but refuses a form that is not of its own page
FORM = "application/x-www-form-urlencoded"


class Whole:
    """Monitor and API over one control, as app.py puts them together."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.api: Api = make_api(world.control, world.access, world.settings, None)
        self.app = side_by_side(world.site, self.api, world.settings.web)

    def routes(self) -> Iterator[tuple[str, str, str]]:
        """(name, method, an address that the rule matches) of each route."""
        for route in [*self.world.site.routes, *self.api.routes]:
            # Any text will do: who may not enter does not learn whether the thing is there.
            yield f"{route.method} {route.rule}", route.method, re.sub(r"<[^>]*>", "x", route.rule)

    def ask(self, browser: Browser, method: str, path: str, **headers: str) -> Answer:
        browser.app = self.app
        kind = FORM if path.startswith("/monitor") else "application/json"
        body = b"" if method == "GET" else b"a=1" if kind == FORM else b"{}"
        return browser.call(method, path, body, {"Sec-Fetch-Site": "same-origin", **headers}, kind)


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2, r=1, p=1))
    # The headers of a page are for its own tests; endpoints have others.
    monkeypatch.setattr(Browser, "_check", lambda *_: None)
    world = morning(tmp_path, Clock())
    yield Whole(world)
    world.close()


def is_refused(answer: Answer, path: str) -> bool:
    if answer.status == 303:
        return path.startswith("/monitor") and answer.headers["location"].startswith("/monitor/login")
    return answer.status in (401, 405)


def test_nobody_gets_in_anywhere(whole: Whole) -> None:
    found, before = set(), whole.world.control.jobs(limit=500)
    for name, method, path in whole.routes():
        answer = whole.ask(whole.world.browser(), method, path)
        if name in WITH_A_PROOF:
            assert answer.status == 403, name
        elif name in WITH_A_TICKET:
            assert answer.status == 404, name
        elif not is_refused(answer, path):
            found.add(name)
    assert found == OPEN
    assert whole.world.control.jobs(limit=500) == before


def test_a_browser_that_has_logged_in_is_nobody_to_the_api(whole: Whole) -> None:
    """So that no other site can make it use the API, for which no proof is asked."""
    admin = whole.world.browser("ana")
    for name, method, path in whole.routes():
        if not path.startswith("/monitor") and name not in OPEN:
            assert whole.ask(admin, method, path).status in (401, 405), name


def test_a_token_is_nobody_to_the_monitor(whole: Whole) -> None:
    token = whole.world.access.tokens.create("robot", ("admin",))[1]
    for name, method, path in whole.routes():
        if path.startswith("/monitor") and name not in OPEN | WITH_A_PROOF | WITH_A_TICKET:
            answer = whole.ask(whole.world.browser(), method, path, Authorization=f"Bearer {token}")
            assert is_refused(answer, path), name


def test_no_door_answers_to_a_name_that_is_not_of_the_service(whole: Whole) -> None:
    """A page of another site whose name leads here (DNS rebinding) would be same-origin with the service."""
    admin, token = whole.world.browser("ana"), whole.world.access.tokens.create("robot", ("admin",))[1]
    rights = {"Authorization": f"Bearer {token}", "Host": "evil.test:8080"}
    for name, method, path in [*whole.routes(), ("GET /", "GET", "/"), ("GET /x", "GET", "/x")]:
        answer = whole.ask(admin, method, path, **rights)
        assert (answer.status == 421) == (path not in ("/healthz", "/readyz")), name
        if answer.status == 421:
            assert "add its name to [web] allow_hosts" in answer.text and "ana" not in answer.text
            kind = "application/problem+json" if path.startswith("/api/") else "text/plain; charset=utf-8"
            assert answer.headers["content-type"] == kind, name


def test_every_answer_has_the_headers_that_close_it_to_other_sites(whole: Whole) -> None:
    for host in ("duey.localhost", "evil.test"):
        for name, method, path in [*whole.routes(), ("GET /", "GET", "/"), ("GET /x", "GET", "/x")]:
            headers = whole.ask(whole.world.browser(), method, path, Host=host).headers
            assert headers["x-content-type-options"] == "nosniff", name
            assert headers["cross-origin-opener-policy"] == "same-origin", name
            assert headers["cross-origin-resource-policy"] == "same-origin", name
            assert "camera=()" in headers["permissions-policy"], name
            assert "strict-transport-security" not in headers, name


def test_the_lists_of_pages_and_actions_are_whole(whole: Whole) -> None:
    """Each route of the monitor is in a list of the tests that try pages and actions one by one."""
    listed = {
        "GET": [
            *(page.partition("?")[0] for page in PAGES),
            "/jobs/x",
            "/errors/x",
            "/jobs/x/incident",
            "/errors/x/incident",
            "/shared/x",
            "/login",
            "/login/code",
            "/static/x",
            "",
            "/audit.csv",
            "/jobs.csv",
            "/errors.csv",
        ],
        "POST": [
            *(action.partition("?")[0] for action in every_action(whole.world)),
            *own_actions(),
            "/login",
            "/login/code",
        ],
    }
    for route in whole.world.site.routes:
        rule = re.sub(r"\.(json|html)$", "", route.rule.removeprefix("/monitor"))
        rule = "/" if rule == "/overview" else rule
        pattern = re.sub(r"<[^>]*>", "[^/]+", rule)
        assert [path for path in listed[route.method] if re.fullmatch(pattern, path)], route.rule
