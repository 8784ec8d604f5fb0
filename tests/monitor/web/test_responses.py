"""How pages are sent: headers, sizes, regions and 304, data, assets, errors, any prefix."""

from __future__ import annotations

import gzip
import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest

from duey.errors import StorageUnavailable
from duey.monitor.access import AccessUnavailable
from duey.monitor.history import HistoryUnavailable
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.conftest import Clock
from tests.monitor.web.scene import make_morning
from tests.monitor.web.test_permissions import PAGES, job_with, json_of
from tests.monitor.web.world import World, make_world
from tests.support import rows

ZIP = {"Accept-Encoding": "gzip, br"}


def every_page(world: World) -> list[str]:
    jobs = [f"/jobs/{job_with(world, state)}" for state in ("failed", "running", "queued")]
    return [*PAGES, *jobs, "/jobs?state=failed", "/tasks/import_csv", "/login"]


def test_a_page_is_light(world: World, admin: Browser) -> None:
    """Less than 100 KB the first time, with everything that it needs, and less than 15 KB after."""
    page = admin.get("/monitor/", headers=ZIP)
    assets = set(re.findall(r'(?:href|src)="(/monitor/static/[^"]*)"', page.text))
    assert len(assets) == 3
    fetched = [admin.get(address, headers=ZIP) for address in assets]
    assert len(page.body) + sum(len(asset.body) for asset in fetched) < 100_000
    assert len(page.content) + sum(len(asset.content) for asset in fetched) < 100_000
    for path in every_page(world):
        assert len(admin.get(f"/monitor{path}", headers=ZIP).body) < 15_000, path


def test_the_script_is_small(admin: Browser) -> None:
    address = re.search(r'src="([^"]*)"', admin.get("/monitor/").text)
    assert address and len(admin.get(address[1]).body) < 20_000


def test_small_answers_are_not_packed(admin: Browser) -> None:
    assert "content-encoding" not in admin.get("/monitor/account.json", headers=ZIP).headers
    packed = admin.get("/monitor/jobs", headers=ZIP)
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in admin.get("/monitor/jobs").headers


def regions(page: Answer) -> list[str]:
    return re.findall(r'data-live="(\w+)"', page.text)


def test_every_region_is_the_part_of_its_page(world: World, admin: Browser) -> None:
    for path in every_page(world):
        page = admin.get(f"/monitor{path}")
        for region in regions(page):
            sep = "&" if "?" in path else "?"
            part = admin.get(f"/monitor{path}{sep}fragment={region}")
            assert part.status == 200, (path, region)
            assert part.text.strip() in page.text, (path, region)
            assert "<html" not in part.text


def test_nothing_new_is_a_304(world: World, admin: Browser, clock: Clock) -> None:
    world.control.crew = [replace(each, running=()) for each in world.control.crew]  # "4.1x usual" grows
    for path in every_page(world):
        sep = "&" if "?" in path else "?"
        for region in regions(admin.get(f"/monitor{path}")):
            address = f"/monitor{path}{sep}fragment={region}"
            first = admin.get(address)
            clock.now += 3  # relative times are other ones now
            second = admin.get(address, headers={"If-None-Match": first.headers["etag"]})
            assert second.status == 304, (path, region)
            assert second.body == b""


def test_a_poll_of_what_cannot_be_new_asks_for_nothing(empty: World, clock: Clock, monkeypatch) -> None:
    """Neither queries nor templates: a few facts tell that nothing has happened."""
    admin = empty.browser("ana")
    pages = ("/?fragment=history", "/jobs?fragment=list&q=since:2h", "/errors?fragment=list", "/tasks?fragment=list")
    addresses = [f"/monitor{page}" for page in (*pages, "/tasks/add?fragment=figures", "/tasks/add?fragment=last")]
    tags = {address: admin.get(address).headers["etag"] for address in addresses}
    for question in ("minutes", "days", "tasks", "task", "job_rows", "state_counts", "error_groups"):
        monkeypatch.delattr(type(empty.history), question)
    clock.now += 15
    for address, tag in tags.items():
        assert admin.get(address, headers={"If-None-Match": tag}).status == 304
    monkeypatch.undo()
    clock.now += 60  # bars have moved on, and what is older than two hours is another
    for address, tag in tags.items():
        assert admin.get(address, headers={"If-None-Match": tag}).status == 200


def test_a_mark_is_seen_at_the_next_look(world: World, admin: Browser) -> None:
    first = admin.get("/monitor/errors?fragment=list")
    admin.post(f"/monitor/errors/{world.history.groups[0].fingerprint}/mute")
    again = admin.get("/monitor/errors?fragment=list", headers={"If-None-Match": first.headers["etag"]})
    assert again.status == 200


def test_a_list_in_which_something_runs_is_made_anew(world: World, admin: Browser) -> None:
    first = admin.get("/monitor/jobs?fragment=list")
    job = next(job for job in world.control.all.values() if job.progress)
    world.control._set(job.id, progress={"done": 41_300, "total": 64_000, "note": ""})
    again = admin.get("/monitor/jobs?fragment=list", headers={"If-None-Match": first.headers["etag"]})
    assert again.status == 200 and "41 300 of 64 000" in again.words


def test_what_one_may_do_is_not_shown_to_another(empty: World) -> None:
    make_morning(empty.control, empty.history, empty.history.clock())
    for job in [job.id for job in empty.control.all.values() if job.state == "running"]:
        empty.control.finish(job)
    address = "/monitor/jobs?fragment=list"
    tag = empty.browser("ana").get(address).headers["etag"]
    assert empty.browser("vera").get(address, headers={"If-None-Match": tag}).status == 200
    assert empty.browser("ana").get(address, headers={"If-None-Match": tag}).status == 304


def test_something_new_is_sent(world: World, admin: Browser) -> None:
    first = admin.get("/monitor/jobs?fragment=list")
    world.control.cancel(job_with(world, "queued"))
    second = admin.get("/monitor/jobs?fragment=list", headers={"If-None-Match": first.headers["etag"]})
    assert second.status == 200 and second.headers["etag"] != first.headers["etag"]


def test_data_has_an_etag_as_well(admin: Browser) -> None:
    first = admin.get("/monitor/tasks.json")
    assert admin.get("/monitor/tasks.json", headers={"If-None-Match": first.headers["etag"]}).status == 304


def test_an_unknown_region_is_told(admin: Browser) -> None:
    answer = admin.get("/monitor/jobs?fragment=none")
    assert answer.status == 404 and "it has: list" in answer.json["detail"]


def test_a_region_leaves_the_message_for_the_page(world: World, admin: Browser) -> None:
    admin.post("/monitor/tasks/add/pause")
    admin.get("/monitor/tasks/add?fragment=figures")
    assert "add is paused" in admin.get("/monitor/tasks/add").words
    assert "add is paused" not in admin.get("/monitor/tasks/add").words


def test_data_says_what_the_page_says(world: World, admin: Browser) -> None:
    data = admin.get("/monitor/jobs.json?state=failed").json
    page = admin.get("/monitor/jobs?state=failed")
    assert [row["job"]["id"] for row in data["jobs"]] == re.findall(r'<tr data-id="([^"]*)"', page.text)
    assert data["counts"]["failed"]["number"] == sum(row.job.state == "failed" for row in world.history.rows)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["jobs"][0]["job"]["finished_at"])


def test_what_people_gave_is_not_taken_for_ours(world: World, admin: Browser) -> None:
    job = job_with(world, "failed")
    world.control.all[job] = replace(world.control.all[job], kwargs={"due_at": 12, "since": 3.5}, args=[float("inf")])
    shown = admin.get(f"/monitor/jobs/{job}.json").json["job"]
    assert shown["kwargs"] == {"due_at": 12, "since": 3.5} and shown["args"] == ["inf"]


@pytest.mark.parametrize("packed", [True, False])
def test_assets_are_open_and_kept_for_ever(anonymous: Browser, packed: bool) -> None:
    for address in re.findall(r'(?:href|src)="(/monitor/static/[^"]*)"', anonymous.get("/monitor/login").text):
        # A proxy that serves .css and .js from its own folder would never ask us.
        assert not re.search(r"\.(css|js)$", address)
        answer = anonymous.get(address, headers=ZIP if packed else {})
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")
        assert (answer.headers.get("content-encoding") == "gzip") is packed
        assert answer.content


def test_an_old_address_gets_the_present_asset_and_forgets_it(anonymous: Browser) -> None:
    answer = anonymous.get("/monitor/static/style-000000000000")
    assert answer.status == 200 and answer.headers["cache-control"] == "no-cache"
    for address in ("nothing-1", "../site.py", "%2e%2e%2fsite.py", "duey.css"):
        assert anonymous.get(f"/monitor/static/{address}").status in (303, 404)


def test_assets_name_no_other_host() -> None:
    folder = Path(__file__).parents[3] / "monitor" / "web"
    for file in [*folder.glob("static/*"), *folder.glob("templates/*")]:
        found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text(encoding="utf-8"))
        assert set(found) <= {"http://www.w3.org"}, file


def test_it_works_below_a_prefix(tmp_path: Path, clock: Clock) -> None:
    world = make_world(tmp_path, clock, url_prefix="/jobs/duey")
    make_morning(world.control, world.history, clock.now)
    admin = world.browser("ana")
    assert admin.call("GET", "/monitor").headers["location"] == "/jobs/duey/monitor/"
    for path in every_page(world):
        text = admin.get(f"/monitor{path}").text
        for address in re.findall(r'(?:href|src|action|formaction)="([^"]*)"', text):
            assert address.startswith(("/jobs/duey/monitor", "#")), (path, address)
    answer = admin.post("/monitor/tasks/add/pause")
    assert answer.headers["location"] == "/jobs/duey/monitor/tasks/add"


def test_the_name_of_the_deployment_is_in_title_and_header(tmp_path: Path, clock: Clock) -> None:
    page = make_world(tmp_path, clock, service="Duey <prod>").browser().get("/monitor/login").text
    assert "<title>Log in · Duey &lt;prod&gt;</title>" in page
    assert '<a class="brand" href="/monitor/" title="Duey &lt;prod&gt;">Duey &lt;prod&gt;</a>' in page


def test_unknown_paths_and_methods(admin: Browser) -> None:
    assert admin.get("/monitor/nothing").status == 404
    assert admin.get("/monitor/jobs/none").status == 404
    assert admin.get("/monitor/tasks/deliver_webhok").status == 404
    assert "did you mean" in admin.get("/monitor/tasks/deliver_webhok").words
    assert admin.get("/monitor/nothing.json").json["status"] == 404
    refused = admin.call("DELETE", "/monitor/jobs")
    assert refused.status == 405 and "GET" in refused.headers["allow"]
    assert admin.get("/monitor/jobs/").headers["location"] == "/monitor/jobs"
    assert admin.call("GET", "/monitor").headers["location"] == "/monitor/"
    assert admin.call("HEAD", "/monitor/jobs").body == b""


def test_forms_are_read_within_bounds(admin: Browser, world: World) -> None:
    huge = {"p:a": "1" * (world.settings.web.max_body_kb * 1024 + 1)}
    assert admin.post("/monitor/tasks/add/run", huge).status == 413
    head = {"Sec-Fetch-Site": "same-origin"}
    assert admin.call("POST", "/monitor/tasks/add/run", b"{}", head, "application/json").status == 415
    many = b"&".join(b"a=1" for _ in range(6000))
    kind = "application/x-www-form-urlencoded"
    assert admin.call("POST", "/monitor/tasks/add/run", many, head, kind).status == 400
    assert admin.call("POST", "/monitor/tasks/add/run", "p:a=ä".encode(), head, kind).status == 400


def test_what_nobody_foresaw_is_told_by_an_incident(world: World, admin: Browser, caplog) -> None:
    world.history.away = RuntimeError("secret detail")
    with caplog.at_level(logging.ERROR):
        answer = admin.get("/monitor/errors")
    assert answer.status == 500
    incident = re.search(r"incident ([0-9a-f]{12})", answer.words)
    assert incident and incident[1] in caplog.text and "secret detail" in caplog.text
    assert "secret detail" not in answer.text


@pytest.mark.parametrize("path", ["/jobs", "/errors", "/tasks"])
def test_books_that_are_away_are_a_503_that_names_no_file(world: World, admin: Browser, path: str) -> None:
    world.history.away = HistoryUnavailable("/srv/secret/monitor.db", "is locked")
    for address in (f"/monitor{path}", f"/monitor{path}.json"):
        answer = admin.get(address)
        assert answer.status == 503 and int(answer.headers["retry-after"]) > 0
        assert "/srv/secret" not in answer.text and "the history cannot be read now" in answer.text.lower()


@rows("path", ["/", "/workers", "/schedules", "/account", "/audit", "/tasks/add"])
def test_what_needs_no_books_is_shown_without_them(world: World, admin: Browser, path: str) -> None:
    world.history.away = HistoryUnavailable("/srv/monitor.db", "is locked")
    assert admin.get(f"/monitor{path}").status == 200


def test_a_live_job_is_shown_without_the_books(world: World, admin: Browser) -> None:
    job = job_with(world, "running")
    world.history.away = HistoryUnavailable("/srv/monitor.db", "is locked")
    assert "Runs for" in admin.get(f"/monitor/jobs/{job}").words


def test_a_storage_that_is_away(world: World, admin: Browser) -> None:
    world.control.away = StorageUnavailable("/srv/queue.db is locked", stored=None)
    assert admin.get("/monitor/jobs").status == 503
    assert "The queue's storage cannot be used" in admin.get("/monitor/").words
    answer = admin.post("/monitor/tasks/add/run", {"p:a": "1", "p:b": "2"})
    assert answer.status == 503 and "/srv" not in answer.text


def test_accounts_that_cannot_be_checked_let_nobody_in(world: World, admin: Browser, monkeypatch) -> None:
    def away(cookie: str, is_use: bool) -> None:
        raise AccessUnavailable("/srv/access.db", "is locked")

    monkeypatch.setattr(world.access.sessions, "find", away)
    for path in PAGES:
        answer = admin.get(f"/monitor{path}")
        assert answer.status == 503 and "/srv" not in answer.text
        assert admin.get(json_of(path)).status == 503


def test_connections_are_let_go_after_each_request(world: World, admin: Browser) -> None:
    before = world.history.closed
    admin.get("/monitor/jobs")
    admin.get("/monitor/nothing")
    assert world.history.closed == before + 2


def test_an_id_that_ends_like_a_format_has_a_page(world: World, admin: Browser) -> None:
    for name in ("a.json", "b.html", "c/d", "e%2Ff", "ü?#"):
        job = replace(next(iter(world.control.all.values())), id=name)
        world.control.all[name] = job
        address = world.site.services.links.job(name)
        page = admin.get(address)
        assert page.status == 200, address
        assert admin.get(address.removesuffix(".html") + ".json").json["job"]["id"] == name


def test_packed_and_plain_are_the_same(admin: Browser) -> None:
    plain, packed = admin.get("/monitor/tasks"), admin.get("/monitor/tasks", headers=ZIP)
    assert gzip.decompress(packed.body) == plain.body
