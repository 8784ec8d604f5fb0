"""Tokens and scopes, whatever the endpoint."""

from __future__ import annotations

import pytest

from duey.control import outage_log
from duey.monitor.access import AccessUnavailable
from tests.api.client import Client
from tests.api.conftest import World
from tests.support import rows


def test_no_token_or_another_kind_of_authorization(world: World) -> None:
    for header in ("", "Basic YTpi", "Bearer", "bearertoken", "Token x"):
        answer = world.client().get("/api/jobs", headers={"Authorization": header} if header else {})
        assert (answer.status, answer.json["type"]) == (401, "urn:duey:no-token"), header
        assert answer.headers["www-authenticate"] == 'Bearer realm="duey"'
        if header:
            assert "another kind" in answer.json["detail"], header
        else:
            assert answer.json["detail"] == "expected the header Authorization: Bearer TOKEN"


@rows("secret", ["wrong", "", "é", "x" * 100_000, "duy_" + "A" * 43])
def test_a_wrong_token_is_not_quoted(world: World, secret: str) -> None:
    answer = world.client().get("/api/jobs", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status, answer.json["type"]) == (401, "urn:duey:bad-token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert not secret or secret not in answer.body.decode()
    answer = world.client().call("POST", "/api/jobs", b"x" * 100_000, "text/plain")
    assert answer.status == 401, "before the body is looked at"


def test_the_scheme_is_read_in_any_case_until_the_token_is_revoked(world: World, client: Client) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        answer = world.client().get("/api/jobs", headers={"Authorization": f"{scheme} {client.token}"})
        assert answer.status == 200, scheme
    world.access.tokens.revoke("token-0")
    assert client.get("/api/jobs").status == 401


def test_a_missing_scope_is_named(world: World) -> None:
    answer = world.client("read").post("/api/jobs", {"task": "add"})
    assert (answer.status, answer.json["type"]) == (403, "urn:duey:scope")
    assert 'scope="enqueue"' in answer.headers["www-authenticate"]
    assert "enqueue" in answer.json["detail"] and "token-0" in answer.json["detail"]


def test_refusals_stand_in_the_security_log(world: World, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    world.client().get("/api/jobs", headers={"Authorization": "Bearer wrong\r\nlogin-failed address=6.6.6.6"})
    world.client("read").post("/api/jobs", {"task": "add"})
    client.get("/api/jobs/nothing here=x")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("duey.security", "bad-token address=192.0.2.7 who=- path=/api/jobs"),
        ("duey.security", "scope-refused address=192.0.2.7 who=token-1 scope=enqueue path=/api/jobs"),
    ]
    caplog.clear()
    world.client().get("/api/jobs/a%0Ab address=6.6.6.6", headers={"Authorization": "Bearer wrong"})
    assert [record.getMessage() for record in caplog.records] == [
        "bad-token address=192.0.2.7 who=- path=/api/jobs/a_b_address_6.6.6.6"
    ]


def test_an_access_database_that_is_away(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def reading() -> None:
        raise AccessUnavailable("/secret/access.db", "is locked")

    world.access.tokens._cache.clear()
    monkeypatch.setattr(world.access.tokens._database, "reading", reading)
    answer = client.get("/api/jobs")
    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert "/secret" not in answer.body.decode()
    client.get("/api/jobs")
    assert caplog.text.count("/secret/access.db is locked") == 1, "a line for each request would flood the log"
    monkeypatch.setattr(outage_log, "EVERY_S", 0.0)
    client.get("/api/jobs")
    assert caplog.text.count("/secret/access.db is locked") == 2


def test_each_request_lets_go_of_its_connection(world: World, client: Client) -> None:
    world.access.tokens._cache.clear()
    assert client.get("/api/jobs").status == 200
    assert all(opened.database.is_closed() for opened in world.access._database._of_process.values())
