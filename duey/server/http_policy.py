"""Rules for all requests and answers, of the monitor and the API: the host names that the service answers to, and the
security headers that tell browsers what other sites may do with an answer.

The host name is checked against DNS rebinding: another site can point its own DNS name at this machine, and its scripts
are then same-origin with the service. It cannot do that with an IP address, `localhost`, or a name whose DNS it does
not control. So the Host header must be an IP address, `localhost`, the host of `[web] public_url`, `[web] host`, or an
entry of `[web] allow_hosts`. A request without a Host header does not come from a browser and is answered.
Waitress replaces Host by the X-Forwarded-Host of a trusted proxy, and drops that header from all other clients.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from duey.api.answer import PROBLEM_TYPE, Refusal, body_of, encode
from duey.api.openapi import ANY_HOST
from duey.config.table import Web
from duey.monitor.access import security

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
# Without includeSubDomains: other services may run on subdomains without TLS.
HSTS = ("Strict-Transport-Security", "max-age=31536000")
HOST_CHARS = 300  # more than any name has: below, the time grows with the square of the length
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.IGNORECASE | re.ASCII)


class HttpPolicy:
    """WSGI middleware that applies these rules to the application."""

    def __init__(self, app: Wsgi, web: Web) -> None:
        self._app = app
        public = urlsplit(web.public_url)
        self._is_https = public.scheme == "https"
        self._names = {web.host.lower(), *web.allow_hosts, *filter(None, [public.hostname])}
        self._knows = lru_cache(maxsize=256)(self.allows)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_https = self._is_https or environ["wsgi.url_scheme"] == "https"
        headers = [*ALWAYS, HSTS] if is_https else ALWAYS

        def start(status: str, own: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, own + headers, exc_info)

        host = environ.get("HTTP_HOST", "")
        if not host or self._knows(host) or environ["PATH_INFO"] in ANY_HOST:
            return self._app(environ, start)
        return _refused(environ, start, host)

    def allows(self, host: str) -> bool:
        """Whether the service answers to this value of the Host header."""
        match = _HOST.fullmatch(host) if len(host) <= HOST_CHARS else None
        if match is None:
            return False
        name = match[1].strip("[]").lower().removesuffix(".")
        try:
            ipaddress.ip_address(name)
            return True
        except ValueError:
            if name in self._names or name.endswith(".localhost") or name == "localhost":
                return True
            labels = name.split(".")
            return any("*." + ".".join(labels[n:]) in self._names for n in range(1, len(labels)))


def _refused(environ: dict[str, Any], start: Callable[..., Any], host: str) -> list[bytes]:
    path = environ["PATH_INFO"]
    security.note(security.HOST_REFUSED, str(environ.get("REMOTE_ADDR", "")), host=host, path=path)
    detail = f"this service does not answer to the host {host[:100]!r}: add its name to [web] allow_hosts"
    kind, body = "text/plain; charset=utf-8", f"{detail}\n".encode()
    if path.startswith("/api/"):
        kind, body = PROBLEM_TYPE, encode(body_of(Refusal("unknown-host", detail)))
    own = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start("421 Misdirected Request", own)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
