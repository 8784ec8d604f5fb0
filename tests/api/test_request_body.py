"""Bodies that cannot be accepted, whatever they ask for."""

from __future__ import annotations

import contextlib
import io
import json
import time
from typing import Any

import pytest

from duey.api.answer import Refusal
from duey.api.body import decode, is_json
from tests.api.client import Answer, Client
from tests.api.conftest import World
from tests.support import rows

JSON = "application/json"


def post(client: Client, body: bytes, content_type: str | None = JSON, **environ: Any) -> Answer:
    return client.call("POST", "/api/jobs", body, content_type, **environ)


@rows(
    "body, sentence",
    [
        (b"", "expecting value at line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b'{"task": "add",}', "line 1, column"),
        (b"{'task': 'add'}", "double quotes"),
        (b'{"task": "add"} x', "extra data"),
        (b'{"task": "a\ndd"}', "control character"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        (b"\xff\xfe{", "not UTF-8: byte 0"),
        (b'{"task": "\xed\xa0\x80"}', "not UTF-8: byte 10"),
        (b'{"task": "\\ud800"}', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
        (b'{"task": "add", "args": [NaN]}', "NaN"),
        (b'{"args": [-Infinity]}', "-Infinity"),
        (b'{"args": [1e999]}', "1e999 is too large"),
        (b'{"task": "add", "task": "echo"}', "'task' twice"),
        (b'{"kwargs": {"a": {"b": 1, "b": 2}}}', "'b' twice"),
        (b'{"args": [' + b"9" * 1001 + b"]}", "1001 digits"),
        (b'{"args": [-' + b"9" * 50_000 + b"]}", "digits"),
    ],
)
def test_not_json(world: World, client: Client, body: bytes, sentence: str) -> None:
    answer = post(client, body, CONTENT_LENGTH=str(len(body)))
    assert (answer.status, answer.json["type"]) == (400, "urn:duey:not-json")
    assert sentence in answer.json["detail"]
    assert world.control.all == {}


def test_json_but_no_object_and_what_is_json(client: Client) -> None:
    for value in (None, True, 1, 1.5, "add", []):
        answer = post(client, json.dumps(value).encode())
        assert answer.status == 422 and answer.json["detail"].startswith("expected an object, found"), value
    body = b'{"task": "echo", "args": ["\\ud83e\\udd86", "\\\\ud800", ' + b"9" * 1000 + b"]}"
    answer = post(client, body)
    assert (answer.status, answer.json["args"]) == (202, ["🦆", "\\ud800", int("9" * 1000)])


class TestDepth:
    @rows("opening, closing", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
    def test_fifty_levels_and_no_more(self, opening: str, closing: str) -> None:
        levels = len(opening.replace('"a":', ""))

        def nested(times: int) -> bytes:
            return (opening * times + "1" + closing * times).encode()

        assert decode(nested(50 // levels))
        wide = [[{"a": '[[{"\\'}]] * 500
        assert decode(json.dumps(wide).encode()) == wide, "width and brackets in strings do not count"
        with pytest.raises(Refusal, match="deeper than 50"):
            decode(nested(50 // levels + 1))

    @rows("body", [b"[" * 40_000, b'{"a":' * 10_000, b"[" * 30_000 + b"]" * 30_000])
    def test_far_too_deep(self, client: Client, body: bytes) -> None:
        answer = post(client, body)
        assert answer.status == 400
        assert "deeper than 50" in answer.json["detail"]

    @rows("unit", [b'"', b'\\"', b"\\", b'"[', b"[]{}", b'"\\"[{'])
    def test_is_found_in_linear_time(self, unit: bytes) -> None:
        body = b"[" * 60 + b'"' + unit * (2_000_000 // len(unit))
        began = time.process_time()
        with contextlib.suppress(Refusal):
            decode(body)
        assert time.process_time() - began < 3


class TestSize:
    def test_just_the_limit_and_more(self, client: Client) -> None:
        body = json.dumps({"task": "echo"}).encode()
        assert post(client, body.ljust(64 * 1024)).status == 202
        answer = post(client, body.ljust(64 * 1024 + 1))
        assert (answer.status, answer.json["type"]) == (413, "urn:duey:too-large")
        assert "64 KB" in answer.json["detail"]

    def test_its_length_is_read_first(self, client: Client) -> None:
        class Unread(io.BytesIO):
            def read(self, *size: Any) -> bytes:
                raise AssertionError

        for length, status in (*((each, 400) for each in ("-1", "1.5", "x", "+5", "٣", "1_0")), ("9" * 5000, 413)):
            assert post(client, b"{}", CONTENT_LENGTH=length).status == status, length
        assert post(client, b"", CONTENT_LENGTH=str(10**12), **{"wsgi.input": Unread()}).status == 413
        answer = post(client, b'{"task": "echo"}', CONTENT_LENGTH="999")  # less than that comes
        assert (answer.status, answer.json["type"]) == (400, "urn:duey:bad-request")


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, and says how many it gave."""

    def __init__(self, body: bytes) -> None:
        self.body, self.given = io.BytesIO(body), 0

    def read(self, size: int = -1) -> bytes:
        piece = self.body.read(min(size, 1000) if size >= 0 else -1)
        self.given += len(piece)
        return piece


class TestChunked:
    """A server that takes chunked bodies gives no length, and ends the stream itself."""

    def post(self, client: Client, stream: Any) -> Answer:
        return post(
            client, b"", HTTP_TRANSFER_ENCODING="chunked",
            **{"wsgi.input": stream, "wsgi.input_terminated": True},
        )  # fmt: skip

    def test_is_read_no_further_than_the_limit(self, client: Client) -> None:
        stream = Trickle(b" " * 1_000_000)
        assert self.post(client, stream).status == 413
        assert stream.given == 64 * 1024 + 1

    def test_pieces_are_read_to_their_end_with_and_without_a_length(self, client: Client) -> None:
        body = json.dumps({"task": "echo", "args": ["x" * 5000]}).encode()
        assert self.post(client, Trickle(body)).status == 202
        environ = {"wsgi.input": Trickle(body), "CONTENT_LENGTH": str(len(body))}
        assert post(client, b"", **environ).status == 202

    def test_an_empty_one_for_a_retry(self, world: World, client: Client) -> None:
        client.post("/api/jobs", {"task": "add", "args": [1], "id": "x"})
        world.control.finish("x")
        answer = client.call(
            "POST", "/api/jobs/x/retry", b"", JSON, HTTP_TRANSFER_ENCODING="chunked",
            **{"wsgi.input": Trickle(b""), "wsgi.input_terminated": True},
        )  # fmt: skip
        assert answer.status == 202


UNDECLARED = [None, "", "text/json", "text/plain", "application/problem+json", "application/json; charset=latin1"]
DECLARED = [JSON, "application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/json;odata=x"]


def test_it_has_to_be_declared_as_json(world: World, client: Client) -> None:
    for content_type in UNDECLARED:
        answer = post(client, b'{"task": "echo"}', content_type)
        assert (answer.status, answer.json["type"]) == (415, "urn:duey:not-json-type"), content_type
    assert world.control.all == {}
    for content_type in DECLARED:
        assert is_json(content_type) and post(client, b'{"task": "echo"}', content_type).status == 202, content_type
