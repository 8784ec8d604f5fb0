"""What can only happen on Redis: a stopped consumer comes back, a body outlives the lease, the server restarts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.acceptance.deployment import LEASE_S, Deployment
from tests.acceptance.harm import check_once
from tests.acceptance.processes import Process
from tests.acceptance.variants import KINDS, SOAK, redis_only
from tests.support import needs, rounds, wait_until
from tests.support.redis_server import MISSING, RedisServer, redis_binary

one_kind = pytest.mark.parametrize("kind", KINDS if SOAK else KINDS[:1])


def stop(consumer: Process, signum: int) -> None:
    """Send SIGSTOP or SIGCONT to all of a consumer."""
    for pid in consumer.pids():
        os.kill(pid, signum)


@redis_only
@one_kind
def test_a_stopped_consumer_that_comes_back_is_fenced(deployment: Deployment, kind: str):
    deployment.configure({"tasks": {"max_crashes": 10}})
    stopped = deployment.consumer(1, kind)
    job = deployment.tasks.note(1, 0.5)
    deployment.wait_running(1)
    stop(stopped, signal.SIGSTOP)
    other = deployment.consumer(1, kind)
    assert deployment.wait_ended([job], LEASE_S + 10)[0].state == "done"
    second = deployment.ledger.runs_of(1)[1]
    assert second.pid in other.pids()

    stop(stopped, signal.SIGCONT)
    wait_until(lambda: deployment.ledger.runs_of(1)[0].ended, 30, "the body that was stopped has ended, too")
    stopped.says("is gone: its outcome was not written")
    found = deployment.job(job)
    assert (found.state, found.crashes) == ("done", 0), "the whole consumer was taken for dead: no job is charged"
    check_once(deployment, [job.id])
    after = [deployment.tasks.note(n, 0.2) for n in range(2, 6)]
    assert {each.state for each in deployment.wait_ended(after)} == {"done"}
    assert {run.pid for n in range(2, 6) for run in deployment.ledger.runs_of(n)} <= {*stopped.pids(), *other.pids()}


@redis_only
@one_kind
def test_a_body_that_holds_the_interpreter_past_the_lease_keeps_its_job(deployment: Deployment, kind: str):
    """The parent renews the lease, and no task can starve it."""
    deployment.configure({"consumer": {"lease_s": 1, "heartbeat_s": 0.2}})
    first, second = deployment.consumer(1, kind), deployment.consumer(1, kind)
    job = deployment.tasks.hold(1, 2.5)
    ended = deployment.wait_ended([job])[0]
    assert (ended.state, ended.crashes) == ("done", 0)
    runs = deployment.ledger.runs_of(1)
    assert len(runs) == 1 and runs[0].ended - runs[0].began >= 2.5
    assert first.popen.poll() is None and second.popen.poll() is None
    assert "died" not in first.err + second.err


@contextmanager
def stands_still(server: RedisServer, how: str) -> Iterator[None]:
    """The server answers nothing meanwhile: its process is stopped, it pauses its clients, or it is down."""
    if how == "stopped":
        os.kill(server.pid, signal.SIGSTOP)
        yield
        os.kill(server.pid, signal.SIGCONT)
    elif how == "paused":
        with redis.Redis(port=server.port) as admin:
            admin.client_pause(60_000, all=False)
            yield
            admin.client_unpause()
    else:
        server.kill()
        yield
        server.start()


@pytest.mark.soak
@pytest.mark.parametrize("how", ["stopped", "paused", "down"] if SOAK else ["stopped"])
def test_time_in_which_redis_stood_still_ends_no_lease(tmp_path: Path, how: str):
    """Only what the host ran that died meanwhile is begun again."""
    options = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
    with RedisServer(needs(redis_binary(), MISSING), tmp_path / "redis", options) as server:
        deployment = Deployment(tmp_path / "d", "redis", server.url, {"consumer": {"lease_s": 2}})
        hosts = []
        for name in ("a", "b", "c"):
            (folder := tmp_path / name).mkdir()
            hosts.append(deployment.consumer(4, "thread", TMPDIR=str(folder)))  # what shows on its host who died
        still_s = rounds(2.5, soak=25.0)
        jobs = [deployment.tasks.note(n, still_s + 4) for n in range(12)]
        deployment.wait_running(12)
        with stands_still(server, how):
            dead = hosts[2].pids()
            hosts[2].kill_tree()
            os.kill(hosts[1].pid, signal.SIGSTOP)  # it comes back after the other one has looked at the leases
            time.sleep(still_s)
        with redis.Redis(port=server.port) as admin:
            meta, now_ms = deployment.huey.storage.server.key("meta"), admin.time()[0] * 1000
            wait_until(lambda: int(admin.hget(meta, "leases_seen") or 0) > now_ms, 30, "somebody looked at the leases")
        os.kill(hosts[1].pid, signal.SIGCONT)
        died = {int(run.n) for run in deployment.ledger.running() if run.pid in dead}
        assert len(died) == 4
        wait_until(lambda: all(len(deployment.ledger.runs_of(n)) == 2 for n in died), 30, "the dead host's jobs run")
        deployment.wait_ended([job for n, job in enumerate(jobs) if n not in died])
        assert {int(n) for n, runs in deployment.ledger.runs().items() if len(runs) > 1} == died
        deployment.close()
