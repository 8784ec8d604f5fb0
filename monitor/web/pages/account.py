"""The visitor's own account: where it is logged in, how to end that, and the switch between light and dark."""

from __future__ import annotations

from duey.monitor.access import InvalidInput
from duey.monitor.web.figures import plural
from duey.monitor.web.password import Password
from duey.monitor.web.request import Visit
from duey.monitor.web.route import Route, look
from duey.monitor.web.services import House
from duey.monitor.web.session import THEMES, Cookies
from duey.monitor.web.view import NOTE, Done, View


class AccountPage:
    """GET /account, POST /account/password, /end, /end-others, /theme. Open to viewers: each changes his own alone."""

    def __init__(self, house: House, cookies: Cookies) -> None:
        self._house, self._cookies, self._password = house, cookies, Password(house, cookies)

    def routes(self) -> list[Route]:
        return [
            look("/account", self.show),
            Route("POST", "/account/password", self.change_password),
            Route("POST", "/account/end", self.end),
            Route("POST", "/account/end-others", self.end_others),
            Route("POST", "/theme", self.theme),
        ]

    def show(self, visit: Visit) -> View:
        return self._page(visit)

    def change_password(self, visit: Visit) -> View | Done:
        """Ends every session of the account; this browser gets a new one."""
        access, who = self._house.access, visit.who
        status, problem, headers = self._password.checked(visit, "password")
        if status != 200:
            return self._page(visit, problem, status, headers)
        try:
            access.accounts.set_password(who, visit.form.get("new_password"))
        except InvalidInput as error:
            return self._page(visit, str(error), 422)
        account = access.accounts.get(who)
        cookie = access.sessions.start(account, visit.address, visit.agent)
        self._cookies.begin(visit.environ, cookie, access.accounts.device_cookie(account))
        self._house.trail.record(visit, "set password", who)
        return Done(self._house.links.to("/account"), "Your password is changed. All other browsers are logged out.")

    def _page(self, visit: Visit, problem: str = "", status: int = 200, headers: dict[str, str] | None = None) -> View:
        account, session = visit.account, visit.session
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
            for each in self._house.access.sessions.list(account)
        ]
        data = {"account": {"name": account.name, "role": account.role}, "sessions": sessions}
        more = {"problem": problem}
        return View("account", "Your account", data, more, status=status, headers=headers or {})

    def end(self, visit: Visit) -> Done:
        assert visit.account is not None
        number, back = visit.form.get("session"), self._house.links.to("/account")
        known = number.isascii() and number.isdigit() and len(number) < 19
        if not (known and self._house.access.sessions.end_one(visit.account, int(number))):
            return Done(back, "This session has ended already: nothing was changed.", NOTE)
        self._house.trail.record(visit, "end session", visit.who)
        return Done(back, "The session is ended: that browser is logged out.")

    def end_others(self, visit: Visit) -> Done:
        assert visit.session is not None
        ended, back = self._house.access.sessions.end_others(visit.session), self._house.links.to("/account")
        if not ended:
            return Done(back, "There is no other session: nothing was changed.", NOTE)
        self._house.trail.record(visit, "end other sessions", visit.who, ended)
        return Done(back, f"{plural(ended, 'other session')} ended.")

    def theme(self, visit: Visit) -> Done:
        chosen = visit.form.get("theme")
        self._cookies.set_theme(visit.environ, chosen if chosen in THEMES else "")
        back = visit.form.get("back")
        return Done(back if self._house.links.own(back) else self._house.links.to("/"))
