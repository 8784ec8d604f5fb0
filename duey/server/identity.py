"""Identity headers: who the proxy says the user is, believed from `[web] trusted_proxy` alone.

The wrapper is the outermost part of the application, because further in the address of the connection is replaced by
the visitor's. It removes the headers from every request, and hands those of the trusted proxy on under names that no
header can have. From anybody else they are ignored; that is noted once for each address. Where other programs can
connect from the proxy's address, `[auth] proxy_secret` tells the proxy from them.

A proxy replaces what a visitor sends only under the name that it was told. So a request in which a header comes twice,
or is spelled with underscores (which many servers take for the same name), is refused, whoever sends it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from duey.config.auth import SECRET_HEADER, Auth
from duey.monitor.access import security
from duey.monitor.web.request import REMOTE_GROUPS, REMOTE_USER

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
MOST_NOTED = 1000  # addresses


class ProxyIdentity:
    """WSGI middleware. Without `remote_user_header` it does nothing."""

    def __init__(self, app: Wsgi, auth: Auth, trusted_proxy: str) -> None:
        self._app, self._trusted, self._secret = app, trusted_proxy, auth.proxy_secret.encode()
        names = {auth.remote_user_header: REMOTE_USER, auth.remote_groups_header: REMOTE_GROUPS}
        self._keys = {_variable(header): key for header, key in names.items() if header}
        self._noted: set[str] = set()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found = {key: environ.pop(variable) for variable, key in self._keys.items() if variable in environ}
        secret = environ.pop(SECRET_VARIABLE, "").encode("latin-1")
        if found and environ["REMOTE_ADDR"] == self._trusted and hmac.compare_digest(secret, self._secret or secret):
            environ.update(found)
        elif found:
            self._note(environ["REMOTE_ADDR"], environ["PATH_INFO"])
        return self._app(environ, start_response)

    def _note(self, address: str, path: str) -> None:
        if address not in self._noted and len(self._noted) < MOST_NOTED:
            self._noted.add(address)
            security.note(security.IDENTITY_IGNORED, address, path=path)


def ambiguous(headers: Sequence[str]) -> Callable[[bytes], bool]:
    """A function of a request's header that tells whether one of `headers` comes twice or with underscores."""
    if not headers:
        return lambda head: False
    names = "|".join(re.escape(name).replace(r"\-", "[-_]") for name in headers)
    line = re.compile(rf"^({names})[ \t]*:".encode(), re.IGNORECASE | re.MULTILINE)

    def tell(head: bytes) -> bool:
        found = [name.lower() for name in line.findall(head)]
        return any(b"_" in name for name in found) or len(set(found)) < len(found)

    return tell


def _variable(header: str) -> str:
    return f"HTTP_{header.upper().replace('-', '_')}"


SECRET_VARIABLE = _variable(SECRET_HEADER)
