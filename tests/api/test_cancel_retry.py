"""POST /api/jobs/ID/cancel and /api/jobs/ID/retry."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Client
from tests.api.conftest import World


@pytest.fixture(autouse=True)
def job(client: Client) -> None:
    client.post("/api/jobs", {"task": "add", "args": [1, 2], "id": "x"})


def audit(world: World) -> list[tuple[str, str, str, str, str]]:
    lines = world.access.audit.page()
    return [(line.source, line.address, line.action, line.target, line.detail) for line in lines]


class TestCancel:
    def test_a_waiting_job_is_canceled_and_the_audit_knows_by_whom(self, world: World, client: Client) -> None:
        answer = client.post("/api/jobs/x/cancel")
        assert (answer.status, answer.json["state"]) == (202, "canceled")
        assert answer.headers["location"] == "/api/jobs/x"
        assert audit(world) == [("api", "192.0.2.7", "cancel", "x", "")]
        assert world.access.audit.page()[0].who == "token-0"

    def test_an_ended_job_is_a_conflict_and_no_action(self, world: World, client: Client) -> None:
        world.control.finish("x")
        answer = client.post("/api/jobs/x/cancel")
        assert (answer.status, answer.json["state"]) == (409, "done")
        assert answer.json["detail"] == "cannot cancel job x: it is done; nothing was changed"
        assert audit(world) == []

    def test_a_body_is_not_needed_and_not_read(self, client: Client) -> None:
        assert client.call("POST", "/api/jobs/x/cancel", b"whatever", "text/plain").status == 202

    def test_an_audit_that_fails_does_not_hide_what_was_done(
        self, world: World, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def record(*entry: Any) -> None:
            raise OSError("disk is full")

        monkeypatch.setattr(world.access.audit, "record", record)
        assert client.post("/api/jobs/x/cancel").status == 202
        assert "not written to the audit log: cancel of x by token-0 (api)" in caplog.text


class TestRetry:
    def test_as_it_was(self, world: World, client: Client) -> None:
        world.control.fail("x", "ValueError", "no")
        answer = client.post("/api/jobs/x/retry")
        assert (answer.status, answer.json["state"], answer.json["args"]) == (202, "queued", [1, 2])
        assert audit(world) == [("api", "192.0.2.7", "retry", "x", "")]

    def test_with_other_arguments(self, world: World, client: Client) -> None:
        table: list[tuple[Any, Any, Any, str]] = [
            ({}, [1, 2], {}, ""), ({"args": [5]}, [5], {}, "with other args"),
            ({"args": [], "kwargs": {"a": 1}}, [], {"a": 1}, "with other args and kwargs"),
        ]  # fmt: skip
        for body, args, kwargs, detail in table:
            world.control.finish("x")
            answer = client.post("/api/jobs/x/retry", body)
            assert (answer.status, answer.json["args"], answer.json["kwargs"]) == (202, args, kwargs), body
            assert audit(world)[0][4] == detail, body

    def test_arguments_that_cannot_be_accepted(self, world: World, client: Client) -> None:
        world.control.finish("x")
        for body in ({"args": {}}, {"kwargs": []}, {"arg": []}, [], 1, {"args": ["x"]}):
            answer = client.post("/api/jobs/x/retry", body)
            assert answer.status == 422 and answer.json["errors"], body
            assert world.control.all["x"].state == "done"

    def test_a_waiting_job_is_a_conflict_and_an_unknown_one_is_not_there(self, world: World, client: Client) -> None:
        assert client.post("/api/jobs/x/retry").status == 409
        assert [client.post(f"/api/jobs/nope/{verb}").status for verb in ("retry", "cancel")] == [404, 404]
        assert audit(world) == []
