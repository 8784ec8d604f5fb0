"""Sessions as cookies: connects a browser with its session.

The session's cookie is HttpOnly, SameSite=Lax and limited to the prefix. If users come by https (according to the
request, or to public_url, because not every proxy passes on the scheme), it is Secure and its name begins with
`__Host-`: browsers accept such a cookie only from this host over https, so that no other host can set one. With a
url_prefix the name begins with `__Secure-`, because `__Host-` requires the path /. The name also has a mark of the
installation, because cookies ignore ports: otherwise a log-in to staging on :8081 would log out of production on
:8080. Before the log-in, a second, random cookie gives the log-in form its CSRF token.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bottle import response

from duey.monitor.access import Access, Account, Session, UnknownAccount

LONGEST = 512  # longer values are not from the monitor
THEMES = ("light", "dark")
PENDING_S = 5 * 60
LONGEST_S = 400 * 86400  # the limit of browsers


def is_zone(name: str) -> bool:
    """Return whether this is the name of a time zone."""
    try:
        return bool(name) and bool(ZoneInfo(name))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False


class Cookies:
    """Reads and writes the cookies of one installation."""

    def __init__(self, access: Access, prefix: str, public_url: str) -> None:
        self._access, self._path, self._prefix = access, prefix or "/", "__Secure-" if prefix else "__Host-"
        self._is_public_https = public_url.startswith("https://")
        self._mark: str | None = None

    def session(self, environ: Mapping[str, Any], is_use: bool = True) -> tuple[str, Session | None]:
        """Return the cookie's value and its session, if it is active. Polling does not extend the session."""
        value = self._read(environ, self._name(environ, "session"))
        return value, self._access.sessions.find(value, is_use) if value else None

    def begin(self, environ: Mapping[str, Any], value: str, device: str) -> None:
        """Set the cookies of a session and of its device, and delete the visitor's cookie."""
        self._write(environ, self._name(environ, "session"), value)
        self._write(environ, self._name(environ, "device"), device, max_age=LONGEST_S)
        self._drop(environ, self._name(environ, "visitor"))

    def end(self, environ: Mapping[str, Any]) -> None:
        self._drop(environ, self._name(environ, "session"))

    def device(self, environ: Mapping[str, Any]) -> str:
        """Return the cookie that proves that this browser has logged in before."""
        return self._read(environ, self._name(environ, "device"))

    def set_pending(self, environ: Mapping[str, Any], account: Account, now: float) -> None:
        """Note that this browser has given the password of the account, and must give a code within PENDING_S."""
        what = f"{account.id}.{account.password_version}.{int(now + PENDING_S)}"
        value = f"{what}.{self._access.second_factors.mark(what)}.{account.name}"
        self._write(environ, self._name(environ, "pending"), value, max_age=PENDING_S)

    def pending(self, environ: Mapping[str, Any], now: float) -> Account | None:
        """Return the account whose password this browser has given, if that is not too long ago."""
        parts = self._read(environ, self._name(environ, "pending")).split(".", 4)
        if len(parts) < 5:
            return None
        *numbers, proof, name = parts
        right = self._access.second_factors.mark(".".join(numbers))
        if not hmac.compare_digest(right.encode(), proof.encode("utf-8", "surrogatepass")):
            return None
        account_id, version, until = map(int, numbers)
        try:
            account = self._access.accounts.get(name)
        except UnknownAccount:
            return None
        unchanged = (account.id, account.password_version) == (account_id, version)
        return account if unchanged and now < until else None

    def end_pending(self, environ: Mapping[str, Any]) -> None:
        self._drop(environ, self._name(environ, "pending"))

    def visitor(self, environ: Mapping[str, Any], make: bool = False) -> str:
        """Return the random text of a browser that is not logged in; with `make` it gets one."""
        value = self._read(environ, self._name(environ, "visitor"))
        if not value and make:
            value = secrets.token_urlsafe(32)
            self._write(environ, self._name(environ, "visitor"), value)
        return value

    def theme(self, environ: Mapping[str, Any]) -> str:
        """Return light, dark, or '' for the system's setting."""
        value = self._read(environ, "duey_theme")
        return value if value in THEMES else ""

    def set_theme(self, environ: Mapping[str, Any], theme: str) -> None:
        # Not HttpOnly, because the script sets it, too.
        if theme in THEMES:
            secure = self._is_https(environ)
            response.set_cookie("duey_theme", theme, path=self._path, samesite="lax", max_age=LONGEST_S, secure=secure)
        else:
            response.delete_cookie("duey_theme", path=self._path, samesite="lax")

    def zone(self, environ: Mapping[str, Any]) -> str:
        """Return the zone in which this browser wants times, '' for that of the service."""
        value = self._read(environ, "duey_zone").replace(":", "/")
        return value if is_zone(value) else ""

    def set_zone(self, environ: Mapping[str, Any], zone: str) -> None:
        if is_zone(zone):  # a / would be quoted, which not all readers of cookies undo
            self._write(environ, "duey_zone", zone.replace("/", ":"), max_age=LONGEST_S)
        else:
            self._drop(environ, "duey_zone")

    def set_message(self, environ: Mapping[str, Any], text: str) -> None:
        """Keep a message for the next page."""
        self._write(environ, self._name(environ, "message"), text)

    def message(self, environ: Mapping[str, Any]) -> str:
        """Return the kept message and delete it."""
        text = self._read(environ, self._name(environ, "message"), 4000)
        if text:
            self._drop(environ, self._name(environ, "message"))
        return text

    def _name(self, environ: Mapping[str, Any], what: str) -> str:
        if self._mark is None:
            self._mark = self._access.csrf.token("cookies")[:8]
        return f"{self._prefix if self._is_https(environ) else ''}duey_{what}_{self._mark}"

    def _read(self, environ: Mapping[str, Any], name: str, longest: int = LONGEST) -> str:
        # Not with http.cookies: a malformed cookie of another application makes it drop all.
        for each in environ.get("HTTP_COOKIE", "").split(";"):
            found, _, value = each.strip().partition("=")
            if found == name and len(value) <= longest:
                return str(value.strip('"'))
        return ""

    def _write(self, environ: Mapping[str, Any], name: str, value: str, **more: Any) -> None:
        secure = self._is_https(environ)
        response.set_cookie(name, value, path=self._path, httponly=True, samesite="lax", secure=secure, **more)

    def _drop(self, environ: Mapping[str, Any], name: str) -> None:
        response.delete_cookie(name, path=self._path, httponly=True, samesite="lax", secure=self._is_https(environ))

    def _is_https(self, environ: Mapping[str, Any]) -> bool:
        return self._is_public_https or environ["wsgi.url_scheme"] == "https"
