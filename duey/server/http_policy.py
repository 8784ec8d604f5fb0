"""What holds for all requests and answers, of the pages and the API alike: the names that the service answers to, and
the headers that tell a browser what other sites may not do with an answer.

The name is checked against DNS rebinding: a page of another site can make its own name lead to this machine, and its
script is then same-origin with the service. It cannot do that with an address, with `localhost`, or with a name whose
DNS it does not control. So the Host of a request must be an IP address, `localhost`, the host of `[web] public_url`,
`[web] host`, or an entry of `[web] allow_hosts`. A request without Host does not come from a browser, and is answered.
With a trusted proxy Waitress has replaced Host by its X-Forwarded-Host; from others it has dropped that header.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from duey.api.endpoint import ANY_HOST
from duey.api.problem import KINDS, PROBLEM_TYPE
from duey.config.table import Web
from duey.monitor.access import security

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
# Not for subdomains: they may be other services, without TLS.
HSTS = ("Strict-Transport-Security", "max-age=31536000")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?", re.IGNORECASE | re.ASCII)


class HttpPolicy:
    """The application within these rules."""

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
        """Whether the service may be called by this value of the Host header."""
        match = _HOST.fullmatch(host)
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
        status, title = KINDS["unknown-host"]
        problem = {"type": "urn:duey:unknown-host", "title": title, "status": status, "detail": detail}
        kind, body = PROBLEM_TYPE, json.dumps(problem).encode()
    own = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start("421 Misdirected Request", own)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
