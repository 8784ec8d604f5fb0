"""A client of the HTTP API, as another program would be one: one connection, kept open."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What came back. `body` is parsed JSON, or text where it is none."""

    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """Not for several threads."""

    def __init__(self, port: int, token: str = "", timeout_s: float = 40, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.call("POST", path, body, headers)

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        data = None if body is None else json.dumps(body)
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in (headers or {}).items()}}
        self._connection.request(method, path, data, sent)
        response = self._connection.getresponse()
        raw = response.read().decode()
        try:
            parsed = json.loads(raw)
        except ValueError:
            parsed = raw
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, parsed)

    def close(self) -> None:
        self._connection.close()


def shown(out: str, word: str) -> str:
    """The value behind a word that stands on a line of its own in what the first start printed."""
    lines = [line.split() for line in out.splitlines() if line.split()[:1] == [word]]
    assert len(lines) == 1, out
    return lines[0][1]
