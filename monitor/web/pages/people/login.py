"""Log-in and log-out, with a second factor where the account has one.

A wrong password and an unknown name get the same answer after the same time (see duey.monitor.access). Both count
for the address and the account; a browser that has logged in before has attempts of its own. A log-in ends the
browser's previous session and continues to the page that the user wanted, if it is a page of the monitor. Whoever was
logged in by the proxy (duey.monitor.access.login.proxied) neither logs in nor out here.
"""

from __future__ import annotations

from duey.monitor.access import Account, AccountChanged, KeyLost, TooManyAttempts
from duey.monitor.web.display.formats import plural
from duey.monitor.web.guard import WRONG_CODE
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import GOOD, NOTE, Done, Route, View
from duey.monitor.web.services import Services
from duey.monitor.web.session import Cookies

WRONG = "name or password is wrong"
LONGEST = 1024
RECOVERY = "recovery code"
AT_PROXY = "The proxy has logged you in, so you log out there: nothing was changed."
NOT_HERE = "people log in at the proxy, and this request has no header {header} from it: open the service by the proxy"


class LoginPage:
    """GET and POST /login, /login/code, POST /logout, /logout-everywhere."""

    def __init__(self, services: Services, cookies: Cookies) -> None:
        self._services, self._cookies = services, cookies

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/login", self.show, open_to_all=True),
            Route("POST", "/login", self.enter, open_to_all=True),
            Route("GET", "/login/code", self.ask_code, open_to_all=True),
            Route("POST", "/login/code", self.enter_code, open_to_all=True),
            Route("POST", "/logout", self.leave, enrols=True),
            Route("POST", "/logout-everywhere", self.leave_everywhere, enrols=True),
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
        except TooManyAttempts as error:
            return self._form(wanted, name, str(error), 429, {"Retry-After": str(error.retry_after_s)})
        # Names are looked up in both cases, so that both take the same time. An unknown name is not logged, because
        # people type passwords into the wrong field.
        known = {each.name.lower(): each.name for each in services.access.accounts.list()}.get(name.lower())
        if account is None:
            services.record(request, "log in failed", known or "an unknown name", who=known or "")
            return self._form(wanted, name, WRONG, 403)
        if account.second_factor_at is not None:
            self._cookies.set_pending(request.environ, account, request.now)
            return Done(services.links.to("/login/code", next=wanted if services.links.own(wanted) else ""))
        try:
            return self._begin(request, account, wanted, "")
        except AccountChanged as error:
            return self._form(wanted, name, str(error), 403)

    def ask_code(self, request: Request) -> View | Done:
        self._check_local()
        wanted = request.query.get("next")
        if self._cookies.pending(request.environ, request.now) is None:
            return Done(self._services.links.to("/login"))
        return self._code_form(wanted, "")

    def enter_code(self, request: Request) -> View | Done:
        """Complete the log-in with a code of the app, or a recovery code."""
        self._check_local()
        services, wanted = self._services, request.form.get("next")
        account = self._cookies.pending(request.environ, request.now)
        if account is None:
            return self._form(wanted, "", "that took too long, or your password was changed: log in again", 403)
        try:
            factor = services.access.second_factors.check(account, request.form.get("code")[:LONGEST], request.address)
            if not factor:
                services.record(request, "second factor failed", account.name, who=account.name)
                return self._code_form(wanted, WRONG_CODE, 403)
            done = self._begin(request, account, wanted, factor)
        except TooManyAttempts as error:
            return self._code_form(wanted, str(error), 429, {"Retry-After": str(error.retry_after_s)})
        except KeyLost as error:
            return self._code_form(wanted, str(error), 403)
        except AccountChanged as error:
            return self._form(wanted, account.name, str(error), 403)
        services.access.accounts.complete(account, request.address, self._cookies.device(request.environ))
        return done

    def _begin(self, request: Request, account: Account, wanted: str, factor: str) -> Done:
        """Start the session, and end the one that this browser had. Raises AccountChanged."""
        access = self._services.access
        cookie = access.sessions.start(account, request.address, request.agent)
        if request.session is not None:
            access.sessions.end(self._cookies.session(request.environ)[0])
        self._cookies.begin(request.environ, cookie, access.accounts.device_cookie(account))
        self._cookies.end_pending(request.environ)
        self._services.record(request, "log in", account.name, detail=factor and f"with a {factor}", who=account.name)
        if factor != RECOVERY:
            return Done(self._next(wanted))
        left = plural(access.second_factors.codes_left(account), "recovery code")
        return Done(self._next(wanted), f"This recovery code is used up. You have {left} left.", NOTE)

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

    def _code_form(self, wanted: str, problem: str, status: int = 200, headers: dict[str, str] | None = None) -> View:
        more = {"wanted": wanted if self._services.links.own(wanted) else ""}
        return View("login_code", "Second factor", {"problem": problem}, more, status=status, headers=headers or {})

    def _next(self, wanted: str) -> str:
        return wanted if self._services.links.own(wanted) else self._services.links.to("/")
