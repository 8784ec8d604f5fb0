"""Requests of 1 MB, and looks at what they left behind: what is answered is bounded, and `make soak` holds its time.

`make test` asserts no time: a core that others share makes it a matter of luck (bench/parts/megabyte.py measures it).
In the long form the time is that of the thread which answers, on a core that does a fixed piece of work in PACE_S.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from duey.execution.huey import DurableHuey
from duey.monitor.access.login import passwords
from tests.contracts.rig import run_all
from tests.support import rounds

if TYPE_CHECKING:  # each test imports what it needs: to make the values takes longer than to collect all tests
    from bench.in_process import Service

pytestmark = pytest.mark.soak
ALLOWED_S = 0.3
NOISE = 1.3  # others on the machine change the pace between a request and the look at it
# The dearest of their kind; `make soak` tries all.
DEAR = ("wide object", "deep lists")
DEAR_TYPED = ("durations", "by_number")
DEAR_REFUSED = ("unknown arguments", "wrong items", "many objects", "one name many times")
BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])  # what is timed is above the storage


@pytest.fixture
def service(huey: DurableHuey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    from bench.in_process import Service

    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2, r=1, p=1))
    made = Service(huey, tmp_path)
    gc.freeze()  # as the web process does
    yield made
    gc.unfreeze()
    made.close()
    allowed_s = rounds(math.inf, soak=ALLOWED_S * NOISE)
    slow = {name: f"{took:.2f} s" for name, took in made.took.items() if took > allowed_s}
    assert not slow, slow


def test_a_refused_megabyte_costs_little(service: Service) -> None:
    from bench.megabytes import REFUSED, REFUSED_BATCHES

    for name in rounds(DEAR_REFUSED, soak=tuple(REFUSED)):
        status, value = REFUSED[name]
        answer = service.send(name, value)
        assert answer.status == status, name
        assert len(answer.json.get("errors", ())) <= 50 and len(answer.body) < 20_000, name
    for name in rounds(["unknown arguments each"], soak=list(REFUSED_BATCHES)):
        answer = service.send(name, REFUSED_BATCHES[name], "/api/jobs/batch")
        assert answer.status in (404, 422) and len(answer.json.get("errors", ())) <= 50, name


def test_an_accepted_megabyte_costs_little_whatever_looks_at_it(service: Service) -> None:
    from bench.megabytes import BATCHES, TYPED, VALUES

    for name in rounds(DEAR, soak=tuple(VALUES)):
        for task in rounds(("once",), soak=("take", "once")):
            answer = service.send(f"{task}: {name}", {"task": task, "args": [VALUES[name]]})
            assert answer.status == 202, name
        url = "/api/jobs/" + answer.json["id"]
        paths = (url, *(url.replace("/api", "/monitor") + each for each in ("", ".json")))
        for path in rounds(paths[len(name) % 3 :][:1], soak=paths):
            assert service.get(path, f"{name}: {path}").status == 200
    for name in rounds(DEAR_TYPED, soak=tuple(TYPED)):
        answer = service.send(f"typed: {name}", {"task": f"take_{name}", "args": [TYPED[name]]})
        assert answer.status in (202, 422), name
    for name in rounds(["1,000 unique jobs"], soak=list(BATCHES)):
        assert service.send(name, BATCHES[name], "/api/jobs/batch").status == 202


def test_a_schedule_of_a_megabyte_costs_little(service: Service) -> None:
    from bench.megabytes import VALUES

    for name in rounds(("wide object",), soak=tuple(VALUES)):
        body = {"task": "take", "every": 10**6, "args": [VALUES[name]]}
        assert service.send(f"make: {name}", {"name": "s", **body}, "/api/schedules").status == 201
        assert service.send(f"change: {name}", {**body, "every": 10**7}, "/api/schedules/s", "PUT").status == 200
        for path in ("/api/schedules", "/monitor/schedules", "/monitor/schedules/s/edit"):
            assert service.get(path, f"{path}: {name}").status == 200
        version = service.get("/api/schedules/s").json["version"]
        changed = service.form(f"form: {name}", "/monitor/schedules/s/change", version=version, every="100000")
        assert changed.status == 303
        assert service.call("DELETE", "/api/schedules/s").status == 200


def test_results_cost_little_and_come_whole(service: Service, huey: DurableHuey) -> None:
    from bench.megabytes import VALUES

    ids = {}
    for name in rounds(["wide object"], soak=["wide object", "floats", "long text"]):
        ids[name] = service.send(name, {"task": "take", "args": [VALUES[name]]}).json["id"]
    run_all(huey)
    for name, job_id in ids.items():
        assert service.get(f"/api/jobs/{job_id}").json["result"] == VALUES[name]
    service.timed("recorder", service.recorder.record)
    for job_id in ids.values():
        for path in (f"/monitor/jobs/{job_id}", f"/monitor/jobs/{job_id}.json", f"/api/jobs/{job_id}/attempts"):
            assert service.get(path).status == 200


def test_a_page_of_large_jobs_is_not_large(service: Service, huey: DurableHuey) -> None:
    large = {"task": "take", "kwargs": {"value": {f"key{i}": "x" * 10 for i in range(30_000)}}}
    small = {"task": "take", "kwargs": {"value": ["a text of some length, as they are"] * 150}}
    rows = rounds(3, soak=5)
    for _ in range(rows):
        service.send("large", large)
    for n in range(rows):
        service.send("small", [{**small, "id": f"small-{n}-{m}"} for m in range(80)], "/api/jobs/batch")
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
        assert len(seen) == len(set(seen)) == rows * 81 and pages > 1
        for path in ("/monitor/jobs?limit=200", "/monitor/jobs?state=queued", "/monitor/jobs.json?limit=200"):
            assert len(service.get(path).body) < 4_000_000
