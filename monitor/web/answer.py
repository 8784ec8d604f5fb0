"""Answers: what the monitor sends, with its headers.

Headers that the API has as well are added by duey.server.http_policy.

Browsers may cache only assets. Regions and data have an ETag of their content without relative times, which the
script updates itself, so a poll without changes costs a 304. If a few facts show that nothing has changed, the view
has them as its ETag and is not rendered. Large answers are compressed. (Compressed pages contain the CSRF token,
which an attacker might guess by size. The token alone is not enough: the browser's headers must also say that the
form comes from the monitor.)

Addresses of assets change with their content. They do not end in .css or .js, because some proxies serve such files
from a folder of their own. An address of an older version returns the current file, which browsers then do not cache.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bottle import response

from duey.clock import rfc3339
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.render import Renderer
from duey.monitor.web.request import Request, tag_of
from duey.monitor.web.route import File, View

FOLDER = Path(__file__).parent / "static"
FILES = {
    "style": ("duey.css", "text/css; charset=utf-8"),
    "script": ("duey.js", "text/javascript; charset=utf-8"),
    "icon": ("icon.svg", "image/svg+xml"),
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """One file: its address below /static/, and its bytes, plain and compressed."""

    address: str
    kind: str
    plain: bytes
    packed: bytes


class Assets:
    """The stylesheet, the script and the icon, read once, by the first part of their address."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset] = {}
        for name, (file, kind) in FILES.items():
            plain = (FOLDER / file).read_bytes()
            mark = hashlib.sha256(plain).hexdigest()[:12]
            self._assets[name] = Asset(f"{name}-{mark}", kind, plain, gzip.compress(plain, mtime=0))

    def addresses(self) -> Mapping[str, str]:
        """The last part of each address, by name."""
        return {name: asset.address for name, asset in self._assets.items()}

    def find(self, address: str) -> tuple[Asset | None, bool]:
        """Return the asset, and whether the address is that of its current content."""
        asset = self._assets.get(address.partition("-")[0])
        return asset, asset is not None and asset.address == address


INSTANTS = {"at", "eta", "first_seen", "last_seen", "since", "until", "searched_back_to"}
GIVEN = {"args", "kwargs", "result", "context", "progress", "options", "default"}  # keys inside these are the user's

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str).encode


def to_json(data: Any) -> bytes:
    """Return a view's data as ASCII JSON with a line end, for curl: times in RFC 3339, users' values unchanged."""
    return (_encode(_plain(data)) + "\n").encode("ascii")


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (int, float)):
        if key in INSTANTS or key.endswith("_at"):
            return rfc3339(value)
        return value if math.isfinite(value) else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, dict):
        return {str(name): _given(each) if name in GIVEN else _plain(each, str(name)) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, key) for each in value]
    return value


def _given(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(name): _given(each) for name, each in value.items()}
    return [_given(each) for each in value] if isinstance(value, (list, tuple)) else value


CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
ALWAYS = {
    "Content-Security-Policy": CSP,
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HTML, JSON = "text/html; charset=utf-8", "application/json"
WORTH_PACKING_BYTES = 1400  # one packet; smaller answers gain nothing
_TIME_TEXT = re.compile(r"(<time [^>]*>)[^<]*")


class Answer:
    """Writes to Bottle's response of the current request, and returns the body."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def page(self, request: Request, view: View, message: tuple[str, str, str] | None) -> bytes:
        """Return a whole page."""
        has_data = view.section and request.method in ("GET", "HEAD")
        html = self._renderer.page(view, request, message=message, json=_json_address(request) if has_data else "")
        return self._send(request.environ, view.status, HTML, html.encode("utf-8", "replace"), view.headers)

    def region(self, request: Request, view: View) -> bytes:
        """Return a live region of a page, or 304."""
        if request.knows(view.etag):
            return self._known(HTML, view.etag)
        if request.fragment not in view.regions:
            known = ", ".join(view.regions) or "none"
            return self.refused_data(request, Refusal(404, f"this page has no such region; it has: {known}"))
        html = self._renderer.region(view, request, request.fragment)
        # The ETag ignores the time of the look that a region mentions.
        return self._unless_known(
            request, HTML, html.encode("utf-8", "replace"), view.etag or _TIME_TEXT.sub(r"\1", html)
        )

    def data(self, request: Request, view: View) -> bytes:
        """Return a page's data, or 304."""
        body = to_json(view.data)
        return self._unless_known(request, JSON, body, body.decode("ascii"))

    def refused_data(self, request: Request, refusal: Refusal) -> bytes:
        body = {"status": refusal.status, "title": refusal.title, "detail": refusal.sentence}
        return self._send(request.environ, refusal.status, JSON, to_json(body), refusal.headers)

    def redirect(self, to: str) -> bytes:
        """Redirect with 303, so that the next request is a GET."""
        return self._send({}, 303, HTML, b"", {"Location": to})

    def file(self, request: Request, file: File) -> bytes:
        """Return a file that the browser saves."""
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return self._send(request.environ, 200, file.kind, file.content, headers)

    def asset(self, environ: Mapping[str, Any], asset: Asset | None, current: bool) -> bytes:
        """Return an asset, or 404."""
        if asset is None:
            return self._send(environ, 404, "text/plain; charset=utf-8", b"no such asset\n")
        packed = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
        headers = {"Cache-Control": FOR_EVER if current else "no-cache", "Vary": "Accept-Encoding"}
        if packed:
            headers["Content-Encoding"] = "gzip"
        self._head(200, asset.kind, headers)
        return asset.packed if packed else asset.plain

    def _unless_known(self, request: Request, kind: str, body: bytes, lasting: str) -> bytes:
        if request.knows(lasting):
            return self._known(kind, lasting)
        return self._send(request.environ, 200, kind, body, {"ETag": tag_of(lasting)})

    def _known(self, kind: str, lasting: str) -> bytes:
        self._head(304, kind, {"ETag": tag_of(lasting)})
        return b""

    def _send(
        self, environ: Mapping[str, Any], status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> bytes:
        headers = dict(headers or {})
        if len(body) >= WORTH_PACKING_BYTES:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
                headers["Content-Encoding"] = "gzip"
                body = gzip.compress(body, 5, mtime=0)
        self._head(status, kind, headers)
        return body

    def _head(self, status: int, kind: str, headers: Mapping[str, str]) -> None:
        response.status = status
        for name, value in {**ALWAYS, "Content-Type": kind, **headers}.items():
            response.set_header(name, value)


def _json_address(request: Request) -> str:
    """Return the address of the same data as JSON, below the monitor."""
    path = "/overview" if request.path == "/" else request.path
    query = request.environ.get("QUERY_STRING", "")
    return quote(f"{path}.json") + (f"?{query}" if query else "")
