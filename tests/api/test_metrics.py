"""GET /metrics, also what the history has counted."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.api.client import Answer, Client
from tests.api.conftest import World, make_world
from tests.api.control import storage_away
from tests.contracts.rig import ended


def figures(answer: Answer) -> dict[str, float]:
    """name{label} -> value, as a Prometheus server reads it."""
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_figures(world: World, client: Client) -> None:
    for n in range(3):
        client.post("/api/jobs", {"task": "add", "args": [1], "id": str(n), "queue": "slow"})
    client.post("/api/jobs", {"task": "add", "args": [1], "delay": 60})
    world.control.start("0")
    client.post("/api/queues/slow/pause")
    found = figures(world.client().get("/metrics"))
    assert found["duey_up"] == 1
    assert [found[f"duey_jobs{{{state}}}"] for state in ("queued", "running", "scheduled")] == [2, 1, 1]
    assert (found["duey_queue_waiting{slow}"], found["duey_queue_paused{slow}"]) == (2, 1)
    assert (found["duey_consumers"], found["duey_workers"], found["duey_workers_busy"]) == (1, 1, 1)
    assert 0 <= found["duey_oldest_queued_age_seconds"] < 60


def test_a_storage_that_is_away_is_a_figure(world: World) -> None:
    world.control.away = storage_away()
    answer = world.client().get("/metrics")
    assert (answer.status, figures(answer)) == (200, {"duey_up": 0})


def test_asks_for_its_token_when_there_is_one(tmp_path: Path) -> None:
    world = make_world(tmp_path, auth={"metrics_token": "sesame"})
    assert world.client().get("/metrics").status == 401
    wrong = Client(world.api, "sesamé").get("/metrics")
    assert (wrong.status, wrong.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert Client(world.api, "sesame").get("/metrics").status == 200


def test_jobs_by_task_and_outcome_and_how_long_they_took(with_history: World, tmp_path: Path) -> None:
    client, control = with_history.client("admin"), with_history.control
    for n, state in enumerate(("failed", "done", "done")):
        client.post("/api/jobs", {"task": "add", "args": [1], "id": str(n)})
        failure = {"detail": '{"type": "ValueError", "message": "no", "traceback": ""}'} if state == "failed" else {}
        at = control.all[str(n)].enqueued_at
        control.hand.commit(ended(control.start(str(n)), state, started_at=at, finished_at=at + 0.5, **failure))
    with_history.record()
    page = with_history.client().get("/metrics").body.decode()
    for line in (
        'duey_jobs_ended_total{outcome="done",task="tasks.add"} 2.0',
        'duey_jobs_ended_total{outcome="failed",task="tasks.add"} 1.0',
        'duey_job_run_seconds_count{task="tasks.add"} 3.0', 'duey_job_run_seconds_sum{task="tasks.add"} 1.5',
        'duey_job_run_seconds_bucket{le="0.512",task="tasks.add"} 3.0', "duey_history_jobs 3.0",
    ):  # fmt: skip
        assert line in page
    with_history.history.close()
    for file in tmp_path.glob("monitor.db*"):
        file.unlink()
    (tmp_path / "monitor.db").write_bytes(b"nonsense" * 1000)
    page = with_history.client().get("/metrics").body.decode()
    assert "duey_history_up 0.0" in page and "duey_up 1.0" in page, "a history that is away leaves the rest"
