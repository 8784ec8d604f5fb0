"""Log-in and log-out, sessions, cookies, and where a visitor is led."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from duey.monitor.web.request import REMOTE_USER
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.world import PASSWORDS, World, make_world

GOOD = {"username": "ana", "password": PASSWORDS["ana"]}
WRONG = {"username": "ana", "password": "wrong"}


def at_the_form(world: World) -> Browser:
    browser = world.browser()
    browser.get("/monitor/login")
    return browser


def test_log_in_and_out(empty: World) -> None:
    browser = empty.browser()
    page = browser.get("/monitor/login").text
    assert 'name="username"' in page and 'name="password"' in page and 'method="post"' in page
    assert browser.post("/monitor/login", GOOD).headers["location"] == "/monitor/"
    assert browser.get("/monitor/").status == 200
    assert browser.get("/monitor/login?next=/monitor/tasks").headers["location"] == "/monitor/tasks"
    browser.get("/monitor/account")
    kept = dict(browser.jar)
    left = browser.post("/monitor/logout")
    assert left.headers["location"] == "/monitor/login"
    assert "You are logged out." in browser.follow(left).words
    assert browser.get("/monitor/").status == 303
    browser.jar = kept
    assert browser.get("/monitor/").status == 303, "a session that has ended opens nothing even with its cookie"
    assert [line.action for line in empty.access.audit.page()] == ["log out", "log in"]
    admin = empty.browser("ana")
    old = dict(admin.jar)
    admin.post("/monitor/login", {"username": "vera", "password": PASSWORDS["vera"]})
    assert "vera" in admin.get("/monitor/account").words
    admin.jar = old
    assert admin.get("/monitor/").status == 303, "a new log-in ends the session before it"
    admin = empty.browser("ana")
    admin.jar = {'broken"[]': '"a b{', **admin.jar}
    assert admin.get("/monitor/").status == 200, "another application's broken cookie does no harm"


def test_every_wrong_log_in_gets_the_same_answer(empty: World) -> None:
    browser = at_the_form(empty)
    wrong, unknown = (browser.post("/monitor/login", {**WRONG, "username": name}) for name in ("ana", "bea"))
    assert wrong.status == unknown.status == 403
    assert wrong.text.replace('value="ana"', 'value="bea"') == unknown.text
    assert "name or password is wrong" in wrong.words
    browser.post("/monitor/login", {"username": PASSWORDS["ana"], "password": "ana"})
    typed, bea, ana = empty.access.audit.page()
    assert (ana.action, ana.who, ana.target) == ("log in failed", "ana", "ana")
    for line in (typed, bea):  # it may be a password
        assert (line.action, line.who, line.target) == ("log in failed", "", "an unknown name")
    for form in ({}, {"username": "ana"}, {"password": "x"}, {"username": "\ud83d", "password": "\x00"}):
        sent = {name: value.encode("utf-8", "surrogatepass") for name, value in form.items()}
        assert browser.post("/monitor/login", sent).status == 403, form


def test_too_many_attempts_must_wait_but_not_in_a_known_browser(empty: World) -> None:
    known, stranger = empty.browser("ana"), at_the_form(empty)
    known.post("/monitor/logout")
    assert not any("session" in name for name in known.jar)
    for _ in range(10):
        stranger.post("/monitor/login", WRONG)
    answer = stranger.post("/monitor/login", GOOD)
    assert answer.status == 429 and int(answer.headers["retry-after"]) > 0
    assert "too many failed log-ins" in answer.words
    known.get("/monitor/login")
    answer = known.post("/monitor/login", GOOD)
    assert answer.status == 303
    device = next(each for each in answer.cookies if each.startswith("duey_device_")).lower()
    assert "httponly" in device and "max-age=34560000" in device
    assert "lock out" in empty.browser("vera").get("/monitor/audit").words


def test_the_log_in_form_needs_its_proof(empty: World) -> None:
    browser, stranger = at_the_form(empty), at_the_form(empty)
    for proof in ("", "0" * 64, stranger.proof):
        assert browser.post("/monitor/login", GOOD, proof=proof).status == 403
    assert browser.post("/monitor/login", GOOD, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert "duey_session" not in " ".join(browser.jar)


def test_cookies_are_closed_where_people_come_by_https(tmp_path: Path, clock: Clock) -> None:
    names = []
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
        answer = browser.post("/monitor/login", GOOD)
        closed = {"httponly", f"path={url_prefix or '/'}", "samesite=lax"} | ({"secure"} if start != "duey_" else set())
        assert {each.partition("_")[0] for each in browser.jar} == {start.partition("_")[0]}, n
        for cookie in answer.cookies:
            parts = {part.strip().lower() for part in cookie.split(";")[1:]}
            parts = {part for part in parts if not part.startswith(("max-age", "expires"))}
            assert cookie.startswith(start) and parts == closed, (n, cookie)
        names += [{name.rpartition("-")[2] for name in browser.jar}]
        assert browser.get("/monitor/").status == 200, n
        theme = browser.post("/monitor/theme", {"theme": "dark"}, browser.get("/monitor/account").hidden()["proof"])
        assert ("; secure" in theme.cookies[0].lower()) == ("secure" in closed), n
        browser.jar = {name.removeprefix("__Host-").removeprefix("__Secure-"): v for name, v in browser.jar.items()}
        expected = 200 if start == "duey_" else 303  # one that another host or plain http has set counts for nothing
        assert browser.get("/monitor/").status == expected, n
        world.close()
    assert not names[0] & names[2], "two installations on one host do not share sessions"


LED = {
    "/monitor/jobs?state=failed&q=a": "/monitor/jobs?state=failed&q=a",
    "/monitor": "/monitor",
    "/monitor/jobs/a%20b%25c": "/monitor/jobs/a%20b%25c",
    "/monitor/jobs?q=%2e%2e%2f": "/monitor/jobs?q=%2e%2e%2f",
}
LED_ASTRAY = (
    "", "https://evil.test/", "//evil.test/monitor/", "/\\evil.test", "/monitor/\\..\\..\\evil", "/monitor//evil.test",
    "/monitor/../api/jobs", "/monitor/..", "/monitor/%2e%2e/api/jobs", "/monitor/.%2E/api/jobs",
    "/monitor/%252e%252e/api/jobs", "/monitor/..%2fapi/jobs", "/monitor/%2f%2fevil.test", "/monitor/%5c..%5cevil",
    "/monitor/%25252e%25252e/api/jobs", "/monitor/%2525252e%2525252e/api/jobs", "/monitor/.%00./api",
    "/monitor/%09/evil.test", "/monitor/\t/evil.test", "\t/monitor/", "/\t/evil.test", "/%09/evil.test",
    "/%5cevil.test", "/monitor/%255c%255cevil.test", "/monitor@evil.test", "/monitor.evil.test/",
    "///evil.test/monitor/", "http:/monitor/", "HTTP:evil.test", "/monitor/%e2%80%8b", "/monitor/\u2028",
    "/monitor/%0d%0aSet-Cookie:x", "/monitor/%ff", "/monitorevil", "javascript:alert(1)",
    "/monitor/\r\nSet-Cookie: x=1", "/api/jobs",
)  # fmt: skip


def test_a_visitor_is_led_to_own_pages_only(empty: World) -> None:
    browser = at_the_form(empty)
    assert browser.post("/monitor/login", {**GOOD, "next": "/monitor/jobs"}).headers["location"] == "/monitor/jobs"
    browser.get("/monitor/tasks")
    for wanted, led_to in {**LED, **dict.fromkeys(LED_ASTRAY, "/monitor/")}.items():
        assert browser.get("/monitor/login", next=wanted).headers["location"] == led_to, wanted


# sessions


def statuses(*browsers: Browser) -> list[int]:
    return [browser.get("/monitor/").status for browser in browsers]


def test_sessions_are_listed_and_ended(empty: World) -> None:
    admin, stranger = empty.browser("ana"), empty.browser("vera")
    others = [empty.browser("ana") for _ in range(3)]

    def said(action: str, **form: object) -> str:
        return admin.follow(admin.post(f"/monitor/{action}", form)).words

    page = admin.get("/monitor/account")
    assert page.text.count("192.0.2.7") == 4 and page.words.count("this one") == 1
    assert page.text.count('formaction="/monitor/account/end"') == 3
    listed = admin.get("/monitor/account.json").json["sessions"]
    assert [each["this"] for each in listed].count(True) == 1
    first = min(each["id"] for each in listed if not each["this"])
    assert "that browser is logged out" in said("account/end", session=first)
    assert statuses(*others) == [303, 200, 200]
    for number in (first, "x", "", 10**30, stranger.get("/monitor/account.json").json["sessions"][0]["id"]):
        assert "ended already: nothing was changed" in said("account/end", session=number), number
    assert "2 other sessions ended" in said("account/end-others")
    assert "no other session" in said("account/end-others")
    assert statuses(*others, stranger) == [303, 303, 303, 200]
    line = empty.access.audit.page(limit=1)[0]
    assert (line.action, line.target, line.count) == ("end other sessions", "ana", 2)
    empty.browser("ana")
    assert "Sessions ended: 2" in said("logout-everywhere")
    assert statuses(admin) == [303] and empty.access.audit.page(limit=1)[0].count == 2


def test_everybody_changes_the_own_password_and_nobody_else_s(empty: World) -> None:
    viewer, other, old, new = empty.browser("vera"), empty.browser("vera"), PASSWORDS["vera"], "a new long sentence"

    def change(password: str, new_password: str, **more: str) -> Answer:
        form = {"password": password, "new_password": new_password, **more}
        return viewer.post("/monitor/account/password", form)

    assert 'action="/monitor/account/password"' in viewer.get("/monitor/account").text
    for given, wanted, status, words in (
        ("wrong", new, 403, "the password is wrong"), (old, "short", 422, "expected 8 to 1024 characters"),
        (old, "password1", 422, "found a common one"), (old, "vera-2026", 422, "found a common one"),
    ):  # fmt: skip
        answer = change(given, wanted)
        assert answer.status == status and words in answer.words, wanted
        assert given not in answer.text.replace("wrong:", "") and wanted not in answer.text
    assert statuses(other) == [200]
    assert "Your password is changed." in viewer.follow(change(old, new, username="ana")).words
    assert statuses(other) == [303]
    for name, password in (("ana", PASSWORDS["ana"]), ("vera", new)):
        assert empty.access.accounts.authenticate(name, password, "203.0.113.9")
    line = empty.access.audit.page(limit=1)[0]
    assert (line.action, line.who, line.target) == ("set password", "vera", "vera")
    viewer.get("/monitor/account")
    for _ in range(10):
        change("wrong", "another long one")
    answer = change(new, "x" * 9)
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (429, True)


def test_to_delete_many_asks_for_the_password_again(world: World, admin: Browser, clock: Clock) -> None:
    ids = ["failed-0", "failed-1"]
    form = {"verb": "delete", "sure": "1", "id": [f"failed {each}" for each in ids]}
    clock.now += 601
    asked = admin.post("/monitor/jobs", form)
    assert asked.status == 403 and "once more" in asked.words
    assert [value in asked.text for value in form["id"]] == [True, True] and 'value="delete"' in asked.text
    assert admin.post("/monitor/jobs", {"verb": "delete", "id": form["id"]}).status == 200  # only the question how many
    wrong = admin.post("/monitor/jobs", {**form, "confirm_password": "wrong <b>"})
    assert wrong.status == 403 and "the password is wrong" in wrong.words and "wrong &lt;b" not in wrong.text
    assert {*ids} <= {*world.ids("failed")}
    right = admin.post("/monitor/jobs", {**form, "confirm_password": PASSWORDS["ana"]})
    assert "2 jobs deleted" in admin.follow(right).words and not {*ids} & {*world.ids("failed")}
    clock.now += 599
    assert admin.post("/monitor/jobs", form).status == 303
    clock.now += 2
    assert admin.post("/monitor/jobs", form).status == 403


def test_a_page_that_only_polls_is_logged_out_in_the_end_and_a_role_counts_at_once(empty: World, clock: Clock) -> None:
    admin = empty.browser("ana")
    empty.access.accounts.create("root", "admin", "another long password")
    empty.access.accounts.set_role("ana", "viewer")
    assert admin.post("/monitor/tasks/add/pause").status == 403
    for _ in range(11):
        clock.now += 3600
        assert admin.get("/monitor/?fragment=now").status == 200
    clock.now += 3601
    assert admin.get("/monitor/?fragment=now").status == 401
    assert statuses(admin) == [303]


def test_all_times_are_in_the_zone_of_the_service_or_that_of_the_browser(world: World, admin: Browser) -> None:
    """Also what is typed. A zone that does not exist is that of the service."""
    page = admin.get("/monitor/alerts")
    assert "As of 2027-01-15 08:00:00 UTC" in page.words and 'data-zone="UTC"' in page.text
    answer = admin.post("/monitor/zone", {"zone": "America/Argentina/Buenos_Aires", "back": "/monitor/alerts"})
    assert answer.headers["location"] == "/monitor/alerts" and "httponly" in answer.cookies[0].lower()
    page = admin.follow(answer)
    assert "As of 2027-01-15 05:00:00 -03" in page.words and 'data-zone="America/Argentina/Buenos_Aires"' in page.text
    (id, *_) = [each.incident.id for each in world.site.services.alerts.incidents("open").rows]
    answer = admin.follow(admin.post(f"/monitor/alerts/{id}/mute", {"until": "2027-01-15T06:30"}))
    assert "Muted until 06:30 -03" in answer.words
    assert world.site.services.alerts.incident(id).incident.muted_until == 1_800_000_000 + 5400
    for wrong in ("", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "a" * 5000, "\0"):
        admin.post("/monitor/zone", {"zone": wrong})
        assert "08:00:00 UTC" in admin.get("/monitor/alerts").words, wrong
        admin.jar["duey_zone"] = wrong
        assert "08:00:00 UTC" in admin.get("/monitor/alerts").words, wrong


def test_the_theme_is_kept_in_a_cookie_and_drawn_by_the_server(empty: World) -> None:
    admin = empty.browser("ana")
    assert "data-theme" not in admin.get("/monitor/tasks").text
    answer = admin.post("/monitor/theme", {"theme": "dark", "back": "/monitor/tasks"})
    assert answer.headers["location"] == "/monitor/tasks"
    assert '<html lang="en" data-theme="dark">' in admin.follow(answer).text
    admin.post("/monitor/theme", {"theme": ""})
    assert "data-theme=" not in admin.get("/monitor/tasks").text
    admin.jar["duey_theme"] = '"><script>'
    assert "data-theme=" not in admin.get("/monitor/tasks").text


def test_whom_the_proxy_has_logged_in_neither_logs_in_nor_out_here(empty: World) -> None:
    site = empty.browser().app
    browser = Browser(lambda environ, start: site({**environ, REMOTE_USER: "eva"}, start))
    page = browser.get("/monitor/account")
    assert "The proxy in front of this service has logged you in" in page.words and "Log out" not in page.words
    assert not browser.jar, "nothing of ours outlives what the proxy says"
    assert browser.get("/monitor/login").headers["location"] == "/monitor/"
    for path, form in (("login", GOOD), ("logout", {}), ("logout-everywhere", {})):
        answer = browser.post(f"/monitor/{path}", form)
        assert answer.status == 303 and "nothing was changed" in unquote(" ".join(answer.cookies)), path
        assert "session" not in " ".join(browser.jar), path
    assert browser.post("/monitor/tasks/add/pause").status == 403, "a viewer"
    empty.access.accounts.set_role("eva", "admin")
    assert browser.post("/monitor/tasks/add/pause").status == 303
    assert browser.post("/monitor/tasks/add/pause", proof=empty.browser("ana").proof).status == 403
    made = browser.post("/monitor/accounts", {"name": "bea", "role": "viewer"})
    assert made.status == 200 and "The account bea is made" in made.words, "no password is asked for that is not here"
    assert empty.access.audit.page(limit=1)[0].who == "eva"
    row = re.sub(
        r"<[^>]*>", " ", browser.get("/monitor/access").text.partition('data-id="account-3')[2].partition("</tr>")[0]
    )
    assert "proxy" in row and "New password" not in row
    empty.access.accounts.remove("eva")
    assert "viewer" in browser.get("/monitor/account").words, "made anew, without what it was"
