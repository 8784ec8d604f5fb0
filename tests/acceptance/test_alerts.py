"""Alerts of a real service: web process, consumer, a queue on each storage, and a real HTTP server that is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from duey.model.job import WorkerInfo
from tests.acceptance.deployment import Deployment
from tests.acceptance.processes import kill
from tests.acceptance.variants import sqlite_only
from tests.recipes.http_peer import HttpPeer, answer
from tests.support import wait_until


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with HttpPeer() as made:
        yield made


def told(peer: HttpPeer) -> list[dict]:
    return [json.loads(each.body) for each in peer.received]


def ids(peer: HttpPeer) -> list[str]:
    return [each.headers["webhook-id"] for each in peer.received]


def hook(peer: HttpPeer, **more: str) -> dict[str, dict[str, str]]:
    return {"alerts": {"webhook": peer.url(), **more}}


def test_a_failed_job_is_told_and_a_drill_proves_it(deployment: Deployment, peer: HttpPeer):
    deployment.configure(hook(peer))
    deployment.app(DUEY_TEST_HASTE="1")
    job = deployment.tasks.fail(1)
    deployment.wait_ended([job])
    wait_until(lambda: len(peer.received) == 1, 30, "the failure is told")
    (message,) = told(peer)
    assert (message["type"], message["rule"], message["task"]) == ("incident.opened", "error_new", "fail")
    out, _ = deployment.manage("drill")
    hops = [line.partition(":")[0] for line in out.splitlines()]
    assert hops == ["worker", "recorder", "rule", "channel webhook", "alerts are proven"]
    assert [each["type"] for each in told(peer)] == ["incident.opened", "drill"]


@sqlite_only
def test_a_drill_names_the_hop_that_failed(deployment: Deployment, peer: HttpPeer):
    deployment.configure(hook(peer))
    web = deployment.app("--web", DUEY_TEST_HASTE="1")
    err = failed_drill(deployment)
    assert err.startswith("the drill failed: worker failed after ") and "the job is queued" in err, err
    deployment.consumer(1)
    peer.behave = answer(410)
    err = failed_drill(deployment)
    assert "channel webhook failed after" in err and "410" in err, err
    web.kill_tree()
    err = failed_drill(deployment)
    assert "recorder failed after" in err and "is the web process" in err, err


def test_kill_9_while_the_channel_takes_the_message(deployment: Deployment, peer: HttpPeer):
    """Told at least once, and once more for this death: the same id, so that the receiver knows it."""
    deployment.configure(hook(peer))
    web = deployment.app("--web", DUEY_TEST_HASTE="1")

    def kill_first(handler: object) -> None:
        peer.behave = answer(200)
        kill(web.popen.pid)

    peer.behave = kill_first
    deployment.consumer(1)
    deployment.wait_ended([deployment.tasks.fail(1)])
    wait_until(lambda: len(peer.received) == 1, 30, "it is told for the first time")
    deployment.app("--web", DUEY_TEST_HASTE="1")
    wait_until(lambda: len(peer.received) == 2, 60, "it is told again after the time of the first attempt")
    assert len(set(ids(peer))) == 1
    wait_until(lambda: '"state":"sent"' in notifications(deployment), 30, "the answer is written")
    assert len(peer.received) == 2


@sqlite_only
def test_missing_consumers_and_killed_workers_are_told_and_when_it_is_over(deployment: Deployment, peer: HttpPeer):
    deployment.configure(hook(peer, no_consumer_s="2", rules="no_consumer worker_killed"))
    deployment.app("--web")
    consumer = deployment.consumer(1, "process")
    job = deployment.tasks.note(1, 60.0)
    deployment.wait_running(1)
    consumer.kill_tree()
    wait_until(lambda: ("incident.opened", "no_consumer") in rules(peer), 30, "no consumer runs")
    deployment.consumer(1, "process")
    expected = {("incident.closed", "no_consumer"), ("incident.opened", "worker_killed")}
    wait_until(lambda: expected <= {*rules(peer)}, 30, "one runs again, and it is known which job was cut off")
    assert len(rules(peer)) == 3, "each is told once"
    deployment.control.cancel(job.id)


def test_a_worker_that_is_killed_without_a_job_is_told(deployment: Deployment, peer: HttpPeer):
    deployment.configure(hook(peer, rules="worker_killed"))
    deployment.app("--web", DUEY_TEST_HASTE="1")
    deployment.consumer(1, "process")
    deployment.wait_ended([deployment.tasks.note(1)])

    def serving() -> WorkerInfo:
        (worker,) = [each for each in deployment.control.workers() if each.workers]
        return worker

    worker = serving()
    wait_until(lambda: serving().heartbeat_at > worker.heartbeat_at, 30, "its supervisor knows its number")
    kill(worker.pid)
    wait_until(lambda: peer.received, 30, "its death is told")
    (message,) = told(peer)
    assert (message["type"], message["rule"], message["task"]) == ("incident.opened", "worker_killed", None)
    assert f"as pid {worker.pid}: by SIGKILL" in message["text"] and "It ran no job." in message["text"]


def rules(peer: HttpPeer) -> list[tuple[str, str]]:
    return [(each["type"], each["rule"]) for each in told(peer)]


def failed_drill(deployment: Deployment) -> str:
    process = deployment.start("manage.py", "drill", DUEY_TEST_HASTE="1")
    assert process.wait(90) == 1
    return process.err


def notifications(deployment: Deployment) -> str:
    reader = deployment.client()
    return json.dumps(reader.get("/api/alerts").body["incidents"][0]["notifications"], separators=(",", ":"))
