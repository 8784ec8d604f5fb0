"""Log-in and log-out.

The answer to a wrong password and to an unknown name is the same, at the same price (duey.monitor.access sees to it),
and both are counted against the address and the account; a browser that has logged in before has attempts of its own. A
log-in ends the session that the browser had, and leads on to where the visitor wanted to go, if that is a page of ours.
"""

from __future__ import annotations

from duey.monitor.access import AccountChanged, TooManyAttempts
from duey.monitor.web.request import Visit
from duey.monitor.web.route import Route
from duey.monitor.web.services import House
from duey.monitor.web.session import Cookies
from duey.monitor.web.view import GOOD, Done, View

WRONG = "name or password is wrong"
LONGEST = 1024


class LoginPage:
    """GET and POST /login, POST /logout, POST /logout-everywhere."""

    def __init__(self, house: House, cookies: Cookies) -> None:
        self._house, self._cookies = house, cookies

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/login", self.show, open_to_all=True),
            Route("POST", "/login", self.enter, open_to_all=True),
            Route("POST", "/logout", self.leave),
            Route("POST", "/logout-everywhere", self.leave_everywhere),
        ]

    def show(self, visit: Visit) -> View | Done:
        if visit.session is not None:
            return Done(self._next(visit.query.get("next")))
        return self._form(visit.query.get("next"), "", "")

    def enter(self, visit: Visit) -> View | Done:
        house, name = self._house, visit.form.get("username").strip()[:LONGEST]
        wanted = visit.form.get("next")
        try:
            password, device = visit.form.get("password")[:LONGEST], self._cookies.device(visit.environ)
            account = house.access.accounts.authenticate(name, password, visit.address, device)
            cookie = house.access.sessions.start(account, visit.address, visit.agent) if account else ""
        except TooManyAttempts as error:
            return self._form(wanted, name, str(error), 429, {"Retry-After": str(error.retry_after_s)})
        except AccountChanged as error:
            return self._form(wanted, name, str(error), 403)
        # Looked up in either case, so that both take the same time. A name that is no account's is not written
        # down: people type passwords into the wrong field.
        known = {each.name.lower(): each.name for each in house.access.accounts.list()}.get(name.lower())
        if account is None:
            house.trail.record(visit, "log in failed", known or "an unknown name", who=known or "")
            return self._form(wanted, name, WRONG, 403)
        if visit.session is not None:
            house.access.sessions.end(self._cookies.session(visit.environ)[0])
        self._cookies.begin(visit.environ, cookie, house.access.accounts.device_cookie(account))
        house.trail.record(visit, "log in", account.name, who=account.name)
        return Done(self._next(wanted))

    def leave(self, visit: Visit) -> Done:
        self._house.access.sessions.end(self._cookies.session(visit.environ)[0])
        self._house.trail.record(visit, "log out", visit.who)
        self._cookies.end(visit.environ)
        return Done(self._house.links.to("/login"), "You are logged out.", GOOD)

    def leave_everywhere(self, visit: Visit) -> Done:
        assert visit.account is not None
        ended = self._house.access.sessions.end_all(visit.account)
        self._house.trail.record(visit, "log out everywhere", visit.who, ended)
        self._cookies.end(visit.environ)
        return Done(self._house.links.to("/login"), f"Sessions ended: {ended}. You are logged out everywhere.", GOOD)

    def _form(
        self, wanted: str, username: str, problem: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> View:
        more = {"wanted": wanted if self._house.links.own(wanted) else "", "username": username}
        return View("login", "Log in", {"problem": problem}, more, status=status, headers=headers or {})

    def _next(self, wanted: str) -> str:
        return wanted if self._house.links.own(wanted) else self._house.links.to("/")
