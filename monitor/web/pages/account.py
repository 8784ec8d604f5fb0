"""The visitor's own account: where it is logged in, and the switch between light and dark."""

from __future__ import annotations

from monitor.web.house import House
from monitor.web.route import Route, look
from monitor.web.session import THEMES, Cookies
from monitor.web.view import Done, View
from monitor.web.visit import Visit


class AccountPage:
    """GET /account, POST /theme. Both are open to viewers: they change nothing but their own browser."""

    def __init__(self, house: House, cookies: Cookies) -> None:
        self._house, self._cookies = house, cookies

    def routes(self) -> list[Route]:
        return [look("/account", self.show), Route("POST", "/theme", self.theme)]

    def show(self, visit: Visit) -> View:
        account, session = visit.account, visit.session
        assert account is not None and session is not None
        sessions = [
            {
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
        return View("account", "Your account", data)

    def theme(self, visit: Visit) -> Done:
        chosen = visit.form.get("theme")
        self._cookies.set_theme(visit.environ, chosen if chosen in THEMES else "")
        back = visit.form.get("back")
        return Done(back if self._house.links.own(back) else self._house.links.to("/"))
