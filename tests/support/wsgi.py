"""One request to a WSGI application, called in this thread."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes


class Answer(NamedTuple):
    """What came back. Names of headers are in lower case; `cookies` are the values of Set-Cookie."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes
    environ: dict[str, Any]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    app: Any, method: str, path: str, body: bytes = b"", content_type: str | None = None,
    headers: Mapping[str, str | None] | None = None, **environ: Any,
) -> Answer:  # fmt: skip
    """`environ` replaces entries of the WSGI environment; None, also as a header, removes one."""
    path, _, query = path.partition("?")
    everything: dict[str, Any] = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": unquote_to_bytes(path).decode("latin1"),
        "QUERY_STRING": query, "CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body)) if body else None,
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.7",
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(), "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    everything |= {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in (headers or {}).items()}
    sent = {name: value for name, value in (everything | environ).items() if value is not None}
    started: list[tuple[str, list[tuple[str, str]]]] = []
    content = b"".join(app(sent, lambda status, listed, exc_info=None: started.append((status, listed))))
    assert len(started) == 1, "start_response must be called once"
    assert sent["wsgi.errors"].getvalue() == "", "Bottle caught what the application should have"
    status, listed = started[0]
    found = {name.lower(): text for name, text in listed}
    cookies = [text for name, text in listed if name.lower() == "set-cookie"]
    assert len(found) == len(listed) - max(0, len(cookies) - 1), f"a header is there twice: {listed}"
    return Answer(int(status.split()[0]), found, cookies, content, sent)
