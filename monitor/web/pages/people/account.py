"""The user's own account: its sessions, how to end them, and the choice of light or dark colours."""

from __future__ import annotations

from duey.monitor.access import InvalidInput
from duey.monitor.web.display.formats import plural
from duey.monitor.web.guard import Password
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View, get
from duey.monitor.web.services import Services
from duey.monitor.web.session import THEMES, Cookies


class AccountPage:
    """GET /account, POST /account/password, /end, /end-others, /theme, /zone; a viewer acts on the own account."""

    def __init__(self, services: Services, cookies: Cookies) -> None:
        self._services, self._cookies, self._password = services, cookies, Password(services, cookies)

    def routes(self) -> list[Route]:
        return [
            get("/account", self.show),
            Route("POST", "/account/password", self.change_password),
            Route("POST", "/account/end", self.end),
            Route("POST", "/account/end-others", self.end_others),
            Route("POST", "/theme", self.theme, enrols=True),
            Route("POST", "/zone", self.zone, enrols=True),
        ]

    def show(self, request: Request) -> View:
        return self._page(request)

    def change_password(self, request: Request) -> View | Done:
        """Change the password. This ends every session of the account, and this browser gets a new one."""
        access, who = self._services.access, request.who
        status, problem, headers = self._password.checked(request, "password")
        if status != 200:
            return self._page(request, problem, status, headers)
        try:
            access.accounts.set_password(who, request.form.get("new_password"))
        except InvalidInput as error:
            return self._page(request, str(error), 422)
        account = access.accounts.get(who)
        cookie = access.sessions.start(account, request.address, request.agent)
        self._cookies.begin(request.environ, cookie, access.accounts.device_cookie(account))
        self._services.record(request, "set password", who)
        return Done(self._services.links.to("/account"), "Your password is changed. All other browsers are logged out.")

    def _page(
        self, request: Request, problem: str = "", status: int = 200, headers: dict[str, str] | None = None
    ) -> View:
        account, session = request.account, request.session
        assert account is not None and session is not None
        sessions = [
            {
                "id": each.id,
                "this": each.id == session.id,
                "address": each.address,
                "agent": each.agent,
                "created_at": each.created_at,
                "last_seen_at": each.last_seen_at,
                "expires_at": each.expires_at,
            }
            for each in self._services.access.sessions.list(account)
        ]
        data = {
            "account": {
                "name": account.name,
                "role": account.role,
                "origin": account.origin,
                "second_factor_at": account.second_factor_at,
            },
            "sessions": sessions,
        }
        more = {"problem": problem, "logout_url": self._services.settings.auth.logout_url}
        return View("account", "Your account", data, more, status=status, headers=headers or {})

    def end(self, request: Request) -> Done:
        assert request.account is not None
        number, back = request.form.get("session"), self._services.links.to("/account")
        known = number.isascii() and number.isdigit() and len(number) < 19
        if not (known and self._services.access.sessions.end_one(request.account, int(number))):
            return Done(back, "This session has ended already: nothing was changed.", NOTE)
        self._services.record(request, "end session", request.who)
        return Done(back, "The session is ended: that browser is logged out.")

    def end_others(self, request: Request) -> Done:
        assert request.session is not None
        ended, back = self._services.access.sessions.end_others(request.session), self._services.links.to("/account")
        if not ended:
            return Done(back, "There is no other session: nothing was changed.", NOTE)
        self._services.record(request, "end other sessions", request.who, ended)
        return Done(back, f"{plural(ended, 'other session')} ended.")

    def theme(self, request: Request) -> Done:
        chosen = request.form.get("theme")
        self._cookies.set_theme(request.environ, chosen if chosen in THEMES else "")
        return self._back(request)

    def zone(self, request: Request) -> Done:
        self._cookies.set_zone(request.environ, request.form.get("zone")[:60])
        return self._back(request)

    def _back(self, request: Request) -> Done:
        back = request.form.get("back")
        return Done(back if self._services.links.own(back) else self._services.links.to("/"))
