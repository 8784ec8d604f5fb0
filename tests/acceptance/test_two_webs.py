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
from tests.support.postgres_server import PostgresServer
from tests.support.rounds import rounds

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


def two(make: Make, database: str) -> list[Deployment]:
    """Two deployments of a web, each with a folder of its own."""
    shared = {
        "storage": {"name": f"two-webs-{uuid.uuid4().hex[:8]}"},
        "monitor": {"database": database},
        "auth": {"database": database, "login_attempts": LOGIN_ATTEMPTS},
    }
    return [make(shared) for _ in range(2)]


def test_what_one_web_knows_the_other_knows(make: Make, postgres: str) -> None:
    webs = two(make, postgres)
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


@pytest.mark.soak
@pytest.mark.timeout(rounds(120, soak=3600))
def test_what_was_accepted_around_outages_is_recorded_once(make: Make, postgres_server: PostgresServer) -> None:
    with PostgresServer(postgres_server.binaries) as server:
        webs = two(make, server.url(server.new_database()))
        processes = []
        for web in webs:
            processes.append(web.start("app.py", "--web"))
            processes[-1].says("ready\n")
        token = shown(processes[0].out, "token")
        webs[0].consumer(2)
        ids: set[str] = set()

        def post(key: int, side: int) -> int:
            """The status; 0 without an answer."""
            try:
                answer = Client(webs[side].port, token).post(
                    "/api/jobs", {"task": "note", "args": [key]}, Idempotency_Key=str(key)
                )
            except OSError:
                return 0
            ids.update([answer.body["id"]] if answer.status == 202 else [])
            return answer.status

        keys = itertools.count()
        for n in range(rounds(1, soak=30)):
            assert [post(next(keys), side) for side in (0, 1) * 5] == [202] * 10
            server.stop()
            key = next(keys)
            assert [post(key, 0), post(key, 1), Client(webs[1].port, token).get("/readyz").status] == [503] * 3
            meanwhile = webs[0].tasks.note(1000 + n)
            webs[0].wait_ended([meanwhile])
            ids.add(meanwhile.id)
            killed = n // 2 % 2 if n % 2 else None  # now the one that records, now the other one
            if killed is not None:
                for pid in processes[killed].pids():
                    kill(pid)
            server.start()
            wait_until(lambda key=key: 202 in (post(key, 0), post(key, 1)), 60, "a web accepts again")
            if killed is not None:
                processes[killed] = webs[killed].start("app.py", "--web")
                processes[killed].says("ready\n")
        for web in webs:
            client = Client(web.port, token)
            wait_until(lambda client=client: recorded(client) == ids, 60, "each web lists what was accepted")


def recorded(client: Client) -> set[str]:
    """The ids of the jobs that the history of a web lists as done."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(f"/api/jobs?state=done&limit=100{cursor and '&cursor='}{cursor}").body
        found += [each["id"] for each in page["jobs"]]
        cursor = page["next"]
    assert len(found) == len(set(found)), "each job is there once"
    return set(found)
