"""Accounts on the command line: whom the proxy logs in, and a second factor that was lost."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

from duey.monitor.access.login.proxied import GroupRoles
from duey.monitor.access.login.second_factor import STEP_S, totp
from tests.cli.conftest import Run
from tests.monitor.conftest import Clock
from tests.monitor.web.world import World


def test_a_lost_second_factor_is_reset_and_its_sessions_end(
    empty: World, run_in: Callable[[World], Run], clock: Clock
) -> None:
    run, factors, account = run_in(empty), empty.access.second_factors, empty.access.accounts.get("ana")
    made = factors.begin(account)
    assert factors.confirm(account, totp(base64.b32decode(made.secret), int(clock.now) // STEP_S))
    browser = empty.browser("vera")
    assert "second factor on" in run("user", "list")[1]
    cookie = empty.access.sessions.start(empty.access.accounts.get("ana"), "192.0.2.7", "")
    status, out, err = run("user", "reset-totp", "ANA")
    assert (status, out) == (0, "the second factor of ana is off, and its sessions have ended\n"), err
    assert empty.access.sessions.find(cookie) is None and browser.get("/monitor/").status == 200
    assert empty.access.accounts.get("ana").second_factor_at is None
    assert (empty.access.audit.page()[0].action, empty.access.audit.page()[0].source) == (
        "reset second factor",
        "operator",
    )
    status, _, err = run("user", "reset-totp", "ana")
    assert status == 1 and "ana has no second factor: nothing was changed" in err
    assert run("user", "reset-totp", "nobody")[0] == 1


def test_the_role_and_password_of_a_user_of_the_proxy_are_not_changed_here(
    empty: World, run_in: Callable[[World], Run]
) -> None:
    run, users = run_in(empty), empty.access.proxy_users
    users.visit("eva", "", "192.0.2.7", "")
    assert "by the proxy" in run("user", "list")[1]
    assert run("user", "role", "eva", "admin")[:2] == (0, "eva is admin now\n"), "no groups decide it"
    users._roles = replace(GroupRoles(), by_groups=True)
    for words in (("role", "eva", "viewer"), ("password", "eva")):
        status, _, err = run("user", *words)
        assert status == 1 and "'eva' is logged in by the proxy" in err, words
