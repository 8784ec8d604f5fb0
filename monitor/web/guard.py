"""The guard: who may do what, decided here for every route; templates only leave out what would be refused.

Order for a request: is there a session (else LoginNeeded)? For a POST: does it come from a page of ours? Then, where
the route asks for it: is the account an admin? "From a page of ours" is shown twice: by the browser (Sec-Fetch-Site, or
where it is not sent, as over plain HTTP, Origin against Host), and by the proof in the form, which no other site can
read. What sends neither header is no browser of today, and is judged by the proof alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from duey.monitor.access import Access, security
from duey.monitor.web.refusal import LoginNeeded, Refusal
from duey.monitor.web.request import Request

PROOF = "proof"  # the name of the hidden field
FOREIGN = "this form was not sent from a page of this monitor, so nothing was done: open the page again and repeat it"
STALE = "this form has no valid proof (it is from another session, perhaps): open the page again and repeat it"


class Guard:
    """Admits a request or raises a Refusal."""

    def __init__(self, access: Access, public_url: str) -> None:
        self._access, self._public_url = access, public_url

    def admit(self, request: Request, key: str, admin: bool, open_to_all: bool = False) -> None:
        """`key` is the text that only this visitor holds: the value of his cookie."""
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
        """Raises Refusal 403 where the browser says that another site sends this."""
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
            # A proxy that is not told to pass on Host (or, where it is trusted, X-Forwarded-Host) sends one of its own.
            return True
        try:
            host = urlsplit(origin).netloc
        except ValueError:
            return False
        return bool(host) and host == environ.get("HTTP_HOST", "")
