"""People whom the proxy has logged in: their accounts, their roles, and who is not let in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access, Account, InvalidInput, LocalAccount, NotInGroup, ProxyAccount
from duey.monitor.access.login.proxied import GroupRoles
from tests.monitor.access.conftest import HOME, PASSWORD, of_file
from tests.monitor.conftest import Clock

GROUPS = GroupRoles(True, frozenset({"ops", "Ärzte"}), frozenset({"staff"}))


def visit(access: Access, name: str, groups: str = "") -> Account:
    return access.proxy_users.visit(name, groups, HOME, "a browser")[1].account


def test_an_account_is_made_at_the_first_visit_and_only_then(ada: Access, clock: Clock) -> None:
    account = visit(ada, "cy@example.org")
    assert (account.role, account.origin, account.last_login_at) == ("viewer", "proxy", None)
    assert visit(ada, "CY@example.org").id == account.id
    lines = [(line.who, line.action, line.detail) for line in ada.audit.page()]
    assert lines == [(account.name, "log in", "by the proxy"), (account.name, "add account", "viewer, by the proxy")]
    clock.now += 11 * 3600
    visit(ada, "cy@example.org")
    assert len(ada.audit.page()) == 2, "the same visit goes on"
    clock.now += 3600
    visit(ada, "cy@example.org")
    assert [line.action for line in ada.audit.page()] == ["log in", "log in", "add account"]
    ada.accounts.set_role("cy@example.org", "admin")
    assert visit(ada, "cy@example.org").is_admin, "without groups, an admin decides the role here"


def test_groups_decide_the_role_at_each_request(url: str, clock: Clock) -> None:
    access = Access(url, clock=clock, roles=GROUPS)
    utf_8 = "Ärzte".encode().decode("latin-1")
    for groups, role in (("staff", "viewer"), ("x, ops", "admin"), ("x|staff", "viewer"), (utf_8, "admin")):
        assert visit(access, "cy", groups).role == role, groups
        assert access.accounts.get("cy").role == role
    for groups in ("", "x", "OPS", "ops staff", "," * 20_000 + "ops"):
        with pytest.raises(NotInGroup, match="none of the groups"):
            visit(access, "cy", groups)
    assert next(line.detail for line in access.audit.page(action="change role")) == "admin, by the proxy's groups"
    with pytest.raises(ProxyAccount):
        access.proxy_users.check_role_change(access.accounts.get("cy"))
    everybody = Access(url, clock=clock, roles=GroupRoles(True, frozenset({"ops"})))
    assert visit(everybody, "dan", "").role == "viewer"


def test_a_local_account_is_not_taken_over_and_odd_names_are_refused(ada: Access) -> None:
    for name in ("ada", "ADA"):
        with pytest.raises(LocalAccount, match="duey user remove ada"):
            visit(ada, name)
    for name in ("a, b", "a b", "x" * 65, "\n", "ana; admin", "é", "\u4e00"):
        with pytest.raises(InvalidInput, match="the user that the proxy names"):
            visit(ada, name)
    assert {each.name for each in ada.accounts.list()} == {"ada", "bob"}


def test_an_account_of_the_proxy_has_no_password(ada: Access, scrypts: list[Any], path: Path) -> None:
    visit(ada, "cy")
    for password in ("", PASSWORD, "\0" * 32):
        assert ada.accounts.authenticate("cy", password, HOME) is None
    assert len(scrypts) == 3, "as for any wrong password"
    with pytest.raises(ProxyAccount, match="change its password or its groups there"):
        ada.accounts.set_password("cy", "a long password")


@of_file
def test_the_proof_of_forms_belongs_to_one_user(ada: Access) -> None:
    keys = {name: ada.proxy_users.visit(name, "", HOME, "")[0] for name in ("cy", "dan", "cy")}
    assert ada.csrf.valid(keys["cy"], ada.csrf.token(keys["cy"])) and keys["cy"] != keys["dan"]


def test_many_first_requests_make_one_account(access: Access, at_once: Callable[..., list[Any]]) -> None:
    found = at_once(lambda n: visit(access, "cy").id)
    assert found == [found[0]] * 16
