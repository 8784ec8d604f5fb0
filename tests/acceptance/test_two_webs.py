"""What a load balancer sees: two webs with one Redis and one PostgreSQL are one service."""

from __future__ import annotations

import http.client
import itertools
import json
import uuid

import pytest

from tests.acceptance.conftest import Make
from tests.acceptance.deployment import Deployment
from tests.acceptance.http_client import Client, shown
from tests.acceptance.processes import kill
from tests.acceptance.variants import redis_only
from tests.monitor.web.client import Answer, Browser
from tests.support import wait_until

pytestmark = redis_only
LOGIN_ATTEMPTS = 4


class Visitor(Browser):
    """A browser whose requests a balancer sends to one web after the other."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__(None)
        self.ports = itertools.cycle(ports)

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, kind: str | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", next(self.ports), timeout=40)
        sent = {"Host": "127.0.0.1", "Cookie": "; ".join(f"{name}={value}" for name, value in self.jar.items())}
        connection.request(method, path, body, {**sent, **({"Content-Type": kind} if kind else {}), **(headers or {})})
        found = connection.getresponse()
        cookies = [value for name, value in found.getheaders() if name.lower() == "set-cookie"]
        answer = Answer(found.status, {n.lower(): v for n, v in found.getheaders()}, cookies, found.read())
        connection.close()
        self._keep(cookies)
        return answer


@pytest.fixture
def webs(make: Make, postgres: str) -> list[Deployment]:
    """Two, each with a folder of its own."""
    shared = {
        "storage": {"name": f"two-webs-{uuid.uuid4().hex[:8]}"},
        "monitor": {"database": postgres},
        "auth": {"database": postgres, "login_attempts": LOGIN_ATTEMPTS},
    }
    return [make(shared) for _ in range(2)]


def test_what_one_web_knows_the_other_knows(webs: list[Deployment]) -> None:
    processes = [web.start("app.py", "--web") for web in webs]  # at once: one makes tables and account
    for process in processes:
        process.says("ready\n")
    (printed,) = [process.out for process in processes if "password" in process.out]
    ports = [web.port for web in webs]

    clients = [Client(port, shown(printed, "token")) for port in ports]
    answers = [clients[n % 2].post("/api/jobs", {"task": "note", "args": [n]}) for n in range(20)]
    assert [each.status for each in answers] == [202] * 20
    again = [each.post("/api/jobs", {"task": "note", "args": [99]}, Idempotency_Key="k") for each in clients]
    assert again[0].body["id"] == again[1].body["id"] and again[1].headers["idempotency-replayed"] == "true"
    ids = [each.body["id"] for each in (*answers, again[0])]
    webs[1].consumer(1)
    webs[0].wait_ended([webs[0].control.job(each) for each in ids])
    assert {clients[n % 2].get(f"/api/jobs/{each}").body["state"] for n, each in enumerate(ids)} == {"done"}
    for client in clients:
        wait_until(lambda client=client: recorded(client) == set(ids), 30, "each web lists what either has accepted")

    secret = webs[0].manage("token", "create", "ci", "--scope", "enqueue")[0].split()[-1]
    clients = [Client(port, secret) for port in ports]
    assert [each.post("/api/jobs", {"task": "note", "args": [7]}).status for each in clients] == [202] * 2
    webs[1].manage("token", "revoke", "ci")
    assert [each.post("/api/jobs", {"task": "note", "args": [7]}).status for each in clients] == [401] * 2, "at once"

    visitor = Visitor(ports)
    visitor.log_in("admin", shown(printed, "password"))  # the form is of one web, and goes to the other
    assert [visitor.get("/monitor/account").status for _ in range(4)] == [200] * 4
    assert visitor.post("/monitor/logout").status == 303
    assert [visitor.get("/monitor/account").status for _ in range(2)] == [303] * 2, "logged out at both"

    stranger = Visitor(ports)
    stranger.get("/monitor/login")
    wrong = {"username": "admin", "password": "not the password"}
    statuses = [stranger.post("/monitor/login", wrong).status for _ in range(LOGIN_ATTEMPTS + 2)]
    assert statuses == [403] * LOGIN_ATTEMPTS + [429] * 2, "attempts are counted over both"
    actions = [json.loads(line)["action"] for line in webs[0].manage("audit", "--format", "json")[0].splitlines()]
    assert {"create token", "revoke token", "log in", "log out", "lock out"} <= set(actions)

    for pid in processes[0].pids():
        kill(pid)
    client = Client(ports[1], shown(printed, "token"))
    last = client.post("/api/jobs", {"task": "note", "args": [100]}).body["id"]
    wait_until(lambda: last in recorded(client), 30, "the web that is left records")


def recorded(client: Client) -> set[str]:
    """The ids of the jobs that the history of a web lists as done."""
    return {each["id"] for each in client.get("/api/jobs?state=done&limit=100").body["jobs"]}
