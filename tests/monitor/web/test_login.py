"""Log-in and log-out, sessions, cookies, and where a visitor is led."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitor.web.client import Browser
from tests.monitor.web.conftest import Clock
from tests.monitor.web.world import PASSWORDS, World, make_world


def session_cookie(answer) -> str:
    return next(each for each in answer.cookies if "duey_session_" in each and "Max-Age=-1" not in each)


def test_the_form_has_the_fields_of_the_contract(anonymous: Browser) -> None:
    page = anonymous.get("/monitor/login")
    assert 'name="username"' in page.text and 'name="password"' in page.text
    assert 'method="post"' in page.text


def test_log_in_and_out(world: World, anonymous: Browser) -> None:
    anonymous.get("/monitor/login")
    answer = anonymous.post("/monitor/login", {"username": "ana", "password": PASSWORDS["ana"]})
    assert answer.headers["location"] == "/monitor/"
    assert anonymous.get("/monitor/").status == 200
    anonymous.get("/monitor/account")
    left = anonymous.post("/monitor/logout")
    assert left.headers["location"] == "/monitor/login"
    assert "You are logged out." in anonymous.follow(left).words
    assert anonymous.get("/monitor/").status == 303
    assert [line.action for line in world.access.audit.page()] == ["log out", "log in"]


def test_a_session_that_has_ended_opens_nothing_even_with_its_cookie(world: World, admin: Browser) -> None:
    kept = dict(admin.jar)
    admin.post("/monitor/logout")
    admin.jar = kept
    assert admin.get("/monitor/").status == 303


def test_wrong_password_and_unknown_name_get_the_same_answer(anonymous: Browser) -> None:
    anonymous.get("/monitor/login")
    wrong = anonymous.post("/monitor/login", {"username": "ana", "password": "wrong"})
    unknown = anonymous.post("/monitor/login", {"username": "bea", "password": "wrong"})
    assert wrong.status == unknown.status == 403
    assert wrong.text.replace('value="ana"', 'value="bea"') == unknown.text
    assert "name or password is wrong" in wrong.words


def test_what_was_typed_as_an_unknown_name_is_not_written_down(world: World, anonymous: Browser) -> None:
    anonymous.get("/monitor/login")
    anonymous.post("/monitor/login", {"username": PASSWORDS["ana"], "password": "ana"})
    anonymous.post("/monitor/login", {"username": "ana", "password": "wrong"})
    known, unknown = world.access.audit.page()
    assert (known.action, known.who, known.target) == ("log in failed", "ana", "ana")
    assert (unknown.action, unknown.who, unknown.target) == ("log in failed", "", "an unknown name")


def test_too_many_attempts_must_wait(world: World, anonymous: Browser) -> None:
    anonymous.get("/monitor/login")
    for _ in range(10):
        anonymous.post("/monitor/login", {"username": "ana", "password": "wrong"})
    answer = anonymous.post("/monitor/login", {"username": "ana", "password": PASSWORDS["ana"]})
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "too many failed log-ins" in answer.words


def test_a_browser_that_has_logged_in_before_is_not_held_up_by_strangers(world: World) -> None:
    browser, stranger = world.browser("ana"), world.browser()
    browser.post("/monitor/logout")
    assert not any("session" in name for name in browser.jar)
    stranger.get("/monitor/login")
    for _ in range(10):
        stranger.post("/monitor/login", {"username": "ana", "password": "wrong"})
    good = {"username": "ana", "password": PASSWORDS["ana"]}
    assert stranger.post("/monitor/login", good).status == 429
    browser.get("/monitor/login")
    answer = browser.post("/monitor/login", good)
    assert answer.status == 303
    device = next(each for each in answer.cookies if each.startswith("duey_device_")).lower()
    assert "httponly" in device and "max-age=34560000" in device
    assert "lock out" in world.browser("ana").get("/monitor/audit").words


@pytest.mark.parametrize(
    "form", [{}, {"username": "ana"}, {"password": "x"}, {"username": "\ud83d", "password": "\x00"}]
)
def test_odd_forms_are_only_wrong(anonymous: Browser, form) -> None:
    anonymous.get("/monitor/login")
    form = {name: value.encode("utf-8", "surrogatepass") for name, value in form.items()}
    assert anonymous.post("/monitor/login", form).status == 403


def test_the_log_in_form_needs_its_proof(world: World, anonymous: Browser) -> None:
    good = {"username": "ana", "password": PASSWORDS["ana"]}
    anonymous.get("/monitor/login")
    stranger = world.browser()
    stranger.get("/monitor/login")
    for proof in ("", "0" * 64, stranger.proof):
        assert anonymous.post("/monitor/login", good, proof=proof).status == 403
    assert anonymous.post("/monitor/login", good, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert "duey_session" not in " ".join(anonymous.jar)


def test_cookies_are_closed_where_people_come_by_https(tmp_path: Path, clock: Clock) -> None:
    for n, (public_url, scheme, url_prefix, start) in enumerate((
        ("", "http", "", "duey_"),
        ("http://duey.localhost", "http", "/duey", "duey_"),
        ("", "https", "", "__Host-duey_"),
        ("", "https", "/duey", "__Secure-duey_"),
        ("https://jobs.example.org", "http", "", "__Host-duey_"),  # no proxy is trusted, and Host is the proxy's own
        ("https://jobs.example.org", "http", "/duey", "__Secure-duey_"),
    )):  # fmt: skip
        (tmp_path / str(n)).mkdir()
        world = make_world(tmp_path / str(n), clock, public_url=public_url, url_prefix=url_prefix)
        browser = world.browser(scheme=scheme)
        assert (start != "duey_") == ("strict-transport-security" in browser.get("/monitor/login").headers), n
        answer = browser.post("/monitor/login", {"username": "ana", "password": PASSWORDS["ana"]})
        closed = {"httponly", f"path={url_prefix or '/'}", "samesite=lax"} | ({"secure"} if start != "duey_" else set())
        assert {each.partition("_")[0] for each in browser.jar} == {start.partition("_")[0]}, n
        for cookie in answer.cookies:
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            parts = {part for part in parts if not part.startswith(("max-age", "expires"))}
            assert cookie.startswith(start) and parts == closed, (n, cookie)
        assert browser.get("/monitor/").status == 200, n
        theme = browser.post("/monitor/theme", {"theme": "dark"}, browser.get("/monitor/account").hidden()["proof"])
        assert ("; secure" in theme.cookies[0].lower()) == ("secure" in closed), n
        browser.jar = {name.removeprefix("__Host-").removeprefix("__Secure-"): v for name, v in browser.jar.items()}
        expected = 200 if start == "duey_" else 303  # one that another host or plain http has set counts for nothing
        assert browser.get("/monitor/").status == expected, n


def test_two_installations_on_one_host_do_not_share_sessions(tmp_path: Path, clock: Clock) -> None:
    worlds = []
    for name in ("production", "staging"):
        (tmp_path / name).mkdir()
        worlds.append(make_world(tmp_path / name, clock))
    first, second = (world.browser("ana") for world in worlds)
    assert not set(first.jar) & set(second.jar)


def test_another_applications_broken_cookie_does_no_harm(admin: Browser) -> None:
    admin.jar = {'broken"[]': '"a b{', **admin.jar}
    assert admin.get("/monitor/").status == 200


@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [
        ("/monitor/jobs?state=failed&q=a", "/monitor/jobs?state=failed&q=a"),
        ("/monitor", "/monitor"),
        ("", "/monitor/"),
        ("https://evil.test/", "/monitor/"),
        ("//evil.test/monitor/", "/monitor/"),
        ("/\\evil.test", "/monitor/"),
        ("/monitor/\\..\\..\\evil", "/monitor/"),
        ("/monitor//evil.test", "/monitor/"),
        ("/monitor/../api/jobs", "/monitor/"),
        ("/monitor/..", "/monitor/"),
        ("/monitor/%2e%2e/api/jobs", "/monitor/"),
        ("/monitor/.%2E/api/jobs", "/monitor/"),
        ("/monitor/%252e%252e/api/jobs", "/monitor/"),
        ("/monitor/..%2fapi/jobs", "/monitor/"),
        ("/monitor/%2f%2fevil.test", "/monitor/"),
        ("/monitor/%5c..%5cevil", "/monitor/"),
        ("/monitor/%25252e%25252e/api/jobs", "/monitor/"),
        ("/monitor/%2525252e%2525252e/api/jobs", "/monitor/"),
        ("/monitor/.%00./api", "/monitor/"),
        ("/monitor/%09/evil.test", "/monitor/"),
        ("/monitor/\t/evil.test", "/monitor/"),
        ("\t/monitor/", "/monitor/"),
        ("/\t/evil.test", "/monitor/"),
        ("/%09/evil.test", "/monitor/"),
        ("/%5cevil.test", "/monitor/"),
        ("/monitor/%255c%255cevil.test", "/monitor/"),
        ("/monitor@evil.test", "/monitor/"),
        ("/monitor.evil.test/", "/monitor/"),
        ("///evil.test/monitor/", "/monitor/"),
        ("http:/monitor/", "/monitor/"),
        ("HTTP:evil.test", "/monitor/"),
        ("/monitor/%e2%80%8b", "/monitor/"),
        ("/monitor/\u2028", "/monitor/"),
        ("/monitor/%0d%0aSet-Cookie:x", "/monitor/"),
        ("/monitor/%ff", "/monitor/"),
        ("/monitor/jobs/a%20b%25c", "/monitor/jobs/a%20b%25c"),
        ("/monitor/jobs?q=%2e%2e%2f", "/monitor/jobs?q=%2e%2e%2f"),
        ("/monitorevil", "/monitor/"),
        ("javascript:alert(1)", "/monitor/"),
        ("/monitor/\r\nSet-Cookie: x=1", "/monitor/"),
        ("/api/jobs", "/monitor/"),
    ],
)
def test_a_visitor_is_led_to_own_pages_only(anonymous: Browser, wanted: str, led_to: str) -> None:
    anonymous.get("/monitor/login")
    form = {"username": "ana", "password": PASSWORDS["ana"], "next": wanted}
    assert anonymous.post("/monitor/login", form).headers["location"] == led_to


def test_who_has_logged_in_needs_no_form(admin: Browser) -> None:
    assert admin.get("/monitor/login?next=/monitor/tasks").headers["location"] == "/monitor/tasks"


def test_a_new_log_in_ends_the_session_before_it(world: World, admin: Browser) -> None:
    old = dict(admin.jar)
    admin.post("/monitor/login", {"username": "vera", "password": PASSWORDS["vera"]})
    assert "vera" in admin.get("/monitor/account").words
    admin.jar = old
    assert admin.get("/monitor/").status == 303


def test_sessions_are_listed_and_ended_everywhere(world: World, admin: Browser) -> None:
    second = world.browser("ana")
    page = second.get("/monitor/account")
    assert page.text.count("192.0.2.7") == 2 and page.words.count("this one") == 1
    assert [each["this"] for each in second.get("/monitor/account.json").json["sessions"]].count(True) == 1
    answer = second.post("/monitor/logout-everywhere")
    assert "Sessions ended: 2" in second.follow(answer).words
    assert admin.get("/monitor/").status == 303
    assert world.access.audit.page(limit=1)[0].count == 2


def test_one_session_is_ended_and_then_all_others(world: World, admin: Browser) -> None:
    others = [world.browser("ana") for _ in range(3)]
    stranger = world.browser("vera")
    listed = admin.get("/monitor/account.json").json["sessions"]
    first = min(each["id"] for each in listed if not each["this"])
    assert admin.get("/monitor/account").text.count('formaction="/monitor/account/end"') == 3
    assert "that browser is logged out" in admin.follow(admin.post("/monitor/account/end", {"session": first})).words
    assert [browser.get("/monitor/").status for browser in others] == [303, 200, 200]
    for number in (first, "x", "", 10**30, stranger.get("/monitor/account.json").json["sessions"][0]["id"]):
        answer = admin.post("/monitor/account/end", {"session": number})
        assert "ended already: nothing was changed" in admin.follow(answer).words
    assert "2 other sessions ended" in admin.follow(admin.post("/monitor/account/end-others")).words
    assert "no other session" in admin.follow(admin.post("/monitor/account/end-others")).words
    assert [browser.get("/monitor/").status for browser in (*others, stranger)] == [303, 303, 303, 200]
    line = world.access.audit.page(limit=1)[0]
    assert (line.action, line.target, line.count) == ("end other sessions", "ana", 2)


def test_everybody_changes_the_own_password_and_nobody_else_s(world: World, viewer: Browser) -> None:
    other, old = world.browser("vera"), PASSWORDS["vera"]
    assert 'action="/monitor/account/password"' in viewer.get("/monitor/account").text
    for given, new, status, words in (
        ("wrong", "a new long sentence", 403, "the password is wrong"),
        (old, "short", 422, "expected 8 to 1024 characters"),
        (old, "password1", 422, "found a common one"),
        (old, "vera-2026", 422, "found a common one"),
    ):
        answer = viewer.post("/monitor/account/password", {"password": given, "new_password": new})
        assert answer.status == status and words in answer.words, new
        assert given not in answer.text.replace("wrong:", "") and new not in answer.text
    assert other.get("/monitor/").status == 200
    form = {"password": old, "new_password": "a new long sentence", "username": "ana"}
    changed = viewer.post("/monitor/account/password", form)
    assert "Your password is changed." in viewer.follow(changed).words
    assert other.get("/monitor/").status == 303
    assert world.access.accounts.authenticate("ana", PASSWORDS["ana"], "203.0.113.9")
    assert world.access.accounts.authenticate("vera", "a new long sentence", "203.0.113.9")
    line = world.access.audit.page(limit=1)[0]
    assert (line.action, line.who, line.target) == ("set password", "vera", "vera")
    for _ in range(10):
        viewer.get("/monitor/account")
        viewer.post("/monitor/account/password", {"password": "wrong", "new_password": "another long one"})
    answer = viewer.post("/monitor/account/password", {"password": "a new long sentence", "new_password": "x" * 9})
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (429, True)


def test_to_delete_many_asks_for_the_password_again(world: World, admin: Browser, clock: Clock) -> None:
    ids = [job.id for job in world.control.all.values() if job.state == "failed"][:2]
    form = {"verb": "delete", "sure": "1", "id": [f"failed {each}" for each in ids]}
    clock.now += 601
    asked = admin.post("/monitor/jobs", form)
    assert asked.status == 403 and "once more" in asked.words
    assert [value in asked.text for value in form["id"]] == [True, True] and 'value="delete"' in asked.text
    assert admin.post("/monitor/jobs", {"verb": "delete", "id": form["id"]}).status == 200  # only the question how many
    wrong = admin.post("/monitor/jobs", {**form, "confirm_password": "wrong <b>"})
    assert wrong.status == 403 and "the password is wrong" in wrong.words and "wrong &lt;b" not in wrong.text
    assert all(each in world.control.all for each in ids)
    right = admin.post("/monitor/jobs", {**form, "confirm_password": PASSWORDS["ana"]})
    assert "2 jobs deleted" in admin.follow(right).words
    assert not any(each in world.control.all for each in ids)
    clock.now += 599
    assert admin.post("/monitor/jobs", form).status == 303
    clock.now += 2
    assert admin.post("/monitor/jobs", form).status == 403


def test_a_page_that_only_polls_is_logged_out_in_the_end(world: World, admin: Browser, clock: Clock) -> None:
    for _ in range(11):
        clock.now += 3600
        assert admin.get("/monitor/?fragment=now").status == 200
    clock.now += 3601
    assert admin.get("/monitor/?fragment=now").status == 401
    assert admin.get("/monitor/").status == 303


def test_a_role_counts_from_the_next_request(world: World, admin: Browser) -> None:
    world.access.accounts.create("root", "admin", "another long password")
    world.access.accounts.set_role("ana", "viewer")
    assert admin.post("/monitor/tasks/add/pause").status == 403


def test_the_theme_is_kept_in_a_cookie_and_drawn_by_the_server(admin: Browser) -> None:
    assert "data-theme" not in admin.get("/monitor/tasks").text
    answer = admin.post("/monitor/theme", {"theme": "dark", "back": "/monitor/tasks"})
    assert answer.headers["location"] == "/monitor/tasks"
    assert '<html lang="en" data-theme="dark">' in admin.follow(answer).text
    admin.post("/monitor/theme", {"theme": ""})
    assert "data-theme=" not in admin.get("/monitor/tasks").text
    admin.jar["duey_theme"] = '"><script>'
    assert "data-theme=" not in admin.get("/monitor/tasks").text
