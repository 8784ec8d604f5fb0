"""The guard: decides for every route who may use it. Templates only hide what would be refused.

It checks that there is a session (otherwise LoginNeeded), then for a POST that the form comes from the monitor, then
whether the account must be an admin. The origin of a form is proved in two ways: by the browser's Sec-Fetch-Site (or
Origin and Host, if it is not sent, as over plain HTTP), and by the CSRF token in the form, which other sites cannot
read. A client that sends neither header is not a current browser, and only its token is checked.

Before important actions a logged-in user is asked for the password again: an open browser or a stolen cookie must not
be enough for these. The question carries the action in hidden fields, so that nothing is lost. A wrong password counts
as a failed log-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from duey.monitor.access import Access, Account, TooManyAttempts, security
from duey.monitor.web.refusal import LoginNeeded, Refusal, SecondFactorNeeded
from duey.monitor.web.request import Request
from duey.monitor.web.route import View
from duey.monitor.web.services import Services
from duey.monitor.web.session import Cookies

PROOF = "proof"  # the name of the hidden field with the CSRF token
FOREIGN = "this form was not sent from a page of this monitor, so nothing was done: open the page again and repeat it"
STALE = "this form has no valid proof (it is from another session, perhaps): open the page again and repeat it"


class Guard:
    """Admits a request or raises a Refusal."""

    def __init__(self, access: Access, public_url: str, require_totp: str) -> None:
        self._access, self._public_url, self._require_totp = access, public_url, require_totp

    def check_enrolled(self, request: Request) -> None:
        """Raise SecondFactorNeeded if the account must have a second factor and has none."""
        account = request.account
        if account and account.second_factor_at is None and needs_second_factor(account, self._require_totp):
            raise SecondFactorNeeded

    def admit(self, request: Request, key: str, admin: bool, open_to_all: bool = False) -> None:
        """Check a request. `key` is the secret text of this visitor: the value of the cookie."""
        if request.session is None and not open_to_all:
            raise LoginNeeded
        if request.method == "POST":
            try:
                self.check_origin(request.environ)
                if not (key and self._access.csrf.valid(key, request.form.get(PROOF))):
                    raise Refusal(403, STALE)
            except Refusal:
                security.note(security.CSRF_REFUSED, request.address, request.who, path=request.path)
                raise
        if admin and not request.is_admin:
            security.note(security.ROLE_REFUSED, request.address, request.who, path=request.path)
            raise Refusal(403, f"this needs the role admin, and {request.who} is a viewer: nothing was changed")

    def check_origin(self, environ: Mapping[str, Any]) -> None:
        """Raise Refusal 403 if the browser says that another site sent the request."""
        site = environ.get("HTTP_SEC_FETCH_SITE")
        if site is not None:
            if site not in ("same-origin", "none"):
                raise Refusal(403, FOREIGN)
            return
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not self._is_ours(origin, environ):
            raise Refusal(403, FOREIGN)

    def _is_ours(self, origin: str, environ: Mapping[str, Any]) -> bool:
        if self._public_url and origin == self._public_url:
            # A proxy that does not pass on Host (or X-Forwarded-Host, if it is trusted) sends its own.
            return True
        try:
            host = urlsplit(origin).netloc
        except ValueError:
            return False
        return bool(host) and host == environ.get("HTTP_HOST", "")


def needs_second_factor(account: Account, required: str) -> bool:
    """Return whether `[auth] require_totp` requires one of this account. Users of the proxy have theirs there."""
    return account.is_local and (required == "all" or (required == "admins" and account.is_admin))


WRONG_CODE = "this code is wrong or was used already: wait for the next one"
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
            account = self._services.access.accounts.authenticate(request.who, given, request.address, device, True)
        except TooManyAttempts as error:
            return 429, str(error), {"Retry-After": str(error.retry_after_s)}
        return (403, WRONG, {}) if account is None else (200, "", {})
