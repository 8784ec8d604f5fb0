"""The accounts of people and the tokens of programs, and all that an admin can change about them.

Each change requires that the account or token is still as the user saw it, asks for the password unless it was
entered recently, and is written to the audit log. Passwords and secrets are generated, and shown once in the answer
to the form. Users change their own password on the account page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from duey.monitor.access import (
    ADMIN,
    ROLES,
    SCOPES,
    VIEWER,
    AccessError,
    Account,
    AccountExists,
    ChangedSince,
    InvalidInput,
    LastAdmin,
    ProxyAccount,
    Token,
    TokenExists,
    UnknownAccount,
    UnknownToken,
)
from duey.monitor.web.display.formats import DAY_S, HOUR_S, plural
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View, get, post
from duey.monitor.web.services import Services

SHOWN = 500
OVERLAPS_H = (("24", "for a day"), ("168", "for a week"), ("1", "for an hour"), ("0", "not at all"))
TASKS_CHARS = 4000
DAYS = (("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("", "never"))
REFUSED = (ChangedSince, LastAdmin, ProxyAccount, UnknownAccount, UnknownToken)


def always(form: Fields) -> bool:
    return True


def when_sure(form: Fields) -> bool:
    return "sure" in form


class AccessPage:
    """GET /access, /access/new-account, /access/new-token, POST /accounts, /accounts/NAME/admin, /viewer, /password,
    /second-factor, /remove, POST /tokens, /tokens/NAME/rotate, /revoke. For admins only."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._verbs: dict[str, Callable[[Request, Account, str], View | Done]] = {
            ADMIN: self._set_role,
            VIEWER: self._set_role,
            "password": self._set_password,
            "second-factor": self._reset_second_factor,
            "remove": self._remove,
        }

    def routes(self) -> list[Route]:
        return [
            get("/access", self.show, admin=True),
            get("/access/new-account", self.new_account, admin=True),
            get("/access/new-token", self.new_token, admin=True),
            post("/accounts", self.add, fresh=always),
            post("/accounts/<name>/<verb>", self.change, fresh=when_sure),
            post("/tokens", self.make, fresh=always),
            post("/tokens/<name>/rotate", self.rotate, fresh=when_sure),
            post("/tokens/<name>/revoke", self.revoke, fresh=when_sure),
        ]

    def show(self, request: Request) -> View:
        access = self._services.access
        accounts, tokens, sessions = access.accounts.list(), access.tokens.list(), access.sessions.counts()
        data: dict[str, Any] = {
            "accounts": [
                {
                    "name": each.name,
                    "role": each.role,
                    "origin": each.origin,
                    "second_factor_at": each.second_factor_at,
                    "sessions": sessions.get(each.id, 0),
                    "last_login_at": each.last_login_at,
                    "created_at": each.created_at,
                }
                for each in accounts[:SHOWN]
            ],
            "tokens": [
                {
                    "name": each.name,
                    "scopes": sorted(each.scopes, key=_order),
                    "last_used_at": each.last_used_at,
                    "expires_at": each.expires_at,
                    "rotated_at": each.rotated_at,
                    "previous_until": each.previous_until,
                    "previous_used_at": each.previous_used_at,
                    "created_at": each.created_at,
                }
                for each in tokens[:SHOWN]
            ],
        }
        more = {
            "rows": list(zip(accounts[:SHOWN], data["accounts"], strict=True)),
            "token_rows": list(zip(tokens[:SHOWN], data["tokens"], strict=True)),
            "left": [max(0, len(accounts) - SHOWN), max(0, len(tokens) - SHOWN)],
            "by_groups": bool(self._services.settings.auth.remote_groups_header),
            "admins": sum(each.is_admin for each in accounts),
        }
        return View("access", "Access", data, more, "access", ("list",))

    # accounts

    def new_account(self, request: Request) -> View:
        return self._form("account", {"name": "", "role": VIEWER})

    def add(self, request: Request) -> View:
        name, role = request.form.get("name").strip(), request.form.get("role")
        try:
            account, password = self._services.access.accounts.create(name, role)
        except (InvalidInput, AccountExists) as error:
            return self._form("account", {"name": name, "role": role}, error)
        self._services.record(request, "add account", account.name, detail=account.role)
        return self._made(f"The account {account.name} is made", account.name, "password", password)

    def change(self, request: Request, name: str, verb: str) -> View | Done:
        if verb not in self._verbs:
            raise Refusal(404, f"expected {', '.join(self._verbs)}, found {verb[:50]!r}")
        if verb == "password" and name.lower() == request.who.lower():
            return Done(self._services.links.to("/account"), "Your own password is changed here.", NOTE)
        try:
            account = self._services.access.accounts.get(name)
            self._still(account, request)
            if verb in ROLES:
                self._services.access.proxy_users.check_role_change(account)
            if verb in ("password", "second-factor") and not account.is_local:
                raise ProxyAccount(account.name)
            if account.role == verb:
                return self._back(f"{account.name} is {verb} already: nothing was changed.", NOTE)
            if "sure" not in request.form:
                return self._ask(request, account, verb)
            return self._verbs[verb](request, account, verb)
        except REFUSED as error:
            return self._unchanged(error)

    def _set_role(self, request: Request, account: Account, role: str) -> Done:
        self._services.access.accounts.set_role(account.name, role, account.version)
        self._services.record(request, "change role", account.name, detail=role)
        return self._back(f"{account.name} is {role} from now on.")

    def _set_password(self, request: Request, account: Account, verb: str) -> View:
        password = self._services.access.accounts.set_password(account.name, seen=account.version)
        self._services.record(request, "set password", account.name)
        return self._made(f"{account.name} has a new password", account.name, "password", password)

    def _reset_second_factor(self, request: Request, account: Account, verb: str) -> Done:
        if not self._services.access.second_factors.remove(account, ends_sessions=True):
            return self._back(f"The second factor of {account.name} is off: nothing was changed.", NOTE)
        self._services.record(request, "reset second factor", account.name)
        return self._back(f"The second factor of {account.name} is off, and its sessions have ended.")

    def _remove(self, request: Request, account: Account, verb: str) -> Done:
        self._services.access.accounts.remove(account.name, account.version)
        self._services.record(request, "remove account", account.name)
        return self._back(f"The account {account.name} is removed.")

    # tokens

    def new_token(self, request: Request) -> View:
        return self._form("token", {"name": "", "scopes": ["enqueue"], "tasks": "", "days": "90"})

    def make(self, request: Request) -> View:
        name, days = request.form.get("name").strip(), request.form.get("days")
        scopes = [value for key, value in request.form.pairs if key == "scope"]
        tasks = request.form.get("tasks").strip()[:TASKS_CHARS]
        try:
            if days not in dict(DAYS):
                raise InvalidInput("expiry", ", ".join(filter(None, dict(DAYS))) + " days or none", repr(days[:50]))
            expires_s = int(days) * DAY_S if days else None
            token, secret = self._services.access.tokens.create(name, _limited(scopes, tasks), expires_s)
        except (InvalidInput, TokenExists) as error:
            return self._form("token", {"name": name, "scopes": scopes, "tasks": tasks, "days": days}, error)
        ends = "" if token.expires_at is None else f", for {days} days"
        self._services.record(request, "create token", token.name, detail=",".join(sorted(token.scopes)) + ends)
        return self._made(f"The token {token.name} is made", token.name, "secret", secret)

    def rotate(self, request: Request, name: str) -> View | Done:
        hours = request.form.get("overlap_h")
        try:
            token = self._services.access.tokens.get(name)
            self._still(token, request)
            if "sure" not in request.form or hours not in dict(OVERLAPS_H):
                return self._ask(request, token, "rotate")
            token, secret = self._services.access.tokens.rotate(token.name, int(hours) * HOUR_S, seen=token.version)
        except REFUSED as error:
            return self._unchanged(error)
        self._services.record(request, "rotate token", token.name, detail=f"the old secret is valid for {hours} h")
        return self._made(f"{token.name} has a new secret", token.name, "secret", secret)

    def revoke(self, request: Request, name: str) -> View | Done:
        try:
            token = self._services.access.tokens.get(name)
            self._still(token, request)
            if "sure" not in request.form:
                return self._ask(request, token, "revoke")
            self._services.access.tokens.revoke(token.name, token.version)
        except REFUSED as error:
            return self._unchanged(error)
        self._services.record(request, "revoke token", token.name)
        return self._back(f"The token {token.name} is revoked: it is refused from now on.")

    # answers

    def _still(self, found: Account | Token, request: Request) -> None:
        if found.version != request.form.get("seen"):
            raise ChangedSince(found.name)

    def _ask(self, request: Request, found: Account | Token, verb: str) -> View:
        sessions = self._services.access.sessions.counts().get(found.id, 0) if isinstance(found, Account) else 0
        leaves_admins = isinstance(found, Account) and found.is_admin and verb in (VIEWER, "remove")
        if leaves_admins and sum(each.is_admin for each in self._services.access.accounts.list()) == 1:
            raise LastAdmin(found.name)
        titles = {
            ADMIN: f"Make {found.name} an admin?",
            VIEWER: f"Make {found.name} a viewer?",
            "password": f"A new password for {found.name}?",
            "second-factor": f"Reset the second factor of {found.name}?",
            "remove": f"Remove the account {found.name}?",
            "rotate": f"A new secret for the token {found.name}?",
            "revoke": f"Revoke the token {found.name}?",
        }
        more: dict[str, Any] = {
            "verb": verb,
            "found": found,
            "overlaps": OVERLAPS_H,
            "is_own": isinstance(found, Account) and found.name == request.who,
            "sessions": plural(sessions, "session"),
        }
        return View("access_sure", titles[verb], {"name": found.name, "verb": verb}, more, "access")

    def _form(self, kind: str, values: dict[str, Any], error: AccessError | None = None) -> View:
        status = 200 if error is None else 422 if isinstance(error, InvalidInput) else 409
        more = {"values": values, "problem": str(error or ""), "roles": ROLES, "scopes": SCOPES, "days": DAYS}
        return View(f"access_{kind}", f"New {kind}", {"problem": str(error or "")}, more, "access", status=status)

    def _made(self, title: str, name: str, what: str, secret: str | None) -> View:
        return View("access_made", title, {"name": name}, {"what": what, "secret": secret}, "access")

    def _unchanged(self, error: AccessError) -> Done:
        text = str(error)
        return self._back(f"{text[:1].upper()}{text[1:]}. Nothing was changed.", NOTE)

    def _back(self, message: str, kind: str = "good") -> Done:
        return Done(self._services.links.to("/access"), message, kind)


def _order(scope: str) -> tuple[int, str]:
    """For all tasks first, in the order of SCOPES."""
    return SCOPES.index(scope) if scope in SCOPES else len(SCOPES), scope


def _limited(scopes: list[str], tasks: str) -> set[str]:
    """The scopes, those of `read` and `enqueue` limited to the tasks of this list, if there are any."""
    names = [each for each in re.split(r"[\s,]+", tasks) if each]
    if not names:
        return set(scopes)
    return {f"{scope}:{name}" for scope in scopes if scope != ADMIN for name in names} | ({ADMIN} & set(scopes))
