"""GET /api/jobs/ID, with and without waiting."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from duey.api.answer import encode
from duey.model.job import Job
from tests.api.client import Client
from tests.api.conftest import World, make_world
from tests.contracts.rig import job
from tests.support import rows


@pytest.fixture
def job_id(world: World, client: Client) -> str:
    return str(client.post("/api/jobs", {"task": "add", "args": [1, 2]}).json["id"])


def test_a_job_from_start_to_end(world: World, client: Client, job_id: str) -> None:
    assert client.get(f"/api/jobs/{job_id}").json["state"] == "queued"
    world.control.start(job_id)
    running = client.get(f"/api/jobs/{job_id}").json
    assert running["state"] == "running" and running["wait_ms"] >= 0
    world.control.finish(job_id, {"sum": 3})
    done = client.get(f"/api/jobs/{job_id}").json
    assert (done["state"], done["result"], done["error"]) == ("done", {"sum": 3}, None)
    assert done["finished_at"] >= done["started_at"] >= done["enqueued_at"]


def test_a_failed_job_says_why_without_its_traceback(world: World, client: Client, job_id: str) -> None:
    world.control.fail(job_id, "ValueError", "no <good> \ud800")
    answer = client.get(f"/api/jobs/{job_id}")
    assert answer.json["error"] == {"type": "ValueError", "message": "no <good> \\ud800"}


def test_a_result_that_json_cannot_hold_is_shown_as_text() -> None:
    """As one that was stored with pickle may be."""
    body = encode({"result": [float("nan"), {"x": float("-inf")}]})
    assert b"NaN" not in body and b"Infinity" not in body


def test_an_id_that_needs_quoting(world: World, client: Client, job_id: str) -> None:
    odd = 'a b/ü?"\n'
    world.control.storage.enqueue_jobs([job(odd, task="tasks.add")])
    url = client.get("/api/jobs").json["jobs"][0]["url"]
    assert url == "/api/jobs/a%20b%2F%C3%BC%3F%22%0A"
    odd = odd.replace("/", "")  # what holds a slash has an address, but no server gives it to us undivided
    world.control.storage.enqueue_jobs([job(odd, task="tasks.add")])
    assert client.get("/api/jobs/a%20b%C3%BC%3F%22%0A").json["id"] == odd


@rows("bad", ["nope", "%00", "%FF", "x" * 5000, "..", "%F0%9F%A6%86"])
def test_an_unknown_id(client: Client, bad: str) -> None:
    answer = client.get(f"/api/jobs/{bad}")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


def test_head_is_get_without_its_body(client: Client, job_id: str) -> None:
    head, got = client.call("HEAD", f"/api/jobs/{job_id}"), client.get(f"/api/jobs/{job_id}")
    assert (head.status, head.headers) == (got.status, got.headers)


def test_the_history_answers_for_what_the_queue_has_let_go(with_history: World) -> None:
    client = with_history.client("admin")
    job = client.post("/api/jobs", {"task": "add", "args": [1], "id": "old"}).json
    with_history.control.finish("old", 3)
    with_history.record()
    with_history.control.storage.forget("old")
    for query in ("", "?wait=5"):
        answer = client.get(f"/api/jobs/old{query}")
        assert (answer.status, answer.json["enqueued_at"]) == (200, job["enqueued_at"])
        assert (answer.json["result"], answer.json["result_stored"]) == (3, True)
        assert client.get(f"/api/jobs/other{query}").status == 404


class TestWaiting:
    def test_returns_as_soon_as_it_has_ended(self, world: World, client: Client, job_id: str) -> None:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.get, f"/api/jobs/{job_id}?wait=30")
            assert world.control.until_waiting(1)
            world.control.finish(job_id, 3)
            answer = waiting.result(10)
        assert (answer.json["state"], answer.json["result"]) == ("done", 3)
        assert "retry-after" not in answer.headers

    def test_returns_the_present_state_when_the_time_is_over(self, client: Client, job_id: str) -> None:
        began = time.monotonic()
        answer = client.get(f"/api/jobs/{job_id}?wait=0.2")
        assert (answer.status, answer.json["state"]) == (200, "queued")
        assert time.monotonic() - began >= 0.2

    def test_an_ended_or_unknown_job_is_not_waited_for(self, world: World, client: Client, job_id: str) -> None:
        world.control.finish(job_id)
        assert client.get(f"/api/jobs/{job_id}?wait=30").json["state"] == "done"
        assert client.get("/api/jobs/nope?wait=30").status == 404
        assert not world.control.until_waiting(3, 0), "each was looked at once"

    def test_half_of_the_threads_wait_and_no_more(self, tmp_path: Path) -> None:
        world = make_world(tmp_path, threads=5)
        client = world.client("admin")
        client.post("/api/jobs", {"task": "add", "args": [1], "id": "x"})
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(client.get, "/api/jobs/x?wait=30") for _ in range(2)]
            assert world.control.until_waiting(2)
            third = client.get("/api/jobs/x?wait=30")
            assert (third.status, third.json["state"], third.headers["retry-after"]) == (200, "queued", "1")
            world.control.finish("x")
            assert [each.result(10).json["state"] for each in waiting] == ["done", "done"]
        assert "retry-after" not in client.get("/api/jobs/x?wait=30").headers

    def test_a_single_thread_never_waits(self, tmp_path: Path) -> None:
        client = make_world(tmp_path, threads=1).client("admin")
        client.post("/api/jobs", {"task": "add", "args": [1], "id": "x"})
        assert client.get("/api/jobs/x?wait=30").headers["retry-after"] == "1"

    @pytest.mark.parametrize("end", ["close", "disconnect"])
    def test_closing_and_disconnecting_end_the_wait(
        self, world: World, client: Client, job_id: str, end: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("duey.api.waiting.SLICE_S", 0.02)
        gone = threading.Event()
        environ = {"waitress.client_disconnected": gone.is_set}
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.get, f"/api/jobs/{job_id}?wait=30", **environ)
            assert world.control.until_waiting(1)
            world.api.close() if end == "close" else gone.set()
            assert waiting.result(20).json["state"] == "queued"

    def test_waits_for_thirty_seconds_at_most(
        self, world: World, client: Client, job_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr("duey.api.waiting.time.monotonic", lambda: now[0])

        def wait(job_id: str, timeout_s: float) -> Job:
            now[0] += timeout_s
            return world.control.job(job_id)

        monkeypatch.setattr(world.control, "wait", wait)
        assert client.get(f"/api/jobs/{job_id}?wait=1e9").status == 200
        assert now[0] == pytest.approx(30)

    @rows("wait", ["-1", "nan", "inf", "soon", "%D9%A1", "0x1", "1&wait=2", "%FF"])
    def test_a_bad_wait(self, client: Client, job_id: str, wait: str) -> None:
        answer = client.get(f"/api/jobs/{job_id}?wait={wait}")
        assert (answer.status, answer.json["type"]) == (422, "urn:duey:invalid")

    def test_an_unknown_parameter_names_the_nearest(self, client: Client, job_id: str) -> None:
        answer = client.get(f"/api/jobs/{job_id}?wiat=1")
        assert answer.json["errors"] == [{"path": "wiat", "message": "no such field; did you mean wait?"}]
