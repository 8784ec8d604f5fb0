"""Stopping and dying of `python app.py`: what runs may finish, and what died is replaced."""

from __future__ import annotations

import os
import pty
import signal
import sys
import threading
import time

import pytest

from duey.os_process import SAME_REQUEST_S
from tests.acceptance.deployment import Deployment
from tests.acceptance.http_client import Answer
from tests.acceptance.processes import ROOT, kill
from tests.acceptance.variants import KINDS, once, pairs, sqlite_in_suite, sqlite_only
from tests.support import wait_until


@pytest.mark.parametrize(("backend", "signum"), pairs(["sqlite", "redis"], [signal.SIGTERM, signal.SIGINT]))
def test_a_signal_lets_running_requests_and_jobs_finish(deployment: Deployment, signum: int):
    app = deployment.app()
    client = deployment.client()
    job = client.post("/api/jobs", {"task": "note", "args": [1, 1.5]}).body["id"]
    waiting = [client.post("/api/jobs", {"task": "note", "args": [n, 1.5]}).body["id"] for n in range(2, 6)]
    deployment.wait_running(2)
    answers: list[Answer] = []
    poll = threading.Thread(target=lambda: answers.append(deployment.client().get(f"/api/jobs/{job}?wait=20")))
    poll.start()
    wait_until(deployment.anybody_waits, 30, "the request is under way")

    app.signal(signum)
    app.says("stopping")
    wait_until(lambda: refused(deployment), 30, "new requests are refused while it stops")
    assert app.wait(30) == 0
    poll.join(30)
    assert [answer.status for answer in answers] == [200]
    assert answers[0].body["state"] in ("running", "done")  # who waits is told the present state
    assert app.pids() == []
    states = deployment.states([job, *waiting])
    assert sorted(states) == ["done"] * 2 + ["queued"] * 3
    assert all(run.ended for runs in deployment.ledger.runs().values() for run in runs)


def refused(deployment: Deployment) -> bool:
    """Whether a new request is turned away: 503 that says when to come again, or no connection at all."""
    try:
        answer = deployment.client(5).post("/api/jobs", {"task": "note", "args": [99]})
    except OSError:
        return True
    return answer.status == 503 and "retry-after" in answer.headers


@sqlite_in_suite
def test_a_consumer_that_dies_is_replaced_and_its_jobs_run_again(deployment: Deployment):
    app = deployment.app()
    client = deployment.client()
    job = client.post("/api/jobs", {"task": "note", "args": [1, 0.5]}).body["id"]
    deployment.wait_running(1)
    for pid in app.children():
        kill(pid)
    app.says("the consumer ended with exit code -9: it is restarted in 0.5 s")
    ended = client.get(f"/api/jobs/{job}?wait=20").body
    assert (ended["state"], ended["result"]) == ("done", 1)
    assert ended["crashes"] == 0, "the whole consumer died: no job is charged"
    assert client.get("/readyz").status == 200
    assert app.popen.poll() is None


@pytest.mark.parametrize(("backend", "kind"), pairs(("sqlite", "redis"), KINDS))
def test_nothing_outlives_a_web_process_that_is_killed(deployment: Deployment, kind: str):
    """And what ran there can finish, though nobody reads what it prints."""
    deployment.configure({"consumer": {"worker_type": kind}})
    app = deployment.app()
    jobs = [deployment.tasks.note(0, 0.8), deployment.tasks.say(1, 0.8)]
    deployment.wait_running(2)
    app.kill()
    wait_until(lambda: not app.pids(), 30, "the consumer of a dead app.py has ended")
    # The kernel told the consumer of its parent's death: what ran could finish.
    assert deployment.states(jobs) == ["done", "done"], [deployment.job(job).error for job in jobs]
    assert [len(runs) for runs in deployment.ledger.runs().values()] == [1, 1]


@once
def test_hup_reloads_what_can_be_started(deployment: Deployment, kind: str):
    """The service goes on with the settings of now, drops nothing, and answers while its jobs finish."""
    deployment.configure({"consumer": {"worker_type": kind}})
    app = deployment.app()
    client = deployment.client()
    running = client.post("/api/jobs", {"task": "note", "args": [1, 2.5]}).body["id"]
    deployment.wait_running(1)

    deployment.configure({"web": {"threads": "none"}})
    app.signal(signal.SIGHUP)
    app.says("not reloaded, the service keeps running as it was: ", 60)
    assert "[web] threads: expected" in app.err
    assert client.get("/readyz").status == 200

    deployment.configure({"web": {"threads": 8}, "service": {"name": "Renamed"}})
    app.signal(signal.SIGHUP)
    app.says("reloading", 60)
    accepted = client.post("/api/jobs", {"task": "note", "args": [2]}).body["id"]
    assert {job.state for job in deployment.wait_ended([running, accepted], 60)} == {"done"}
    wait_until(lambda: app.out.count("ready\n") == 2, 60, "it has started anew")
    assert app.popen.poll() is None
    assert [len(deployment.ledger.runs_of(n)) for n in (1, 2)] == [1, 1]
    assert "Renamed" in deployment.client().get("/monitor/login").body
    app.signal(signal.SIGTERM)
    assert app.wait(30) == 0 and app.pids() == []


@sqlite_only
def test_a_closed_terminal_stops_the_service(deployment: Deployment):
    """A HUP, and from then on every line that it prints fails."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "app.py"], deployment.environ())
    said = b""
    while b"ready\r\n" not in said:
        said += os.read(terminal, 4096)
    job = deployment.tasks.note(1, 1)
    deployment.wait_running(1)
    os.close(terminal)
    ended: list[int] = []
    wait_until(lambda: ended.extend(os.waitpid(pid, os.WNOHANG)) or any(ended), 30, "it has stopped")
    assert ended[-1] == 0
    assert deployment.state(job) == "done" and deployment.control.workers() == []


@sqlite_in_suite
def test_a_second_later_signal_to_the_service_cuts_its_jobs_off(deployment: Deployment):
    deployment.configure({"consumer": {"shutdown_timeout_s": 60}})
    app = deployment.app()
    jobs = [deployment.tasks.note(n, 90) for n in range(2)]
    deployment.wait_running(2)
    app.signal(signal.SIGINT)
    app.says("stopping")
    time.sleep(SAME_REQUEST_S + 0.5)
    app.signal(signal.SIGINT)
    assert app.wait(30) == 0
    assert [(job.state, job.crashes) for job in map(deployment.job, jobs)] == [("queued", 0)] * 2
