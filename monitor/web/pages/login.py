"""Log-in and log-out.

A wrong password and an unknown name get the same answer after the same time (see duey.monitor.access). Both count
for the address and the account; a browser that has logged in before has attempts of its own. A log-in ends the
browser's previous session and continues to the page that the user wanted, if it is a page of the monitor. Whoever was
logged in by the proxy (duey.monitor.access.proxied) neither logs in nor out here.
"""

from __future__ import annotations

from duey.monitor.access import AccountChanged, TooManyAttempts
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import GOOD, NOTE, Done, Route, View
from duey.monitor.web.services import Services
from duey.monitor.web.session import Cookies

WRONG = "name or password is wrong"
LONGEST = 1024
AT_PROXY = "The proxy has logged you in, so you log out there: nothing was changed."
NOT_HERE = "people log in at the proxy, and this request has no header {header} from it: open the service by the proxy"


class LoginPage:
    """GET and POST /login, POST /logout, POST /logout-everywhere."""

    def __init__(self, services: Services, cookies: Cookies) -> None:
        self._services, self._cookies = services, cookies

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/login", self.show, open_to_all=True),
            Route("POST", "/login", self.enter, open_to_all=True),
            Route("POST", "/logout", self.leave),
            Route("POST", "/logout-everywhere", self.leave_everywhere),
        ]

    def show(self, request: Request) -> View | Done:
        if request.session is not None:
            return Done(self._next(request.query.get("next")))
        self._check_local()
        return self._form(request.query.get("next"), "", "")

    def enter(self, request: Request) -> View | Done:
        if request.remote_user:
            return Done(self._services.links.to("/"), "The proxy has logged you in already: nothing was changed.", NOTE)
        self._check_local()
        services, name = self._services, request.form.get("username").strip()[:LONGEST]
        wanted = request.form.get("next")
        try:
            password, device = request.form.get("password")[:LONGEST], self._cookies.device(request.environ)
            account = services.access.accounts.authenticate(name, password, request.address, device)
            cookie = services.access.sessions.start(account, request.address, request.agent) if account else ""
        except TooManyAttempts as error:
            return self._form(wanted, name, str(error), 429, {"Retry-After": str(error.retry_after_s)})
        except AccountChanged as error:
            return self._form(wanted, name, str(error), 403)
        # Names are looked up in both cases, so that both take the same time. An unknown name is not logged, because
        # people type passwords into the wrong field.
        known = {each.name.lower(): each.name for each in services.access.accounts.list()}.get(name.lower())
        if account is None:
            services.record(request, "log in failed", known or "an unknown name", who=known or "")
            return self._form(wanted, name, WRONG, 403)
        if request.session is not None:
            services.access.sessions.end(self._cookies.session(request.environ)[0])
        self._cookies.begin(request.environ, cookie, services.access.accounts.device_cookie(account))
        services.record(request, "log in", account.name, who=account.name)
        return Done(self._next(wanted))

    def leave(self, request: Request) -> Done:
        if request.remote_user:
            return Done(self._services.links.to("/account"), AT_PROXY, NOTE)
        self._services.access.sessions.end(self._cookies.session(request.environ)[0])
        self._services.record(request, "log out", request.who)
        self._cookies.end(request.environ)
        return Done(self._services.links.to("/login"), "You are logged out.", GOOD)

    def leave_everywhere(self, request: Request) -> Done:
        if request.remote_user:
            return Done(self._services.links.to("/account"), AT_PROXY, NOTE)
        assert request.account is not None
        ended = self._services.access.sessions.end_all(request.account)
        self._services.record(request, "log out everywhere", request.who, ended)
        self._cookies.end(request.environ)
        return Done(self._services.links.to("/login"), f"Sessions ended: {ended}. You are logged out everywhere.", GOOD)

    def _check_local(self) -> None:
        if not self._services.settings.auth.local_login:
            raise Refusal(403, NOT_HERE.format(header=self._services.settings.auth.remote_user_header))

    def _form(
        self, wanted: str, username: str, problem: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> View:
        more = {"wanted": wanted if self._services.links.own(wanted) else "", "username": username}
        return View("login", "Log in", {"problem": problem}, more, status=status, headers=headers or {})

    def _next(self, wanted: str) -> str:
        return wanted if self._services.links.own(wanted) else self._services.links.to("/")
