"""The application as a whole: paths that do not exist, and what nobody foresaw."""

from __future__ import annotations

import pytest

from duey.errors import BadRequest, Conflict, DueyError, FieldError, InvalidArguments, Misconfigured
from tests.api.client import Client
from tests.api.conftest import World
from tests.support import rows

NOWHERE = ["/", "/api", "/api/", "/api/jobs/", "/api/jobs/x/y", "/api/nope", "//api/jobs", "/api/jobs%00", "/%FF"]


@rows("path", [*NOWHERE, "/" + "<x>" * 1000])
def test_a_path_that_does_not_exist(client: Client, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = client.call(method, path)
        assert (answer.status, answer.json["type"]) == (404, "urn:duey:no-such-path")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "/api/openapi.json" in answer.json["detail"] and len(answer.json["detail"]) < 300


def test_an_incident_tells_the_caller_its_number_and_the_log_everything(
    world: World, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queues() -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(world.control, "queues", queues)
    answer = client.get("/api/queues")
    assert (answer.status, answer.json["type"]) == (500, "urn:duey:incident")
    assert "secret" not in answer.body.decode()
    assert answer.json["incident"] in answer.json["detail"]
    (record,) = caplog.records
    assert answer.json["incident"] in record.message
    assert "ZeroDivisionError: secret detail" in caplog.text and "Traceback" in caplog.text


class NewConflict(Conflict):
    """An error that the API was never told of."""


@rows(
    "error, status, kind",
    [
        (BadRequest("no"), 422, "invalid"), (NewConflict("no"), 409, "conflict"), (DueyError("no"), 500, "incident"),
        (Misconfigured("no"), 500, "incident"),
        (InvalidArguments("add", [FieldError("args[0]", "x" * 10_000)]), 422, "invalid"),
    ],
)  # fmt: skip
def test_an_error_is_answered_as_the_nearest_known_ancestor(
    world: World, client: Client, error: Exception, status: int, kind: str
) -> None:
    world.control.away = error
    answer = client.get("/api/queues")
    assert (answer.status, answer.json["type"]) == (status, f"urn:duey:{kind}")
    assert answer.json["status"] == status and answer.json["title"]
    assert len(answer.body) < 5000


def test_the_sentence_of_an_error_is_its_detail(world: World, client: Client) -> None:
    world.control.away = InvalidArguments("add", [FieldError("args[0]", "expected int, found a list")])
    answer = client.get("/api/queues")
    assert answer.json["detail"] == "add: args[0]: expected int, found a list"
    assert answer.json["errors"] == [{"path": "args[0]", "message": "expected int, found a list"}]
