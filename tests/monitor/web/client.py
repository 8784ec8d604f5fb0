"""A browser without a window: keeps cookies, fills in forms, and complains where a page breaks a rule."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urlencode

from tests.support.wsgi import ask

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@dataclass(frozen=True)
class Answer:
    """What came back; names of headers in lower case, the body as it was sent."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes

    @property
    def content(self) -> bytes:
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body

    @property
    def text(self) -> str:
        return self.content.decode("utf-8")

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def words(self) -> str:
        """What a person reads: no markup, spaces folded."""
        bare = re.sub(r"<(script|style)\b.*?</\1>", " ", self.text, flags=re.DOTALL)
        bare = re.sub(r"</?a\b[^>]*>", "", bare)  # a link stands within a sentence
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", bare)).split())

    def hidden(self) -> dict[str, str]:
        """Every hidden field of the page, the last one of each name."""
        found = {}
        for tag in re.findall(r"<input\b[^>]*>", self.text):
            given = dict(re.findall(r'([a-z-]+)="([^"]*)"', tag))
            if given.get("type") == "hidden":
                found[given["name"]] = unescape(given.get("value", ""))
        return found


class Browser:
    """Requests to one WSGI application, mounted at `prefix`."""

    def __init__(self, app: Any, prefix: str = "", scheme: str = "http") -> None:
        self.app, self.prefix, self.scheme = app, prefix, scheme
        self.jar: dict[str, str] = {}
        self.proof = ""

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        if query:
            path += ("&" if "?" in path else "?") + urlencode(query, doseq=True)
        answer = self.call("GET", path, headers=headers)
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.proof = answer.hidden().get("proof", self.proof)
        return answer

    def post(
        self,
        path: str,
        form: dict[str, Any] | None = None,
        proof: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """A form, with the proof that the last page gave (or another)."""
        fields = {"proof": self.proof if proof is None else proof, **(form or {})}
        body = urlencode(fields, doseq=True).encode()
        headers = {"Sec-Fetch-Site": "same-origin", **(headers or {})}
        return self.call("POST", path, body, headers, "application/x-www-form-urlencoded")

    def log_in(self, name: str, password: str) -> Answer:
        self.get("/monitor/login")
        answer = self.post("/monitor/login", {"username": name, "password": password})
        assert answer.status == 303, answer.text
        self.get("/monitor/account")
        return answer

    def follow(self, answer: Answer) -> Answer:
        """The page that a redirect leads to."""
        assert answer.status == 303, answer.text
        location = answer.headers["location"]
        assert location.startswith(self.prefix + "/"), location
        return self.get(location.removeprefix(self.prefix))

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, kind: str | None = None
    ) -> Answer:
        cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items()) or None
        headers = {"Host": "duey.localhost", "Cookie": cookie, **(headers or {})}
        more = {"SCRIPT_NAME": self.prefix, "SERVER_NAME": "duey.localhost", "wsgi.url_scheme": self.scheme}
        raw = ask(self.app, method, path.partition("#")[0], body, kind, headers, **more)
        answer = Answer(raw.status, raw.headers, raw.cookies, raw.body)
        self._keep(raw.cookies)
        self._check(raw.environ, answer)
        return answer

    def _keep(self, cookies: Iterable[str]) -> None:
        for cookie in cookies:
            pair, *attributes = cookie.split("; ")
            name, _, value = pair.partition("=")
            self.jar[name] = value
            if {"Max-Age=0", "Max-Age=-1"} & set(attributes):
                del self.jar[name]

    def _check(self, environ: dict[str, Any], answer: Answer) -> None:
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in answer.headers["permissions-policy"]
        if "/static/" not in unquote(environ["PATH_INFO"]):
            assert answer.headers["cache-control"] == "no-store"
        if answer.status != 304 and environ["REQUEST_METHOD"] != "HEAD":
            assert answer.headers["content-length"] == str(len(answer.body))
        if answer.headers.get("content-type", "").startswith("text/html"):
            text = answer.text if "content-disposition" not in answer.headers else ""  # a file is not shown
            _Page().feed(text)
            outside = re.findall(r"""(?:href|src|action|formaction)=["']?((?:[a-z]+:)?//[^"'\s>]*)""", text)
            assert not outside, f"another host: {outside}"


class _Page(HTMLParser):
    """What no page of ours may hold, since its policy forbids it."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag != "style" and (tag != "script" or given.get("src")), "inline script or style"
        assert not [name for name in given if name == "style" or name.startswith("on")], "inline style or handler"
