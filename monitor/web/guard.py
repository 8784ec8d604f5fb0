"""The guard: decides for every route who may use it. Templates only hide what would be refused.

It checks that there is a session (otherwise LoginNeeded), then for a POST that the form comes from the monitor, then
whether the account must be an admin. The origin of a form is proved in two ways: by the browser's Sec-Fetch-Site (or
Origin and Host, if it is not sent, as over plain HTTP), and by the CSRF token in the form, which other sites cannot
read. A client that sends neither header is not a current browser, and only its token is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from duey.monitor.access import Access, security
from duey.monitor.web.refusal import LoginNeeded, Refusal
from duey.monitor.web.request import Request

PROOF = "proof"  # the name of the hidden field with the CSRF token
FOREIGN = "this form was not sent from a page of this monitor, so nothing was done: open the page again and repeat it"
STALE = "this form has no valid proof (it is from another session, perhaps): open the page again and repeat it"


class Guard:
    """Admits a request or raises a Refusal."""

    def __init__(self, access: Access, public_url: str) -> None:
        self._access, self._public_url = access, public_url

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
