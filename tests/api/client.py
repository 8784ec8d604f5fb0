"""A client that calls a WSGI application directly, and complains where that breaks WSGI or HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.support.wsgi import Answer, ask


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
        self, method: str, path: str, body: bytes = b"", content_type: str | None = None,
        headers: Mapping[str, str] | None = None, **environ: Any,
    ) -> Answer:  # fmt: skip
        """One request; further keywords replace entries of the WSGI environment, None removes them."""
        right = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = ask(self.app, method, path, body, content_type, {**right, **(headers or {})}, **environ)
        if method == "HEAD":
            assert answer.body == b""
        else:
            assert answer.headers["content-length"] == str(len(answer.body))
        assert answer.headers["cache-control"] == "no-store"
        return answer
