"""What holds for every endpoint: its scope, its methods, a storage that is away, a body that is no JSON."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from duey import config
from duey.alerts import store
from duey.alerts.rules.finding import Finding
from duey.monitor.history import History
from tests.api.client import Answer, Client
from tests.api.conftest import World, make_world
from tests.api.control import storage_away

# Scope -> what needs it. Written down, because a table made from the code would agree with any mistake in it.
SCOPES = {
    "": "GET /api/openapi.json, GET /healthz, GET /readyz, GET /metrics",
    "read": """GET /api/jobs, GET /api/jobs/{id}, GET /api/jobs/{id}/attempts, GET /api/jobs/{id}/log,
        GET /api/errors, GET /api/queues,
        GET /api/tasks, GET /api/alerts, GET /api/workers, GET /api/schedules, GET /api/schedules/{schedule}""",
    "enqueue": "POST /api/jobs, POST /api/jobs/batch",
    "admin": """POST /api/jobs/{id}/cancel, POST /api/jobs/{id}/retry, POST /api/jobs/{id}/run, DELETE /api/jobs/{id},
        POST /api/queues/{name}/pause, POST /api/queues/{name}/resume, POST /api/tasks/{name}/pause,
        POST /api/tasks/{name}/resume, POST /api/workers/{id}/quiet, POST /api/workers/{id}/stop,
        POST /api/schedules, PUT /api/schedules/{schedule}, DELETE /api/schedules/{schedule},
        POST /api/schedules/{schedule}/pause, POST /api/schedules/{schedule}/resume,
        POST /api/schedules/{schedule}/run, POST /api/alerts/{id}/ack, POST /api/alerts/channels/{name}/test""",
}
CALLS = {tuple(each.split()): scope for scope, text in SCOPES.items() for each in text.split(",")}
# These tell what they can without the queue: test_health, test_metrics, test_list_jobs, test_history.
FROM_HISTORY = [("GET", path) for path in ("/api/jobs", "/api/jobs/{id}/attempts", "/api/errors")]
FROM_HISTORY += [key for key, scope in CALLS.items() if not scope]
JOB = {"task": "add", "args": [1]}
SCHEDULE = {**JOB, "every": 60}
BODIES: dict[tuple[str, ...], Any] = {
    ("POST", "/api/jobs"): JOB, ("POST", "/api/jobs/batch"): [JOB], ("POST", "/api/jobs/{id}/retry"): {},
    ("POST", "/api/schedules"): {**SCHEDULE, "name": "other"}, ("PUT", "/api/schedules/{schedule}"): SCHEDULE,
    ("POST", "/api/schedules/{schedule}/run"): {},
}  # fmt: skip


def prepared(folder: Path) -> World:
    """A service with something for each call to work on."""
    folder.mkdir()
    history = History(f"sqlite:///{folder / 'monitor.db'}", config.load(environ={}).monitor)
    world = make_world(folder, history, max_body_kb=64)
    admin = world.client("admin")
    for job_id in ("waits", "ended"):
        assert admin.post("/api/jobs", {**JOB, "id": job_id}).status == 202
    assert admin.post("/api/jobs", {**JOB, "id": "later", "delay": 3600}).status == 202
    world.control.fail("ended", "ValueError", "no")
    assert admin.post("/api/schedules", {**SCHEDULE, "name": "mine"}).status == 201
    history.recorder(world.control.huey.lifecycle).record()
    with history.database.writing() as db:
        store.insert(db, Finding("queue_age", "queue mails", "Queue mails: jobs wait"), time.time())
        db.execute_sql("UPDATE incidents SET id = 'waits'")
    return world


def call(client: Client, key: tuple[str, ...], **options: Any) -> Answer:
    method, path = key
    job = "ended" if method == "DELETE" or path.endswith("retry") else "waits"
    job = "later" if path.endswith("{id}/run") else job
    name = {"/api/queues": "default", "/api/tasks": "add", "/api/alerts/channels": "webhook"}.get(
        path.partition("/{")[0], ""
    )
    here = path.replace("{id}", "1" if "workers" in path else job).replace("{schedule}", "mine")
    if key in BODIES and not options:
        return client.put(here, BODIES[key]) if method == "PUT" else client.post(here, BODIES[key])
    return client.call(method, here.replace("{name}", name), **options)


def state_of(world: World) -> Any:
    control = world.control
    return control.all, control.storage.pauses(), control.storage.control_signals(1), world.access.audit.page()


def each_call(folder: Path) -> Iterator[tuple[tuple[str, ...], str, World]]:
    """Every call with its scope, a fresh service for those that change something."""
    reading = prepared(folder / "reading")
    for n, (key, scope) in enumerate(CALLS.items()):
        yield key, scope, reading if scope in ("", "read") else prepared(folder / str(n))


def test_the_table_has_them_all(tmp_path: Path) -> None:
    world = prepared(tmp_path / "a")
    assert {(each.method, each.path): each.scope or "" for each in world.api.endpoints} == CALLS


def test_each_needs_a_token_with_its_scope_and_else_changes_nothing(tmp_path: Path) -> None:
    for key, scope, world in each_call(tmp_path):
        before = state_of(world)
        assert (call(world.client(), key).status == 401) == bool(scope), key
        others = {"": (), "read": ("enqueue",), "enqueue": ("read",), "admin": ("read", "enqueue")}[scope]
        if others:
            assert call(world.client(*others), key).status == 403, key
        assert state_of(world) == before, key
        assert call(world.client(scope or "read"), key).status in (200, 201, 202), key


def test_other_methods_are_refused_by_name(tmp_path: Path) -> None:
    client = prepared(tmp_path / "a").client("admin")
    for path in {path for _, path in CALLS}:
        allowed = {method for method, each in CALLS if each == path}
        allowed |= {"HEAD"} if "GET" in allowed else set()
        for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} - allowed:
            answer = call(client, (method, path), headers={})
            assert (answer.status, answer.headers["allow"]) == (405, ", ".join(sorted(allowed))), (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
        if "HEAD" in allowed:
            head, got = (call(client, (method, path), headers={}) for method in ("HEAD", "GET"))
            assert (head.status, head.body) == (got.status, b""), path


def test_a_storage_that_is_away_is_said_and_nothing_is_in_the_audit(tmp_path: Path) -> None:
    for key, _, world in each_call(tmp_path):
        audit = world.access.audit.page()
        client = world.client("admin")
        world.control.away = storage_away(None)
        answer = call(client, key)
        world.control.away = None
        if "/alerts" in key[1]:
            assert answer.status < 300, key
            continue
        if key not in FROM_HISTORY:
            assert (answer.status, answer.headers["retry-after"]) == (503, "2"), key
            assert ("stored" in answer.json) == (key[0] != "GET"), key
        assert world.access.audit.page() == audit, key


def test_a_body_that_is_no_json_is_refused(tmp_path: Path) -> None:
    client = prepared(tmp_path / "a").client("admin")
    for key in BODIES:
        assert call(client, key, body=b"{", content_type="application/json").status == 400, key
        assert call(client, key, body=b"{}", content_type="text/plain").status == 415, key
        assert call(client, key, body=b" " * 70_000, content_type="application/json").status == 413, key
