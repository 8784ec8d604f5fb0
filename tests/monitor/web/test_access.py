"""The page for accounts and tokens: what it shows, and that nothing changes unless it was meant, by who may do it."""

from __future__ import annotations

import re

import pytest

from duey.monitor.access import UnknownAccount, UnknownToken
from tests.monitor.conftest import Clock
from tests.monitor.web.client import Answer, Browser
from tests.monitor.web.world import PASSWORDS, World


def seen(browser: Browser, target: str) -> str:
    """The version that the page's button for this address carries."""
    text = browser.get("/monitor/access").text
    found = re.search(rf'name="seen" value="([^"]+)" formaction="/monitor/{re.escape(target)}"', text)
    assert found, target
    return found[1]


def act(browser: Browser, target: str) -> Answer:
    """A verb as a person uses it: the button, then the question's."""
    question = browser.post(f"/monitor/{target}", {"seen": seen(browser, target)})
    assert question.status == 200 and "sure" in question.hidden(), target
    return browser.post(f"/monitor/{target}", {"seen": question.hidden()["seen"], "sure": "1"})


def secret(answer: Answer) -> str:
    found = re.search(r'<pre class="secret">([^<]+)</pre>', answer.text)
    assert answer.status == 200 and found, answer.words
    return found[1]


def test_who_may_enter_is_shown_and_no_secret(world: World, admin: Browser, clock: Clock) -> None:
    world.access.tokens.create("ci", ("read", "enqueue"), 90 * 86400)
    world.access.tokens.create("old", ("admin",), 60)
    clock.now += 120
    world.browser("vera")
    page, data = admin.get("/monitor/access"), admin.get("/monitor/access.json").json
    accounts = {each.pop("name"): each for each in data["accounts"]}
    tokens = {each.pop("name"): each for each in data["tokens"]}
    assert (accounts["ana"]["role"], accounts["ana"]["sessions"], accounts["vera"]["sessions"]) == ("admin", 1, 1)
    assert accounts["vera"]["last_login_at"] > accounts["ana"]["last_login_at"]
    assert tokens["ci"]["scopes"] == ["read", "enqueue"] and tokens["ci"]["last_used_at"] is None
    rotation = {"rotated_at", "previous_until", "previous_used_at"}
    assert set(tokens["ci"]) == {"scopes", "created_at", "last_used_at", "expires_at", *rotation}
    for words in ("ana you admin", "the last admin", "read, enqueue", "in 89 d", "expired 1 min ago", "never"):
        assert words in page.words, words
    assert "scrypt" not in page.text and "digest" not in page.text


def test_a_viewer_learns_nothing_of_it(viewer: Browser) -> None:
    assert "/monitor/access" not in viewer.get("/monitor/").text
    for path in ("/access", "/access.json", "/access?fragment=list", "/access/new-account", "/access/new-token"):
        answer = viewer.get(f"/monitor{path}")
        assert answer.status == 403 and "ana" not in answer.words, path


def test_an_account_from_its_making_to_its_end(world: World, admin: Browser) -> None:
    made = admin.post("/monitor/accounts", {"name": " bob ", "role": "viewer"})
    password = secret(made)
    assert "The account bob is made" in made.words and made.headers["cache-control"] == "no-store"
    bob = Browser(admin.app)
    bob.log_in("bob", password)
    assert bob.get("/monitor/access").status == 403
    assert "bob is admin from now on" in admin.follow(act(admin, "accounts/bob/admin")).words
    assert bob.get("/monitor/access").status == 200
    assert "bob is viewer from now on" in admin.follow(act(admin, "accounts/bob/viewer")).words
    renewed = secret(act(admin, "accounts/bob/password"))
    assert renewed != password and bob.get("/monitor/").status == 303
    bob.log_in("bob", renewed)
    assert "bob is removed" in admin.follow(act(admin, "accounts/bob/remove")).words
    assert bob.get("/monitor/").status == 303
    lines = [line for line in world.access.audit.page() if line.target == "bob" and line.action != "log in"]
    assert [(line.who, line.action, line.detail) for line in reversed(lines)] == [
        ("ana", "add account", "viewer"), ("ana", "change role", "admin"), ("ana", "change role", "viewer"),
        ("ana", "set password", ""), ("ana", "remove account", ""),
    ]  # fmt: skip
    everything = " ".join(f"{line.target} {line.detail}" for line in world.access.audit.page())
    assert password not in everything and renewed not in everything


def test_a_token_from_its_making_to_its_end(world: World, admin: Browser, clock: Clock) -> None:
    form = {"name": "ci", "scope": ["read", "enqueue"], "days": "90"}
    value = secret(admin.post("/monitor/tokens", form))
    token = world.access.tokens.find(value)
    assert token and token.scopes == {"read", "enqueue"} and token.expires_at == clock.now + 90 * 86400
    assert value not in admin.get("/monitor/access").text
    assert "ci is revoked" in admin.follow(act(admin, "tokens/ci/revoke")).words
    assert world.access.tokens.find(value) is None
    for_ever = world.access.tokens.find(secret(admin.post("/monitor/tokens", {**form, "days": ""})))
    assert for_ever and for_ever.expires_at is None
    lines = [(line.who, line.action, line.detail) for line in reversed(world.access.audit.page(limit=3))]
    assert lines == [
        ("ana", "create token", "enqueue,read, for 90 days"),
        ("ana", "revoke token", ""),
        ("ana", "create token", "enqueue,read"),
    ]


def test_a_token_of_some_tasks_and_its_new_secret(world: World, admin: Browser, clock: Clock) -> None:
    made = {"name": "ci", "scope": ["read", "enqueue"], "tasks": "add, tasks.once", "days": "30"}
    old = secret(admin.post("/monitor/tokens", made))
    token = world.access.tokens.get("ci")
    assert token.tasks("enqueue") == token.tasks("read") == ("add", "tasks.once") and not token.allows("read")
    assert "enqueue:add, enqueue:tasks.once, read:add, read:tasks.once" in admin.get("/monitor/access").words
    clock.now += 300
    question = admin.post("/monitor/tokens/ci/rotate", {"seen": seen(admin, "tokens/ci/rotate")})
    assert "The old secret works on" in question.words and ">Make a new secret</button>" in question.text
    form = {"seen": question.hidden()["seen"], "sure": "1", "overlap_h": "24"}
    assert "sure" in admin.post("/monitor/tokens/ci/rotate", {**form, "overlap_h": "9999"}).hidden(), "it asks again"
    new = secret(admin.post("/monitor/tokens/ci/rotate", form))
    assert world.access.tokens.find(new) and world.access.tokens.find(old)
    assert "old secret ends" in admin.get("/monitor/access").words
    assert world.access.tokens.get("ci").expires_at == clock.now + 30 * 86400
    answer = admin.follow(admin.post("/monitor/tokens/ci/rotate", form))
    assert "was changed or removed since you looked" in answer.words, "a click twice makes one secret"
    line = world.access.audit.page(limit=1)[0]
    assert (line.action, line.detail) == ("rotate token", "the old secret is valid for 24 h")
    clock.now += 86400
    assert world.access.tokens.find(old) is None and world.access.tokens.find(new)


def test_what_cannot_be_made_says_so_and_keeps_what_was_typed(world: World, admin: Browser) -> None:
    world.access.tokens.create("ci", ("read",))
    before = len(world.access.audit.page(limit=500))
    for path, form, status, words in (
        ("accounts", {"name": "ANA", "role": "viewer"}, 409, "an account named"),
        ("accounts", {"name": "a b", "role": "viewer"}, 422, "account name: expected"),
        ("accounts", {"name": "", "role": "viewer"}, 422, "account name: expected"),
        ("accounts", {"name": "bob", "role": "root"}, 422, "role: expected admin or viewer"),
        ("accounts", {}, 422, "expected"),
        ("tokens", {"name": "CI", "scope": "read", "days": "30"}, 409, "a token named"),
        ("tokens", {"name": "<b>", "scope": "read", "days": "30"}, 422, "token name: expected"),
        ("tokens", {"name": "x", "days": "30"}, 422, "scopes: expected 1 to 50 of read, enqueue, admin"),
        ("tokens", {"name": "x", "scope": ["read", "root"], "days": "30"}, 422, "found root"),
        ("tokens", {"name": "x", "scope": "read", "days": "-1"}, 422, "expiry: expected 30, 90, 365 days or none"),
        ("tokens", {"name": "x", "scope": "read", "days": "9" * 40}, 422, "expiry: expected"),
    ):
        answer = admin.post(f"/monitor/{path}", form)
        assert answer.status == status and words in answer.words, (path, form, answer.words)
        assert f'value="{form.get("name", "")}"'.replace("<b>", "&lt;b&gt;") in answer.text, form
    assert len(world.access.audit.page(limit=500)) == before


def test_a_verb_holds_only_for_what_was_seen(world: World, admin: Browser) -> None:
    accounts, tokens = world.access.accounts, world.access.tokens
    for target in ("bob/admin", "bob/password", "bob/remove"):
        for change in (
            lambda: accounts.set_role("bob", "admin"),
            lambda: accounts.set_password("bob"),
            lambda: (accounts.remove("bob"), accounts.create("bob", "viewer")),
        ):
            accounts.create("bob", "viewer")
            version = seen(admin, f"accounts/{target}")
            change()
            after = accounts.get("bob")
            for form in ({"seen": version}, {"seen": version, "sure": "1"}, {"sure": "1"}, {"seen": "", "sure": "1"}):
                answer = admin.post(f"/monitor/accounts/{target}", form)
                words = admin.follow(answer).words
                assert "changed or removed since you looked. Nothing was changed" in words, (target, form)
            assert accounts.get("bob") == after
            accounts.remove("bob")
    tokens.create("ci", ("read",))
    version = seen(admin, "tokens/ci/revoke")
    tokens.revoke("ci")
    tokens.create("ci", ("read",))
    answer = admin.post("/monitor/tokens/ci/revoke", {"seen": version, "sure": "1"})
    assert "Nothing was changed" in admin.follow(answer).words and tokens.get("ci")
    for path in ("accounts/nobody/remove", "tokens/nothing/revoke"):
        answer = admin.post(f"/monitor/{path}", {"seen": version, "sure": "1"})
        assert "named 'no" in admin.follow(answer).words, path
    assert admin.post("/monitor/accounts/bob/explode", {"seen": "1"}).status == 404


def test_the_last_admin_stays(world: World, admin: Browser) -> None:
    version = world.access.accounts.get("ana").version
    page = admin.get("/monitor/access").text
    for verb in ("viewer", "remove"):
        assert f"accounts/ana/{verb}" not in page
        for form in ({"seen": version}, {"seen": version, "sure": "1"}):
            answer = admin.post(f"/monitor/accounts/ana/{verb}", form)
            assert "is the last admin" in admin.follow(answer).words, verb
    assert world.access.accounts.get("ana").version == version
    world.access.accounts.create("eva", "admin")
    assert act(admin, "accounts/ana/remove").headers["location"] == "/monitor/access"
    assert admin.get("/monitor/").status == 303


def test_ones_own_password_is_for_the_account_page(world: World, admin: Browser) -> None:
    assert "accounts/ana/password" not in admin.get("/monitor/access").text
    form = {"seen": world.access.accounts.get("ana").version, "sure": "1"}
    assert admin.post("/monitor/accounts/ANA/password", form).headers["location"] == "/monitor/account"
    assert world.access.accounts.authenticate("ana", PASSWORDS["ana"], "203.0.113.9")


def test_each_change_asks_for_the_password_after_a_while(world: World, admin: Browser, clock: Clock) -> None:
    world.access.accounts.create("bob", "viewer")
    world.access.tokens.create("ci", ("read",))
    clock.now += 601
    for target, form, gone in (
        ("accounts/bob/remove", {"sure": "1"}, lambda: world.access.accounts.get("bob")),
        ("tokens/ci/revoke", {"sure": "1"}, lambda: world.access.tokens.get("ci")),
    ):
        form["seen"] = seen(admin, target)
        asked = admin.post(f"/monitor/{target}", form)
        assert asked.status == 403 and "once more" in asked.words and form["seen"] in asked.text, target
        assert gone()
        wrong = admin.post(f"/monitor/{target}", {**form, "confirm_password": "wrong"})
        assert wrong.status == 403 and gone(), target
        assert admin.post(f"/monitor/{target}", {**form, "confirm_password": PASSWORDS["ana"]}).status == 303
        with pytest.raises((UnknownAccount, UnknownToken)):
            gone()
        clock.now += 601
    for target, form in (
        ("accounts", {"name": "eva", "role": "admin"}),
        ("tokens", {"name": "x", "scope": "admin", "days": ""}),
    ):
        asked = admin.post(f"/monitor/{target}", form)
        assert asked.status == 403 and "once more" in asked.words, target
    assert "eva" not in {each.name for each in world.access.accounts.list()} and not world.access.tokens.list()


def test_more_than_a_page_holds_is_counted(world: World, admin: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duey.monitor.web.pages.people.access.SHOWN", 3)
    for n in range(5):
        world.access.tokens.create(f"t{n}", ("read",))
    page = admin.get("/monitor/access")
    assert "2 more tokens" in page.words and "more account" not in page.words and "t3" not in page.words
