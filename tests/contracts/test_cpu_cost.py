"""What a request costs: processor time of requests of 1 MB, and of looks at what they left behind.

The time is that of the thread which answers, so that others on the machine do not count; what is allowed is several
times what was measured, and far below what each of these once took.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duey.api import make_api
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.monitor.access import ADMIN, Access, passwords
from duey.monitor.history import History
from duey.monitor.web import make_web
from duey.server.main import side_by_side
from tests.api.client import Client
from tests.contracts.rig import run_all
from tests.monitor.web.client import Browser
from tests.support import rounds

pytestmark = pytest.mark.soak
BODY_BYTES = 1024 * 1024
ALLOWED_S = 0.3  # on a core that reads and writes WIDE in PACE_S
PACE_S = 0.04
WIDE = {f"k{i}": 0 for i in range(88_000)}
JSON_TYPE = "application/json"


def pace_s() -> float:
    """Processor time of a fixed piece of work: a thread that shares its core with others counts more for the same."""
    began = time.thread_time()
    json.loads(json.dumps(WIDE))
    return time.thread_time() - began


class Service:
    """API and monitor over a real storage, in this process."""

    def __init__(self, huey: DurableHuey, folder: Path) -> None:
        settings = huey.settings
        self.access = Access(f"sqlite:///{folder / 'access.db'}")
        self.history = History(f"sqlite:///{folder / 'monitor.db'}", settings.monitor)
        self.history.prepare()
        control = Control(huey)
        self.recorder = self.history.recorder(huey.storage, control.workers, control.schedules.all)
        api = make_api(control, self.access, settings, self.history)
        app = side_by_side(make_web(control, self.access, self.history, settings), api, settings.web)
        self.client = Client(app, self.access.tokens.create("robot", ("admin",))[1])
        self.access.accounts.create("ana", ADMIN, "correct horse battery")
        self.browser = Browser(app)
        self.browser.log_in("ana", "correct horse battery")
        self.slow: list[str] = []

    def timed(self, name: str, call: Any) -> Any:
        began = time.thread_time()
        answer = call()
        took = time.thread_time() - began
        if took > ALLOWED_S and took > ALLOWED_S * max(pace_s() for _ in range(3)) / PACE_S:
            self.slow.append(f"{name}: {took:.2f} s")
        return answer

    def post(self, name: str, value: Any, path: str = "/api/jobs") -> Any:
        body = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
        assert len(body) <= BODY_BYTES, name
        return self.timed(name, lambda: self.client.call("POST", path, body, JSON_TYPE))

    def get(self, path: str) -> Any:
        asked = self.client if path.startswith("/api") else self.browser
        answer = self.timed(path, lambda: asked.get(path))
        assert answer.status == 200
        return answer


@pytest.fixture(params=rounds(["sqlite"], soak=["sqlite", "redis"]))
def backend(request: pytest.FixtureRequest) -> str:
    """What is timed is above the storage: one is enough, and each takes seconds."""
    return str(request.param)


@pytest.fixture
def service(huey: DurableHuey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2, r=1, p=1))
    monkeypatch.setattr(Browser, "_check", lambda *_: None)  # API answers have other headers

    @huey.task()
    def take(value: Any = None, **others: Any) -> Any:
        return value

    @huey.task()
    def strict(a: list[int], b: dict[str, int] | None = None, c: str = "") -> None: ...

    made = Service(huey, tmp_path)
    yield made
    made.access.close()
    made.history.close()


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


REFUSED = {
    "unknown fields": (422, WIDE),
    "unknown arguments": (422, {"task": "strict", "kwargs": WIDE}),
    "too many arguments": (422, {"task": "strict", "args": [0] * 500_000}),
    "wrong items": (422, {"task": "strict", "args": [["x"] * 200_000]}),
    "wrong members": (422, {"task": "strict", "args": [[], {f"k{i}": "x" for i in range(70_000)}]}),
    "long name of a field": (422, {"x" * 1_000_000: 1}),
    "long name of a task": (422, {"task": "x" * 1_000_000}),
    "large context": (422, {"task": "take", "context": WIDE}),
    "a million digits": (400, b'{"task": "take", "args": [' + b"9" * 1_000_000 + b"]}"),
    "many arrays": (400, {"task": "take", "args": [[[]] * 300_000]}),
    "many objects": (400, {"task": "take", "args": [[{}] * 300_000]}),
    "deep": (400, b"[" * 1_000_000),
}
REFUSED_BATCHES = {
    "too many jobs": [1] * 500_000,
    "no jobs": [1] * 1000,
    "unknown fields each": [{f"f{i}": 1 for i in range(80)}] * 1000,
    "unknown arguments each": [{"task": "strict", "kwargs": {f"k{i}": 1 for i in range(80)}}] * 1000,
    "wrong items each": [{"task": "strict", "args": [["x"] * 200]}] * 1000,
}
ACCEPTED = {
    "wide argument": {"task": "take", "args": [WIDE]},
    "wide arguments": {"task": "take", "kwargs": WIDE},
    "long list": {"task": "take", "args": [[0] * 500_000]},
    "floats": {"task": "take", "args": [[1.5] * 200_000]},
    "objects": {"task": "take", "args": [[{"a": {}}] * 49_000]},
    "deep lists": {"task": "take", "args": [[nested(40)] * 2_400]},
    "long text": {"task": "take", "args": ["x" * 1_000_000]},
    "urls": {"task": "take", "args": ["://a:b@" * 140_000]},
    "no url": {"task": "take", "args": ["://a:" * 200_000 + "@"]},
    "long keys": {"task": "take", "args": [{"aB" * 200_000: 1, "a_" * 150_000: 2, "a1" * 100_000: 3}]},
    "long integers": {"task": "take", "args": [[10**999] * 1000]},
    "long fraction": b'{"task": "take", "args": [0.' + b"9" * 1_000_000 + b"]}",
    "many secrets": {"task": "take", "kwargs": {"value": {f"token{i}": f"hunter{i}" for i in range(30_000)}}},
    "secret among many": {"task": "take", "kwargs": {**{f"k{i}": "x" for i in range(70_000)}, "password": "hunter2"}},
    "no secrets": {"task": "take", "kwargs": {f"tokenizer{i}": 0 for i in range(50_000)}},
    "secrets in a text": {
        "task": "take",
        "kwargs": {"token": [f"t{i:06}" for i in range(9_000)], "a": "t00" * 250_000},
    },
    "escapes": b'{"task": "take", "args": ["' + b"\\u0001" * 160_000 + b'"]}',
}


def test_no_request_of_a_megabyte_costs_much(service: Service) -> None:
    for name, (status, value) in REFUSED.items():
        answer = service.post(name, value)
        assert answer.status == status, name
        assert len(answer.json.get("errors", ())) <= 50 and len(answer.body) < 20_000, name
    for name, batch in REFUSED_BATCHES.items():
        answer = service.post(name, batch, "/api/jobs/batch")
        assert answer.status == 422 and len(answer.json["errors"]) <= 50, name
    ids = {}
    for name, value in ACCEPTED.items():
        answer = service.post(name, value)
        assert answer.status == 202, name
        ids[name] = answer.json["id"]
    for n, job_id in enumerate(ids.values()):  # each job by one way in the short form, which also makes each page
        paths = (f"/api/jobs/{job_id}", f"/monitor/jobs/{job_id}", f"/monitor/jobs/{job_id}.json")
        for path in rounds(paths[n % 3 :][:1], soak=paths):
            service.get(path)
    assert service.post("schedule", {"name": "w", "task": "take", "every": 10**6, "args": [WIDE]}, "/api/schedules")
    for path in ("/api/schedules", "/monitor/schedules", "/monitor/schedules.json"):
        service.get(path)
    assert not service.slow, service.slow


def test_results_cost_little_and_come_whole(service: Service, huey: DurableHuey) -> None:
    ids = {name: service.post(name, ACCEPTED[name]).json["id"] for name in ("wide argument", "floats", "long text")}
    run_all(huey)
    assert service.get(f"/api/jobs/{ids['wide argument']}").json["result"] == WIDE
    assert len(service.get(f"/api/jobs/{ids['long text']}").json["result"]) == 1_000_000
    service.timed("recorder", service.recorder.record)
    for job_id in ids.values():
        for path in (f"/monitor/jobs/{job_id}", f"/monitor/jobs/{job_id}.json", f"/api/jobs/{job_id}/attempts"):
            service.get(path)
    assert not service.slow, service.slow


def test_a_page_of_large_jobs_is_not_large(service: Service, huey: DurableHuey) -> None:
    large = {"task": "take", "kwargs": {"value": {f"key{i}": "x" * 10 for i in range(30_000)}}}
    small = {"task": "take", "kwargs": {"value": ["a text of some length, as they are"] * 150}}
    for _ in range(10):
        service.post("large", large)
    for n in range(10):
        service.post("small", [{**small, "id": f"small-{n}-{m}"} for m in range(40)], "/api/jobs/batch")
    for recorded in (False, True):
        if recorded:
            run_all(huey, 1000)
            while huey.storage.counts().events:
                service.recorder.record()
        seen, cursor, pages = [], "", 0
        while cursor is not None:
            state = "done" if recorded else "queued"
            answer = service.get(f"/api/jobs?state={state}&limit=500&cursor={cursor}")
            assert len(answer.body) <= 1024 * 1024
            seen += [each["id"] for each in answer.json["jobs"]]
            cursor, pages = answer.json["next"], pages + 1
        assert len(seen) == len(set(seen)) == 10 * 41 and pages > 1
        for path in ("/monitor/jobs?limit=200", "/monitor/jobs?state=queued", "/monitor/jobs.json?limit=200"):
            assert len(service.get(path).content) < 4_000_000
    assert not service.slow, service.slow
