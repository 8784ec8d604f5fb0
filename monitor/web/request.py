"""A request, as the pages need it: user, fields, format and time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from duey.monitor.access import Account, Session
from duey.monitor.web.display.formats import Times
from duey.monitor.web.forms.fields import Fields

# Set by duey.server.identity, and by nobody else: no header can have these names.
REMOTE_USER, REMOTE_GROUPS = "duey.remote_user", "duey.remote_groups"


def tag_of(content: str) -> str:
    """Return the ETag for this text."""
    return f'W/"{hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:24]}"'


@dataclass
class Request:
    """A request. `session` is None before the log-in. `form` has fields only for a POST that passed the guard."""

    environ: Mapping[str, Any]
    path: str  # below the monitor, without a format: /jobs/17
    query: Fields
    times: Times
    session: Session | None = None
    proof: str = ""  # the CSRF token for forms of the page
    theme: str = ""
    own_zone: str = ""  # the zone of the browser, if times are to be shown in it
    as_json: bool = False
    form: Fields = field(default_factory=lambda: Fields([]))

    def knows(self, etag: str) -> bool:
        """Return whether the browser has the answer with this ETag, so that it need not be made again."""
        held = self.environ.get("HTTP_IF_NONE_MATCH", "")
        return bool(etag) and tag_of(etag) in (each.strip() for each in held.split(","))

    @property
    def now(self) -> float:
        return self.times.now

    @property
    def account(self) -> Account | None:
        return self.session.account if self.session else None

    @property
    def is_admin(self) -> bool:
        return self.session is not None and self.session.account.is_admin

    @property
    def who(self) -> str:
        return self.session.account.name if self.session else ""

    @property
    def remote_user(self) -> tuple[str, str] | None:
        """The user whom the trusted proxy names, with the groups; None without such a user."""
        name = self.environ.get(REMOTE_USER)
        return (name, self.environ.get(REMOTE_GROUPS, "")) if name else None

    @property
    def method(self) -> str:
        return str(self.environ["REQUEST_METHOD"])

    @property
    def address(self) -> str:
        """The client's address. The server has applied X-Forwarded-For, if it is trusted."""
        return str(self.environ.get("REMOTE_ADDR", ""))

    @property
    def agent(self) -> str:
        return str(self.environ.get("HTTP_USER_AGENT", ""))

    @property
    def fragment(self) -> str:
        """The live region that is wanted instead of the whole page."""
        return self.query.get("fragment") if self.method in ("GET", "HEAD") else ""
