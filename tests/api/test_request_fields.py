"""The fields of a request, each with what it takes and what it refuses."""

from __future__ import annotations

import time
from typing import Any

import jsonschema_rs
import pytest

from duey.api.answer import Refusal
from duey.api.requests import JOB_REQUEST, single
from tests.support import rows

HUGE = 10**400


def at(ahead_s: float, zone: str = "Z") -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + ahead_s)) + zone


GOOD: list[tuple[str, Any, Any]] = [
    ("args", [1, None, {}], [1, None, {}]),
    ("kwargs", {"a": []}, {"a": []}),
    ("id", "A-z_0.9:", "A-z_0.9:"),
    ("delay", 0, 0.0),
    ("delay", 1.5, 1.5),
    ("delay", 315_360_000, 315_360_000.0),
    ("priority", -1e6, -1e6),
    ("priority", 7, 7.0),
    ("queue", "a.b-c_D9", "a.b-c_D9"),
    ("retries", 0, 0),
    ("retries", 100.0, 100),
    ("expires", 0.001, 0.001),
    ("unique", "ü" * 200, "ü" * 200),
    ("context", {"user": "ana"}, {"user": "ana"}),
    ("context", {"a": "x" * 4088}, {"a": "x" * 4088}),
]

BAD: list[tuple[str, Any]] = [
    ("task", ""), ("task", "x" * 201), ("task", 1), ("task", None), ("task", ["add"]),
    ("args", {}), ("args", "ab"), ("args", None),
    ("kwargs", []), ("kwargs", None),
    ("id", ""), ("id", "x" * 65), ("id", "a b"), ("id", "a/b"), ("id", "a\n"), ("id", 7), ("id", "batch"),
    ("delay", -0.1), ("delay", True), ("delay", "5"), ("delay", None), ("delay", HUGE), ("delay", 315_360_001),
    ("eta", 1893456000), ("eta", ""), ("eta", "tomorrow"), ("eta", True), ("eta", "2030-01-01"),
    ("eta", at(60, "")), ("eta", at(-61)), ("eta", "1969-12-31T23:59:59Z"), ("eta", at(11 * 365 * 86400)),
    ("eta", "2030-02-30T00:00:00Z"), ("eta", "0000-01-01T00:00:00Z"), ("eta", "9999-12-31T23:59:59-23:59"),
    ("eta", "2030-01-01T25:00:00Z"), ("eta", "2030-01-01T00:00:61Z"), ("eta", "2030-01-01T00:00:00+24:00"),
    ("eta", "2030-01-01T00:00:00+01:75"), ("eta", "2030-01-01T00:00:00Z\n"), ("eta", "２030-01-01T00:00:00Z"),
    ("priority", 1e6 + 1), ("priority", -HUGE), ("priority", "high"), ("priority", False), ("priority", []),
    ("queue", ""), ("queue", "a b"), ("queue", "x" * 65), ("queue", "ü"), ("queue", 1),
    ("retries", -1), ("retries", 101), ("retries", 1.5), ("retries", True), ("retries", HUGE), ("retries", "3"),
    ("expires", 0), ("expires", -1), ("expires", True), ("expires", HUGE),
    ("unique", ""), ("unique", "x" * 201), ("unique", 5),
    ("context", []), ("context", "x"), ("context", {"a": "x" * 4089}), ("context", {"a": "ü" * 2045}),
]  # fmt: skip


@rows("name, value, expected", GOOD)
def test_what_is_accepted(name: str, value: Any, expected: Any) -> None:
    attribute = {"delay": "delay_s", "expires": "expires_s"}.get(name, name)
    found = getattr(single({"task": "add", name: value}), attribute)
    assert (found, type(found)) == (expected, type(expected))
    jsonschema_rs.validate(JOB_REQUEST.schema, {"task": "add", name: value})


@rows("name, value", BAD)
def test_what_is_refused_is_named(name: str, value: Any) -> None:
    with pytest.raises(Refusal) as refused:
        single({"task": "add", name: value})
    ((path, sentence),) = refused.value.errors
    assert (refused.value.kind, path) == ("invalid", name)
    assert "expected" in sentence and "found" in sentence and len(sentence) < 200


ETAS = [
    ("2028-02-29T12:00:00Z", 1835438400),
    ("2028-02-29t12:00:00z", 1835438400),
    ("2028-02-29 14:30:00+02:30", 1835438400),
    ("2028-02-29T07:00:00.5-05:00", 1835438400.5),
    ("2028-12-31T23:59:60Z", 1861920000),
    ("2028-02-29T12:00:00.123456789012Z", 1835438400.123457),
]


@rows("eta, expected", ETAS)
def test_an_eta(monkeypatch: pytest.MonkeyPatch, eta: str, expected: float) -> None:
    monkeypatch.setattr("duey.clock.now", lambda: 1800000000.0)
    assert single({"task": "add", "eta": eta}).eta == pytest.approx(expected, abs=1e-5)
    for ahead_s in (-59, -1, 0):  # clocks differ, and a request takes time: it means now
        monkeypatch.setattr("duey.clock.now", lambda late=ahead_s: expected - late)
        assert single({"task": "add", "eta": eta}).eta is None


REFUSED: list[tuple[dict[str, Any], list[str], str]] = [
    ({"task": "add", "delay": 1, "eta": at(86_400)}, ["delay"], "expected delay or eta, found both"),
    ({"args": []}, ["task"], "found nothing: add it"),
    ({"task": "add", "prioriy": 1}, ["prioriy"], "no such field; did you mean priority?"),
    ({"task": "add", "zzz": 2}, ["zzz"], "no such field: leave it out"),
    ({"task": "add", "x" * 5000: 3}, [f'["{"x" * 59}…"]'], "leave it out"),
    ({"task": 1, "args": 2, "kwargs": 3, "retries": 4.5}, ["task", "args", "kwargs", "retries"], "expected text"),
]


@rows("request_, paths, sentence", REFUSED)
def test_every_fault_of_a_request_is_told_at_once(request_: Any, paths: list[str], sentence: str) -> None:
    with pytest.raises(Refusal) as refused:
        single(request_)
    assert [path for path, _ in refused.value.errors] == paths
    assert sentence in refused.value.errors[0][1]
