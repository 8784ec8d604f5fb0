"""GET /healthz and /readyz."""

from __future__ import annotations

import pytest

from tests.api.client import Client
from tests.api.conftest import World
from tests.api.fake_control import storage_away


def test_alive_is_open_and_asks_nobody(world: World) -> None:
    world.control.away = storage_away()
    answer = world.client().get("/healthz")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


def test_ready(world: World) -> None:
    world.control.warnings = ("persistence is off",)
    answer = world.client().get("/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ready", "warnings": ["persistence is off"]})


def test_not_ready_names_what_is_missing(world: World) -> None:
    world.control.problems = ("no consumer is alive", "the books are away")
    answer = world.client().get("/readyz")
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"] == "5"
    assert answer.json["problems"] == ["no consumer is alive", "the books are away"]
    assert answer.json["detail"] == "no consumer is alive; the books are away"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_methods(client: Client, path: str) -> None:
    assert client.call("HEAD", path).status == 200
    answer = client.post(path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
