"""The second factor on the pages: set up, log in with it, lose it, and where it is required."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from duey.monitor.access.login.second_factor import STEP_S, totp
from duey.monitor.web.pages.people import second_factor
from duey.monitor.web.services import Services
from duey.monitor.web.site import Site
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.world import PASSWORDS, World, make_world

PAGE = "/monitor/account/second-factor"
GOOD = {"username": "ana", "password": PASSWORDS["ana"]}


def begin(browser: Browser) -> bytes:
    """Open the page as a person does, and begin; the secret that the app has scanned."""
    browser.get(PAGE)
    return secret_of(browser.post(f"{PAGE}/begin"))


def secret_of(shown: Answer) -> bytes:
    found = re.search(r'<pre class="secret">([A-Z2-7 ]+)</pre>', shown.text)
    assert found, shown.words
    return base64.b32decode(found[1].replace(" ", ""))


def code(secret: bytes, clock: Clock, steps: int = 0) -> str:
    return totp(secret, int(clock.now) // STEP_S + steps)


def turn_on(browser: Browser, clock: Clock) -> tuple[bytes, list[str]]:
    secret = begin(browser)
    shown = browser.post(f"{PAGE}/confirm", {"code": code(secret, clock)})
    assert "Your second factor is on" in shown.words
    clock.now += STEP_S
    return secret, re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", shown.text)


def at_the_code(world: World, name: str = "ana") -> Browser:
    browser = world.browser()
    browser.get("/monitor/login?next=/monitor/tasks")
    form = {"username": name, "password": PASSWORDS[name], "next": "/monitor/tasks"}
    answer = browser.post("/monitor/login", form)
    assert answer.headers["location"] == "/monitor/login/code?next=%2Fmonitor%2Ftasks"
    assert "Code of your app" in browser.follow(answer).words
    return browser


def actions(world: World) -> list[str]:
    return [line.action for line in world.access.audit.page(limit=4)]


def test_it_is_set_up_with_a_picture_or_a_key(empty: World, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, elsewhere = empty.browser("ana"), empty.browser("ana")
    assert "Off: your password alone opens your account" in browser.get("/monitor/account").words
    browser.get(PAGE)
    shown = browser.post(f"{PAGE}/begin")
    picture = re.search(r'<img class="qr" src="(data:image/svg[^"]+)"', shown.text)
    assert picture and "otpauth" not in shown.text
    secret = secret_of(shown)
    uri = f"otpauth://totp/Duey:ana?secret={base64.b32encode(secret).decode()}&issuer=Duey"
    assert picture[1].replace("&#039;", "'").replace("&amp;", "&") == second_factor.qr_code(uri)
    wrong = browser.post(f"{PAGE}/confirm", {"code": "000000"})
    assert wrong.status == 422 and secret_of(wrong) == secret, "what was scanned stays valid"
    shown = browser.post(f"{PAGE}/confirm", {"code": code(secret, clock)})
    assert "Your second factor is on" in shown.words and len(re.findall("(?:[a-z2-7]{4}-){3}", shown.text)) == 10
    assert (
        "Your second factor is on" not in browser.get(PAGE).words
        and "10 recovery codes left" in browser.get(PAGE).words
    )
    assert elsewhere.get("/monitor/").status == 303, "other browsers, which gave no code, are out"
    assert actions(empty)[0] == "turn on second factor"
    again = browser.follow(browser.post(f"{PAGE}/begin"))
    assert "nothing was changed" in again.words
    monkeypatch.setitem(sys.modules, "segno", None)
    empty.browser("vera")
    assert second_factor.qr_code(uri) == "", "without the extra, the key is shown as text"


def test_where_no_key_is_set_the_page_says_whom_to_ask(empty: World) -> None:
    empty.access.second_factors.key_file = None  # as with PostgreSQL
    browser = empty.browser("ana")
    browser.get(PAGE)
    answer = browser.post(f"{PAGE}/begin")
    assert answer.status == 409 and "ask the operator to set [auth] totp_key, the same at every web" in answer.words


def test_a_log_in_needs_both_and_ends_the_session_before_it(empty: World, clock: Clock) -> None:
    secret, _ = turn_on(empty.browser("ana"), clock)
    browser = at_the_code(empty)
    assert browser.get("/monitor/").status == 303, "the password alone opens nothing"
    assert browser.get("/monitor/jobs.json").status == 401
    for wrong in ("", "000000", code(secret, clock, -1), "a" * 5000):
        answer = browser.post("/monitor/login/code", {"code": wrong, "next": "/monitor/tasks"})
        assert answer.status == 403 and "this code is wrong or was used already" in answer.words, wrong
    answer = browser.post("/monitor/login/code", {"code": code(secret, clock), "next": "/monitor/tasks"})
    assert answer.headers["location"] == "/monitor/tasks" and browser.get("/monitor/").status == 200
    assert "pending" not in " ".join(browser.jar)
    log_in, failed, *_ = empty.access.audit.page()
    assert (log_in.action, log_in.who, log_in.detail) == ("log in", "ana", "with a code")
    assert (failed.action, failed.who) == ("second factor failed", "ana")
    other = at_the_code(empty)
    assert other.post("/monitor/login/code", {"code": code(secret, clock)}).status == 403, "it was used"
    other.proof = "0" * 64
    assert other.post("/monitor/login/code", {"code": code(secret, clock, 1)}).status == 403, "without a proof"


def test_a_recovery_code_opens_once_and_says_how_many_are_left(empty: World, clock: Clock) -> None:
    _, codes = turn_on(empty.browser("ana"), clock)
    answer = at_the_code(empty).post("/monitor/login/code", {"code": codes[0]})
    assert answer.status == 303 and "9 recovery codes" in unquote(" ".join(answer.cookies))
    assert at_the_code(empty).post("/monitor/login/code", {"code": codes[0]}).status == 403


def test_the_answer_to_the_password_does_not_last(empty: World, clock: Clock) -> None:
    secret, _ = turn_on(empty.browser("ana"), clock)
    late = at_the_code(empty)
    clock.now += 301
    answer = late.post("/monitor/login/code", {"code": code(secret, clock)})
    assert answer.status == 403 and "that took too long" in answer.words
    assert late.get("/monitor/login/code").headers["location"] == "/monitor/login"
    changed = at_the_code(empty)
    empty.access.accounts.set_password("ana", "another password")
    assert changed.post("/monitor/login/code", {"code": code(secret, clock)}).status == 403
    forged = empty.browser()
    forged.get("/monitor/login")
    name, ana = next(each for each in changed.jar if "pending" in each), empty.access.accounts.get("ana")
    what = f"{ana.id}.{ana.password_version}.9999999999"
    stolen = f"{what}.{empty.access.csrf.mark('pending', what)}.ana"  # by whoever has a copy of access.db, but no key
    for value in (stolen, "", "1.1.999999999", "1.1.9999999999.x.ana", "a.b.c.d.ana", f"1.1.9999999999.{'0' * 64}.ana"):
        forged.jar[name] = value
        assert forged.post("/monitor/login/code", {"code": code(secret, clock)}).status == 403, value


def test_guesses_are_limited_and_password_and_code_are_no_way_around(empty: World, clock: Clock) -> None:
    secret, _ = turn_on(empty.browser("ana"), clock)
    browser = at_the_code(empty)
    for _ in range(10):
        browser.post("/monitor/login/code", {"code": "000000"})
    answer = browser.post("/monitor/login/code", {"code": code(secret, clock)})
    assert answer.status == 429 and int(answer.headers["retry-after"]) > 0
    for _ in range(9):
        at_the_code(empty)
    browser.get("/monitor/login")
    assert browser.post("/monitor/login", GOOD).status == 429, "the right password is no success yet"


def test_it_is_turned_off_with_a_code_and_reset_by_an_admin(empty: World, clock: Clock) -> None:
    browser = empty.browser("vera")
    secret, _ = turn_on(browser, clock)
    browser.get(PAGE)
    assert browser.post(f"{PAGE}/off", {"code": "000000"}).status == 403
    renewed = browser.post(f"{PAGE}/codes", {"code": code(secret, clock)})
    assert "New recovery codes" in renewed.words
    clock.now += STEP_S
    browser.get(PAGE)
    assert "is off" in browser.follow(browser.post(f"{PAGE}/off", {"code": code(secret, clock)})).words
    assert actions(empty)[0] == "turn off second factor"
    turn_on(browser, clock)
    admin = empty.browser("ana")
    page = admin.get("/monitor/access")
    assert "second factor" in page.words and "Reset second factor" in page.words
    version = empty.access.accounts.get("vera").version
    question = admin.post("/monitor/accounts/vera/second-factor", {"seen": version})
    assert "Reset the second factor of vera?" in question.words
    admin.post("/monitor/accounts/vera/second-factor", {"seen": version, "sure": "1"})
    assert browser.get("/monitor/").status == 303 and actions(empty)[0] == "reset second factor"
    assert empty.browser("vera").get("/monitor/").status == 200, "with the password alone"


def test_important_changes_ask_for_the_password_and_not_for_a_code(empty: World, clock: Clock) -> None:
    secret, _ = turn_on(empty.browser("ana"), clock)
    browser = at_the_code(empty)
    browser.post("/monitor/login/code", {"code": code(secret, clock)})
    browser.get("/monitor/account")
    clock.now += 601
    form = {"name": "eva", "role": "viewer"}
    assert "Your password, once more" in browser.post("/monitor/accounts", form).words
    for _ in range(12):
        answer = browser.post("/monitor/accounts", {**form, "confirm_password": PASSWORDS["ana"]})
        assert answer.status in (200, 409)
        clock.now += 601


@pytest.fixture(params=["admins", "all"])
def strict(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[World]:
    world = make_world(tmp_path, clock)
    services = world.site.services
    services.settings = replace(services.settings, auth=replace(services.settings.auth, require_totp=request.param))
    world.site.guard._require_totp = request.param
    yield world
    world.close()


def test_where_it_is_required_nothing_else_opens_before(strict: World, clock: Clock) -> None:
    viewer = strict.browser("vera").get("/monitor/")
    assert viewer.status == (303 if strict.site.services.settings.auth.require_totp == "all" else 200)
    browser = strict.browser("ana")
    assert browser.get("/monitor/").headers["location"] == PAGE
    assert browser.get("/monitor/jobs.json").status == browser.get("/monitor/?fragment=now").status == 403
    assert "requires a second factor of you" in browser.get(PAGE).words
    assert (
        browser.post("/monitor/tasks/add/pause").headers["location"] == PAGE and not strict.control.task("add").paused
    )
    secret, _ = turn_on(browser, clock)
    assert browser.get("/monitor/").status == 200
    assert "Turn it off" not in browser.get(PAGE).words
    assert browser.post(f"{PAGE}/off", {"code": code(secret, clock)}).status == 403
    assert strict.access.accounts.get("ana").second_factor_at


def test_without_local_log_in_neither_session_nor_code_counts(empty: World, clock: Clock) -> None:
    inside = empty.browser("ana")
    secret, _ = turn_on(inside, clock)
    half = at_the_code(empty)
    auth = replace(empty.settings.auth, local_login=False, remote_user_header="Remote-User")
    settings = replace(empty.settings, auth=auth)
    empty.site = Site(Services(empty.control, empty.access, empty.history, settings, lambda: clock.now))
    inside.app = half.app = empty.browser().app
    assert inside.get("/monitor/").status == 303 and inside.get("/monitor/jobs.json").status == 401
    assert half.get("/monitor/login/code").status == 403
    assert half.post("/monitor/login/code", {"code": code(secret, clock)}).status == 403
