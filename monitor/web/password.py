"""Asks a logged-in user for the password again, before important actions and before it is changed.

An open browser or a stolen cookie must not be enough for these. The question carries the action in hidden fields, so
that nothing is lost. A wrong password counts as a failed log-in.
"""

from __future__ import annotations

from urllib.parse import quote

from duey.monitor.access import TooManyAttempts
from duey.monitor.web.guard import PROOF
from duey.monitor.web.request import Request
from duey.monitor.web.services import Services
from duey.monitor.web.session import Cookies
from duey.monitor.web.view import View

FIELD = "confirm_password"  # no other form has a field of this name
WRONG = "the password is wrong: nothing was changed"
LONGEST = 1024


class Password:
    """Asks for the password, and notes in the session that it was right."""

    def __init__(self, services: Services, cookies: Cookies) -> None:
        self._services, self._cookies = services, cookies

    def question(self, request: Request) -> View | None:
        """Return the question for the form of this request, or None if the password was entered recently."""
        assert request.session is not None
        if request.session.is_fresh(request.now):
            return None
        status, problem, headers = (403, "", {}) if FIELD not in request.form else self.checked(request, FIELD)
        if status == 200:
            self._services.access.sessions.confirm(request.session)
            return None
        fields = [(name, value) for name, value in request.form.pairs if name not in (FIELD, PROOF)]
        query = request.environ.get("QUERY_STRING", "")
        action = self._services.links.root + quote(request.path) + (f"?{query}" if query else "")
        more = {"fields": fields, "action": action, "field": FIELD}
        return View("password", "Your password, once more", {"problem": problem}, more, status=status, headers=headers)

    def checked(self, request: Request, field: str) -> tuple[int, str, dict[str, str]]:
        """Return 200 if the field has the visitor's password, else the status, the message and the headers."""
        device, given = self._cookies.device(request.environ), request.form.get(field)[:LONGEST]
        try:
            account = self._services.access.accounts.authenticate(request.who, given, request.address, device)
        except TooManyAttempts as error:
            return 429, str(error), {"Retry-After": str(error.retry_after_s)}
        return (403, WRONG, {}) if account is None else (200, "", {})
