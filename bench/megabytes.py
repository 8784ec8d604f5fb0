"""Requests of 1 MB of each kind, as the values that they hold: for a part of the bench and for a contract test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypedDict
from urllib.parse import quote
from uuid import UUID

from duey import register_type

BODY_BYTES = 1024 * 1024
HEAD_BYTES = 60_000  # of an address or a header: the server refuses a head of more than 64 KB


@register_type
class Colour(Enum):
    RED, BLUE = "red", "blue"


@register_type
@dataclass
class Point:
    x: float
    y: float = 0.0


class Named(TypedDict, total=False):
    name: str


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


WIDE = {f"k{i}": 0 for i in range(88_000)}
VALUES: dict[str, Any] = {
    "wide object": WIDE,
    "long list": [0] * 500_000,
    "floats": [1.5] * 250_000,
    "texts": ["x"] * 250_000,
    "objects": [{"a": 1, "b": 1}] * 49_000,
    "objects in objects": [{"a": {"b": 1, "c": "x", "d": 1}}] * 24_000,
    "small lists": [[1, 2, 3, 4, 5, 6, 7, 8]] * 49_000,
    "deep lists": [nested(40)] * 1_200,
    "long text": "x" * 1_000_000,
    "urls": "://a:b@" * 140_000,
    "no url": "://a:" * 200_000 + "@",
    "long keys": {"aB" * 200_000: 1, "a_" * 150_000: 2, "a1" * 100_000: 3},
    "long integers": [10**999] * 1000,
    "many secrets": {f"token{i}": f"hunter{i}" for i in range(30_000)},
    "secret among many": {**{f"k{i}": "x" for i in range(70_000)}, "password": "hunter2"},
    "no secrets": {f"tokenizer{i}": 0 for i in range(50_000)},
    "secrets in a text": {"token": [f"t{i:06}" for i in range(9_000)], "a": "t00" * 250_000},
    "pairs in a text": "password=hunter2 " * 60_000,
    "escapes": "\x01" * 160_000,
    "other letters": "čž😀" * 45_000,
    "markup": "<&\"'" * 200_000,
    "line ends": "\n" * 500_000,
}  # fmt: skip
TYPED: dict[str, Any] = {  # by the type of `take_...` that accepts it
    "dates": ["2030-01-31"] * 75_000,
    "datetimes": ["2030-01-31T10:30:00Z"] * 44_000,
    "durations": ["PT90S"] * 120_000,
    "decimals": ["1.5"] * 160_000,
    "ids": ["123e4567-e89b-12d3-a456-426614174000"] * 26_000,
    "paths": ["/a/b"] * 140_000,
    "colours": ["red"] * 160_000,
    "literals": ["a"] * 250_000,
    "points": [{"x": 1}] * 49_000,
    "named": [{"name": "abc"}] * 49_000,
    "either": [None, 1, "x"] * 80_000,
    "sets": [str(n) for n in range(110_000)],
    "octets": "QUFB" * 250_000,
    "decimal": "9" * 1_000_000,
    "by_number": {str(n): n for n in range(60_000)},
}  # fmt: skip
TYPES: dict[str, Any] = {
    "dates": list[date], "datetimes": list[datetime], "durations": list[timedelta], "decimals": list[Decimal],
    "ids": list[UUID], "paths": list[Path], "colours": list[Colour], "literals": list[Literal["a", "b"]],
    "points": list[Point], "named": list[Named], "either": list[int | str | None], "sets": set[str],
    "octets": bytes, "decimal": Decimal, "by_number": dict[int, int],
}  # fmt: skip
REFUSED: dict[str, tuple[int, Any]] = {
    "unknown fields": (422, WIDE),
    "unknown arguments": (422, {"task": "strict", "kwargs": WIDE}),
    "too many arguments": (422, {"task": "strict", "args": [0] * 500_000}),
    "wrong items": (422, {"task": "strict", "args": [["x"] * 200_000]}),
    "wrong members": (422, {"task": "strict", "args": [[], {f"k{i}": "x" for i in range(70_000)}]}),
    "long name of a field": (422, {"x" * 1_000_000: 1}),
    "long name of a task": (422, {"task": "x" * 1_000_000}),
    "large context": (422, {"task": "take", "context": WIDE}),
    "long key": (422, {"task": "take", "unique": "x" * 1_000_000}),
    "long id": (422, {"task": "take", "id": "x" * 1_000_000}),
    "long time": (422, {"task": "take", "eta": "2" * 1_000_000}),
    "large other values": (422, {"task": "take", "queue": [0] * 250_000, "retries": [[0]] * 49_000, "delay": "x"}),
    "a million digits": (400, b'{"task": "take", "args": [' + b"9" * 1_000_000 + b"]}"),
    "many arrays": (400, {"task": "take", "args": [[[]] * 300_000]}),
    "many members": (400, {"task": "take", "args": [[{f"k{n}": 0 for n in range(100)}] * 1100]}),
    "many objects": (400, {"task": "take", "args": [[{}] * 300_000]}),
    "deep": (400, b"[" * 1_000_000),
    "one name many times": (400, b'{"a":1,' * 1 + b'"a":1,' * 170_000 + b'"b":1}'),
    "half pairs": (400, b'{"task": "take", "args": ["' + b"\\ud800" * 170_000 + b'"]}'),
    "not UTF-8": (400, b"\xff" * 1_000_000),
    "quotes": (400, b'"\\' * 500_000),
    "blanks": (400, b" " * 1_000_000),
}  # fmt: skip
REFUSED_BATCHES: dict[str, Any] = {
    "too many jobs": [1] * 500_000,
    "no jobs": [1] * 1000,
    "unknown fields each": [{f"f{i}": 1 for i in range(80)}] * 1000,
    "unknown arguments each": [{"task": "strict", "kwargs": {f"k{i}": 1 for i in range(80)}}] * 1000,
    "wrong items each": [{"task": "strict", "args": [["x"] * 200]}] * 1000,
    "unknown tasks": [{"task": "x" * 900}] * 1000,
}
BATCHES: dict[str, Any] = {
    "1,000 jobs": [{"task": "take", "args": [{f"k{n}": n for n in range(90)}]}] * 1000,
    "1,000 unique jobs": [{"task": "once", "args": [n, {f"k{n}": n for n in range(90)}]} for n in range(1000)],
    "1,000 jobs with context": [{"task": "take", "context": {f"k{n}": n for n in range(90)}}] * 1000,
    "1,000 jobs with texts": [{"task": "take", "args": ["password=" + "x" * 900]}] * 1000,
}
BODIES: dict[str, Any] = {
    "100,000 values": {"task": "once", "args": [0] * 100_000},
    "objects": {"task": "once", "args": [{"a": 1, "b": 1}] * 49_000},
    "small lists": {"task": "once", "args": [[1, 2, 3, 4, 5, 6, 7, 8]] * 49_000},
    "texts": {"task": "once", "args": ["x"] * 250_000},
    "names": {"task": "once", "kwargs": WIDE},
    "names of objects": {"task": "once", "kwargs": {f"k{n}": {"a": 1} for n in range(49_000)}},
    "either": {"task": "once", "args": [None, 1, "x"] * 80_000},
}  # fmt: skip
# What is typed into a field of a form, escaped as little as it has to be.
FORM_TEXTS: dict[str, str] = {
    "wide object": "{" + ",".join(f'"k{n}":0' for n in range(88_000)) + "}",
    "long list": "[" + "0," * 500_000 + "0]",
    "many arrays": "[" + "[]," * 330_000 + "0]",
    "many objects": "[" + "{}," * 330_000 + "0]",
    "deep": "[" * 500_000 + "]" * 500_000,
    "deep objects": '{"a":' * 900 + '"' + "x" * 990_000 + '"' + "}" * 900,
    "less deep objects": '{"a":' * 45 + "[" + "0," * 480_000 + "0]" + "}" * 45,
    "a list of deep objects": "[" + ",".join(['{"a":' * 40 + "0" + "}" * 40] * 1_200) + "]",
    "marks": "[" + '"[redacted]",' * 70_000 + "0]",
    "one name many times": "{" + '"a":1,' * 170_000 + '"a":1}',
    "digits": "9" * 1_000_000,
    "long integers": "[" + ("9" * 4_200 + ",") * 240 + "0]",
    "exponents": "[" + "1e5," * 250_000 + "0]",
    "floats": "[" + "1.5," * 250_000 + "0]",
    "percent signs": "%25" * 340_000,
    "bare percent signs": "%" * 1_000_000,
    "plus signs": "+" * 1_000_000,
    "other letters": quote("č" * 170_000),
    "not UTF-8": "%ff" * 340_000,
    "quotes": '"' * 1_000_000,
    "back-slashes": '"' + "\\\\" * 500_000 + '"',
    "escapes": '"' + "\\u0001" * 170_000 + '"',
    "half pairs": '"' + "\\ud800" * 170_000 + '"',
    "urls": '"' + "://a:b@" * 140_000 + '"',
    "line ends": "%0d%0a" * 170_000,
    "blanks": "+" * 999_999 + "1",
    "text": "x" * 1_000_000,
}  # fmt: skip
QUERIES: dict[str, str] = {
    "a long value": "q=" + "x" * HEAD_BYTES,
    "many names": "&".join(f"f{n}=" for n in range(9_000)),
    "one name": "q=&" * 20_000,
    "ampersands": "&" * HEAD_BYTES,
    "percent signs": "q=" + "%" * HEAD_BYTES,
    "not UTF-8": "q=" + "%ff" * 20_000,
    "a cursor": "cursor=" + "9" * HEAD_BYTES,
    "a limit": "limit=" + "9" * HEAD_BYTES,
    "words": "q=" + "a:b+" * 15_000,
    "quotes": "q=" + "%22+" * 15_000,
    "times": "q=" + "since:1h+" * 6_000,
    "a long time": "q=since:" + "9" * HEAD_BYTES,
    "a task": "task=" + "x." * 30_000,
    "a state": "state=" + "x" * HEAD_BYTES,
    "next": "next=" + "/" * HEAD_BYTES,
}  # fmt: skip
HEADERS: dict[str, str] = {
    "letters": "x" * HEAD_BYTES,
    "semicolons": ";" * HEAD_BYTES,
    "pairs": "a=b; " * 12_000,
    "commas": "a, " * 20_000,
    "qualities": "gzip;q=0.1," * 5_400,
    "digits": "9" * HEAD_BYTES,
    "blanks": "a" + " " * HEAD_BYTES + "b",
    "slashes": "/" * HEAD_BYTES,
    "colons": ":" * HEAD_BYTES,
    "dots": "1." * 30_000,
    "quotes": '"' * HEAD_BYTES,
    "Bearer": "Bearer " + "x" * HEAD_BYTES,
    "an address": "https://" + "a." * 29_000,
    "high": "\xff" * HEAD_BYTES,
}  # fmt: skip
FORMS: dict[str, str] = {
    "many fields": "a=1&" * 250_000,
    "many names": "&".join(f"f{n}=" for n in range(4_900)),
    "many ids": "verb=retry&" + "id=queued+x&" * 4_900,
    "ampersands": "&" * 1_000_000,
    "percent signs": "%" * 1_000_000,
    "a long name": "%41" * 340_000 + "=1",
    "a long password": "username=ana&password=" + "x" * 1_000_000,
    "a long account": "username=" + "x" * 1_000_000 + "&password=x",
    "plus signs": "q=" + "+" * 1_000_000,
    "words": "verb=retry&every=1&q=" + "a:b+" * 240_000,
    "quotes": "verb=retry&every=1&q=" + "%22+" * 240_000,
    "arrays": "p:value=" + "[" * 1_000_000,
}  # fmt: skip
