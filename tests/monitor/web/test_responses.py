"""How pages are sent: headers, sizes, regions and 304, data, assets, errors, any prefix."""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from duey.monitor.access import AccessUnavailable
from duey.monitor.history import HistoryUnavailable
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.scene import morning
from tests.monitor.web.test_permissions import PAGES, json_of
from tests.monitor.web.world import World

ZIP = {"Accept-Encoding": "gzip, br"}
JOBS = [f"/jobs/{job}" for job in ("failed-0", "running-0", "queued-0", "scheduled-0")]
EVERY_PAGE = [*PAGES, *JOBS, "/jobs?state=failed", "/tasks/import_csv", "/login"]


def failing(error: Exception) -> Callable[..., Any]:
    """In the place of a function, or of a context manager."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def regions(page: Answer) -> list[str]:
    return re.findall(r'data-live="(\w+)"', page.text)


def test_a_page_is_light_and_packed_where_that_pays(admin: Browser) -> None:
    """Less than 100 KB the first time, with everything that it needs, and less than 15 KB after."""
    page = admin.get("/monitor/", headers=ZIP)
    assets = set(re.findall(r'(?:href|src)="(/monitor/static/[^"]*)"', page.text))
    fetched = [admin.get(address) for address in assets]
    assert len(assets) == 3 and len(page.content) + sum(len(asset.body) for asset in fetched) < 100_000
    assert [len(each.body) < 20_000 for each in fetched if "javascript" in each.headers["content-type"]] == [True]
    for path in EVERY_PAGE:
        assert len(admin.get(f"/monitor{path}", headers=ZIP).body) < 15_000, path
    assert "content-encoding" not in admin.get("/monitor/account.json", headers=ZIP).headers
    plain, packed = admin.get("/monitor/tasks"), admin.get("/monitor/tasks", headers=ZIP)
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers and gzip.decompress(packed.body) == plain.body


def test_every_region_is_the_part_of_its_page_and_a_304_until_something_is_new(
    world: World, admin: Browser, clock: Clock
) -> None:
    while world.running:
        world.finish(next(iter(world.running)))  # "4.1x usual" grows
    world.record()
    for path in EVERY_PAGE:
        page = admin.get(f"/monitor{path}")
        for region in regions(page):
            address = f"/monitor{path}{'&' if '?' in path else '?'}fragment={region}"
            part = admin.get(address)
            assert part.status == 200 and part.text.strip() in page.text and "<html" not in part.text, address
            clock.now += 3  # relative times are other ones now
            again = admin.get(address, headers={"If-None-Match": part.headers["etag"]})
            assert (again.status, again.body) == (304, b""), address
            clock.now -= 3  # in half a minute workers would be missed
            page = admin.get(f"/monitor{path}")
    answer = admin.get("/monitor/jobs?fragment=none")
    assert answer.status == 404 and "it has: list" in answer.json["detail"]
    first = admin.get("/monitor/tasks.json")
    assert admin.get("/monitor/tasks.json", headers={"If-None-Match": first.headers["etag"]}).status == 304


def test_a_poll_of_what_cannot_be_new_asks_for_nothing(empty: World, clock: Clock, monkeypatch) -> None:
    """Neither queries nor templates: a few facts tell that nothing has happened."""
    admin = empty.browser("ana")
    pages = ("/?fragment=history", "/jobs?fragment=list&q=since:2h", "/errors?fragment=list", "/tasks?fragment=list")
    addresses = [f"/monitor{page}" for page in (*pages, "/tasks/add?fragment=figures", "/tasks/add?fragment=last")]
    tags = {address: admin.get(address).headers["etag"] for address in addresses}
    for question in ("minutes", "days", "tasks", "task", "job_rows", "state_counts", "error_groups"):
        monkeypatch.setattr(empty.history, question, None)
    clock.now += 15
    for address, tag in tags.items():
        assert admin.get(address, headers={"If-None-Match": tag}).status == 304, address
    monkeypatch.undo()
    clock.now += 60  # bars have moved on, and what is older than two hours is another
    for address, tag in tags.items():
        assert admin.get(address, headers={"If-None-Match": tag}).status == 200, address


def test_what_is_new_is_sent_at_the_next_look(world: World, admin: Browser) -> None:
    def sent(address: str, change: Callable[[], object], browser: Browser = admin) -> Answer:
        tag = admin.get(f"/monitor/{address}?fragment=list").headers["etag"]
        change()
        again = browser.get(f"/monitor/{address}?fragment=list", headers={"If-None-Match": tag})
        assert (again.status, again.headers["etag"] != tag) == (200, True), address
        return again

    fingerprint = world.history.error_groups("open").groups[0].fingerprint
    sent("errors", lambda: admin.post(f"/monitor/errors/{fingerprint}/mute"))
    sent("jobs", lambda: world.control.cancel("queued-0"))
    seq = world.running["running-0"].claim.job.seq
    progress = '{"done": 41300, "total": 64000, "note": ""}'
    assert "41 300 of 64 000" in sent("jobs", lambda: world.huey.storage.put_progress(seq, progress)).words
    while world.running:
        world.finish(next(iter(world.running)))
    world.record()
    sent("jobs", lambda: None, world.browser("vera"))  # what one may do is not shown to another


def test_a_region_leaves_the_message_for_the_page(admin: Browser) -> None:
    admin.post("/monitor/tasks/add/pause")
    admin.get("/monitor/tasks/add?fragment=figures")
    assert "add is paused" in admin.get("/monitor/tasks/add").words
    assert "add is paused" not in admin.get("/monitor/tasks/add").words


def test_data_says_what_the_page_says(world: World, admin: Browser) -> None:
    data = admin.get("/monitor/jobs.json?state=failed").json
    page = admin.get("/monitor/jobs?state=failed")
    assert [row["job"]["id"] for row in data["jobs"]] == re.findall(r'<tr data-id="([^"]*)"', page.text)
    assert data["counts"]["failed"]["number"] == 33
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["jobs"][0]["job"]["finished_at"])
    world.enqueue("deliver_webhook", "odd", "", {"due_at": 12, "since": 3.5})
    shown = admin.get("/monitor/jobs/odd.json").json["job"]["args"]
    assert shown == ["", {"due_at": 12, "since": 3.5}], "what people gave is not taken for ours"


def test_assets_are_open_and_kept_for_ever(anonymous: Browser) -> None:
    for address in re.findall(r'(?:href|src)="(/monitor/static/[^"]*)"', anonymous.get("/monitor/login").text):
        # A proxy that serves .css and .js from its own folder would never ask us.
        assert not re.search(r"\.(css|js)$", address)
        for packed in (True, False):
            answer = anonymous.get(address, headers=ZIP if packed else {})
            assert answer.status == 200 and answer.content, address
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
            assert (answer.headers.get("content-encoding") == "gzip") is packed, address
    answer = anonymous.get("/monitor/static/style-000000000000")
    assert answer.status == 200 and answer.headers["cache-control"] == "no-cache", "an old address is forgotten"
    for address in ("nothing-1", "../site.py", "%2e%2e%2fsite.py", "duey.css"):
        assert anonymous.get(f"/monitor/static/{address}").status in (303, 404), address


def test_it_works_below_a_prefix_under_its_name(tmp_path: Path, clock: Clock) -> None:
    world = morning(tmp_path, clock, url_prefix="/jobs/duey", service="Duey <prod>")
    page = world.browser().get("/monitor/login").text
    assert "<title>Log in · Duey &lt;prod&gt;</title>" in page
    assert '<a class="brand" href="/jobs/duey/monitor/" title="Duey &lt;prod&gt;">Duey &lt;prod&gt;</a>' in page
    admin = world.browser("ana")
    assert admin.call("GET", "/monitor").headers["location"] == "/jobs/duey/monitor/"
    for path in EVERY_PAGE:
        for address in re.findall(r'(?:href|src|action|formaction)="([^"]*)"', admin.get(f"/monitor{path}").text):
            assert address.startswith(("/jobs/duey/monitor", "#")), (path, address)
    assert admin.post("/monitor/tasks/add/pause").headers["location"] == "/jobs/duey/monitor/tasks/add"
    world.close()


# refusals


def test_unknown_paths_and_methods_and_odd_forms(admin: Browser, world: World) -> None:
    for path in ("nothing", "jobs/none", "tasks/deliver_webhok"):
        assert admin.get(f"/monitor/{path}").status == 404, path
    assert "did you mean" in admin.get("/monitor/tasks/deliver_webhok").words
    assert admin.get("/monitor/nothing.json").json["status"] == 404
    refused = admin.call("DELETE", "/monitor/jobs")
    assert refused.status == 405 and "GET" in refused.headers["allow"]
    assert admin.get("/monitor/jobs/").headers["location"] == "/monitor/jobs"
    assert admin.call("GET", "/monitor").headers["location"] == "/monitor/"
    assert admin.call("HEAD", "/monitor/jobs").body == b""
    kind = "application/x-www-form-urlencoded"
    for body, sent_as, status in (
        (b"p:a=" + b"1" * (world.settings.web.max_body_kb * 1024 + 1), kind, 413), (b"{}", "application/json", 415),
        (b"&".join(b"a=1" for _ in range(6000)), kind, 400), ("p:a=ä".encode(), kind, 400),
        (b"p:a=100%", kind, 400),
    ):  # fmt: skip
        answer = admin.call("POST", "/monitor/tasks/add/run", body, {"Sec-Fetch-Site": "same-origin"}, sent_as)
        assert answer.status == status, body[:9]
    many = admin.post("/monitor/tasks/add/run", {"p:a": "[" + "[]," * 100_000 + "[]]", "p:b": "1"})
    assert "at most 50,000 lists and objects" in many.words


def test_what_nobody_foresaw_is_told_by_an_incident(world: World, admin: Browser, caplog, monkeypatch) -> None:
    monkeypatch.setattr(world.history, "error_groups", failing(RuntimeError("secret detail")))
    with caplog.at_level(logging.ERROR):
        answer = admin.get("/monitor/errors")
    incident = re.search(r"incident ([0-9a-f]{12})", answer.words)
    assert answer.status == 500 and "secret detail" not in answer.text
    assert incident and incident[1] in caplog.text and "secret detail" in caplog.text


def test_without_the_history_all_is_shown_that_needs_none(world: World, admin: Browser, monkeypatch) -> None:
    away = failing(HistoryUnavailable("/srv/secret/monitor.db", "is locked"))
    monkeypatch.setattr(world.history._database, "reading", contextmanager(away))
    for path in ("/jobs", "/errors", "/tasks"):
        for address in (f"/monitor{path}", f"/monitor{path}.json"):
            answer = admin.get(address)
            assert answer.status == 503 and int(answer.headers["retry-after"]) > 0, address
            assert "/srv/secret" not in answer.text and "the history cannot be read now" in answer.text.lower()
    for path in ("/", "/workers", "/schedules", "/account", "/audit", "/tasks/add"):
        assert admin.get(f"/monitor{path}").status == 200, path
    assert "Runs for" in admin.get("/monitor/jobs/running-0").words


def test_without_its_storage_the_overview_says_so(world: World, admin: Browser) -> None:
    path = Path(world.settings.storage.path)
    aside = path.rename(path.with_suffix(".aside"))
    assert admin.get("/monitor/jobs").status == 503
    assert "The queue's storage cannot be used" in admin.get("/monitor/").words
    answer = admin.post("/monitor/tasks/add/run", {"p:a": "1", "p:b": "2"})
    assert answer.status == 503 and str(path) not in answer.text
    aside.rename(path)


def test_accounts_that_cannot_be_checked_let_nobody_in(world: World, admin: Browser, monkeypatch) -> None:
    monkeypatch.setattr(world.access.sessions, "find", failing(AccessUnavailable("/srv/access.db", "is locked")))
    for path in PAGES:
        answer = admin.get(f"/monitor{path}")
        assert answer.status == 503 and "/srv" not in answer.text
        assert admin.get(json_of(path)).status == 503


def test_connections_are_let_go_after_each_request(world: World, admin: Browser) -> None:
    for path in ("jobs", "nothing"):
        admin.get(f"/monitor/{path}")
        assert world.history._database._database().is_closed() and world.access._database._database().is_closed()
