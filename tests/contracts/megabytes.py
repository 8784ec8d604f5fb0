"""Requests of 1 MB of each kind, to an API and a monitor over a real storage, all in this thread: its processor time
is that of the request."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypedDict
from urllib.parse import quote
from uuid import UUID

from duey import register_type
from duey.api import make_api
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.monitor.access import ADMIN, Access
from duey.monitor.history import History
from duey.monitor.web import make_web
from duey.server.main import side_by_side
from tests.api.client import Client
from tests.monitor.web.client import Browser

BODY_BYTES = 1024 * 1024
HEAD_BYTES = 60_000  # of an address or a header: the server refuses a head of more than 64 KB
JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"
PASSWORD = "correct horse battery"


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
    "objects": [{"a": {}}] * 49_000,
    "small lists": [[1]] * 99_000,
    "deep lists": [nested(40)] * 2_400,
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
    "points": [{"x": 1}] * 90_000,
    "named": [{"name": "a"}] * 70_000,
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
    "large other values": (422, {"task": "take", "queue": [0] * 250_000, "retries": [[0]] * 90_000, "delay": "x"}),
    "a million digits": (400, b'{"task": "take", "args": [' + b"9" * 1_000_000 + b"]}"),
    "many arrays": (400, {"task": "take", "args": [[[]] * 300_000]}),
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


PACE_S = 0.04  # what pace_s() takes on a core of its own


def pace_s() -> float:
    """Processor time of a fixed piece of work: a thread that shares its core with others counts more for the same."""
    began = time.thread_time()
    json.loads(json.dumps(WIDE))
    return time.thread_time() - began


class Service:
    """API and monitor over a huey, in this thread."""

    def __init__(self, huey: DurableHuey, folder: Path) -> None:
        settings, self.huey = huey.settings, huey

        @huey.task()
        def take(value: Any = None, **others: Any) -> Any:
            return value

        @huey.task()
        def strict(a: list[int], b: dict[str, int] | None = None, c: str = "") -> None: ...

        @huey.task(unique=True)
        def once(value: Any = None, *more: Any, **others: Any) -> Any:
            return value

        for name, hint in TYPES.items():

            def body(value: Any) -> None: ...

            body.__name__, body.__annotations__ = f"take_{name}", {"value": hint}
            huey.task(unique=True)(body)
        self.access = Access(f"sqlite:///{folder / 'access.db'}")
        self.history = History(f"sqlite:///{folder / 'monitor.db'}", settings.monitor)
        self.history.prepare()
        control = Control(huey)
        self.recorder = self.history.recorder(huey.lifecycle, control.workers, control.schedules.all)
        api = make_api(control, self.access, settings, self.history)
        app = side_by_side(make_web(control, self.access, self.history, settings), api, settings.web)
        self.client = Client(app, self.access.tokens.create("robot", ("admin",))[1])
        self.access.accounts.create("ana", ADMIN, PASSWORD)
        self.browser = Browser(app)
        self.browser._check = lambda *_: None  # type: ignore[method-assign]  # API answers have other headers
        self.browser.log_in("ana", PASSWORD)
        self.took: dict[str, float] = {}

    def close(self) -> None:
        self.access.close()
        self.history.close()

    def timed(self, name: str, call: Callable[[], Any]) -> Any:
        began = time.thread_time()
        answer = call()
        took = time.thread_time() - began
        if took > 0.1:
            took *= min(1.0, PACE_S / pace_s())
        self.took[name] = max(took, self.took.get(name, 0.0))
        return answer

    def send(self, name: str, value: Any, path: str = "/api/jobs", method: str = "POST") -> Any:
        body = (
            value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        )
        assert len(body) <= BODY_BYTES, (name, len(body))
        return self.timed(name, lambda: self.client.call(method, path, body, JSON_TYPE))

    def form(self, title: str, path: str, /, **fields: str) -> Any:
        """A form that does not escape more than it has to."""
        sent = {"proof": self.browser.proof, **fields}
        body = "&".join(f"{quote(k)}={v}" for k, v in sent.items())[:BODY_BYTES].encode()
        headers = {"Sec-Fetch-Site": "same-origin"}
        return self.timed(title, lambda: self.browser.call("POST", path, body, headers, FORM_TYPE))

    def get(self, path: str, name: str = "", headers: dict[str, str] | None = None) -> Any:
        asked = self.client if path.startswith(("/api", "/metrics")) else self.browser
        return self.timed(name or path, lambda: asked.call("GET", path, headers=headers))
