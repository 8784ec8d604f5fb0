"""Sessions as cookies: which browser belongs to which session, and nothing else.

The session's cookie is HttpOnly, SameSite=Lax and bound to the prefix. Where people come by https (the request says so,
or public_url does, for not every proxy passes the scheme on) it is Secure and its name begins with `__Host-`: browsers
accept such a cookie from this host alone, and over https, so that nobody else can plant one. With a url_prefix the name
begins with `__Secure-`, because `__Host-` requires the path /. The name also carries a mark of the installation, for
cookies do not know ports: without it, to log in to staging on :8081 would log out of production on :8080. Before the
log-in a second, random cookie gives the log-in form its CSRF proof.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from bottle import response

from duey.monitor.access import Access, Session

LONGEST = 512  # a longer value is none of ours
THEMES = ("light", "dark")
LONGEST_S = 400 * 86400  # what browsers keep at most


class Cookies:
    """Reads and writes the cookies of one installation."""

    def __init__(self, access: Access, prefix: str, public_url: str) -> None:
        self._access, self._path, self._prefix = access, prefix or "/", "__Secure-" if prefix else "__Host-"
        self._is_public_https = public_url.startswith("https://")
        self._mark: str | None = None

    def session(self, environ: Mapping[str, Any], is_use: bool = True) -> tuple[str, Session | None]:
        """The value of the session's cookie and the session, if it still counts. A page that polls is no use of it."""
        value = self._read(environ, self._name(environ, "session"))
        return value, self._access.sessions.find(value, is_use) if value else None

    def begin(self, environ: Mapping[str, Any], value: str, device: str) -> None:
        """Hand out a session, and what shows later that this device had one; the visitor's cookie has done its duty."""
        self._write(environ, self._name(environ, "session"), value)
        self._write(environ, self._name(environ, "device"), device, max_age=LONGEST_S)
        self._drop(environ, self._name(environ, "visitor"))

    def end(self, environ: Mapping[str, Any]) -> None:
        self._drop(environ, self._name(environ, "session"))

    def device(self, environ: Mapping[str, Any]) -> str:
        """What shows that this browser has logged in before."""
        return self._read(environ, self._name(environ, "device"))

    def visitor(self, environ: Mapping[str, Any], make: bool = False) -> str:
        """The random text of a browser that has not logged in; with `make` it is given one."""
        value = self._read(environ, self._name(environ, "visitor"))
        if not value and make:
            value = secrets.token_urlsafe(32)
            self._write(environ, self._name(environ, "visitor"), value)
        return value

    def theme(self, environ: Mapping[str, Any]) -> str:
        """light, dark, or nothing for what the system prefers."""
        value = self._read(environ, "duey_theme")
        return value if value in THEMES else ""

    def set_theme(self, environ: Mapping[str, Any], theme: str) -> None:
        # Not HttpOnly: the script switches at once and notes it here for the next page.
        if theme in THEMES:
            secure = self._is_https(environ)
            response.set_cookie("duey_theme", theme, path=self._path, samesite="lax", max_age=LONGEST_S, secure=secure)
        else:
            response.delete_cookie("duey_theme", path=self._path, samesite="lax")

    def say(self, environ: Mapping[str, Any], text: str) -> None:
        """Keep a message for the next page."""
        self._write(environ, self._name(environ, "said"), text)

    def said(self, environ: Mapping[str, Any]) -> str:
        """The kept message, which is then gone."""
        text = self._read(environ, self._name(environ, "said"), 4000)
        if text:
            self._drop(environ, self._name(environ, "said"))
        return text

    def _name(self, environ: Mapping[str, Any], what: str) -> str:
        if self._mark is None:
            self._mark = self._access.csrf.token("cookies")[:8]
        return f"{self._prefix if self._is_https(environ) else ''}duey_{what}_{self._mark}"

    def _read(self, environ: Mapping[str, Any], name: str, longest: int = LONGEST) -> str:
        # Not by http.cookies: it drops all cookies when another application's is malformed.
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
