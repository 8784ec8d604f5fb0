"""A client that calls a WSGI application directly, and complains where that breaks WSGI or HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes


@dataclass(frozen=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Requests with a token, if one is given, and JSON bodies."""

    def __init__(self, app: Any, token: str | None = None) -> None:
        self.app, self.token = app, token

    def get(self, path: str, **options: Any) -> Answer:
        return self.call("GET", path, **options)

    def post(self, path: str, value: Any = None, **options: Any) -> Answer:
        """`value` becomes the JSON body; without one the request has no body."""
        if value is not None:
            options["body"] = json.dumps(value).encode()
            options["content_type"] = options.get("content_type", "application/json")
        return self.call("POST", path, **options)

    def put(self, path: str, value: Any, **options: Any) -> Answer:
        options.setdefault("content_type", "application/json")
        return self.call("PUT", path, body=json.dumps(value).encode(), **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.call("DELETE", path, **options)

    def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
        **environ: Any,
    ) -> Answer:
        """One request; further keywords replace entries of the WSGI environment, None removes them."""
        path, _, query = path.partition("?")
        everything: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(body)) if body else None,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.7",
            "HTTP_AUTHORIZATION": f"Bearer {self.token}" if self.token else None,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, text in (headers or {}).items():
            everything[f"HTTP_{name.upper().replace('-', '_')}"] = text
        everything.update(environ)
        return self._answered({name: value for name, value in everything.items() if value is not None})

    def _answered(self, environ: dict[str, Any]) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            started.append((status, headers))

        body = b"".join(self.app(environ, start_response))
        assert len(started) == 1, "start_response must be called once"
        status, listed = started[0]
        headers = {name.lower(): text for name, text in listed}
        assert len(headers) == len(listed), f"a header is there twice: {listed}"
        answer = Answer(int(status.split()[0]), headers, body)
        if environ["REQUEST_METHOD"] == "HEAD":
            assert body == b""
        else:
            assert headers["content-length"] == str(len(body))
        assert headers["cache-control"] == "no-store"
        assert environ["wsgi.errors"].getvalue() == "", "Bottle caught what the API should have"
        return answer
