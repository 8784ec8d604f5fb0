"""GET /healthz and /readyz."""

from __future__ import annotations

from pathlib import Path

from duey.errors import StorageUnavailable
from tests.api.client import Client
from tests.api.conftest import World
from tests.api.control import storage_away


def test_alive_is_open_and_asks_nobody(world: World) -> None:
    world.control.away = storage_away()
    answer = world.client().get("/healthz")
    seen = {"address": "192.0.2.7", "scheme": "http", "host": ""}
    assert (answer.status, answer.json) == (200, {"status": "ok", "seen": seen})


def test_ready_or_not_it_says_what_is_missing(world: World) -> None:
    world.control.warnings = ("persistence is off",)
    answer = world.client("read").get("/readyz")
    assert (answer.status, answer.json) == (200, {"status": "ready", "warnings": ["persistence is off"]})
    world.control.problems = ("no consumer is alive", "the history is away")
    answer = world.client("read").get("/readyz")
    assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"] == "5"
    assert answer.json["problems"] == ["no consumer is alive", "the history is away"]
    assert answer.json["detail"] == "no consumer is alive; the history is away"


def test_a_web_that_cannot_check_accounts_is_not_ready(world: World, tmp_path: Path) -> None:
    client = Client(world.api, "duy_wrong")
    assert client.get("/readyz").status == 200
    (tmp_path / "access.db").rename(tmp_path / "aside.db")
    answer = client.get("/readyz")
    assert (answer.status, answer.json["problems"]) == (503, ["accounts and tokens cannot be checked"])
    (tmp_path / "aside.db").rename(tmp_path / "access.db")
    assert client.get("/readyz").status == 200


def test_strangers_learn_which_part_is_missing_and_no_path_or_address(with_history: World, tmp_path: Path) -> None:
    world = with_history
    (tmp_path / "monitor.db").mkdir()  # in its way
    world.control.warnings = ("it was damaged, and is kept as /srv/data/monitor.db.broken",)
    cases = [
        (StorageUnavailable("redis://10.0.0.5:6379 refuses"), (), "the storage of the queue cannot be used"),
        (None, ("no consumer runs: see /srv/data",), "no consumer is running"),
    ]
    insider = world.client("read")
    strangers = [world.client(), world.client("enqueue"), Client(world.api, "duy_wrong")]
    for away, problems, said in cases:
        world.control.away, world.control.problems = away, problems
        for stranger in strangers:
            answer = stranger.get("/readyz")
            assert answer.status == 503
            assert answer.json["problems"] == [said, "the history cannot be read or recorded"]
            assert not any(secret in answer.body.decode() for secret in ("/srv", "redis://", "10.0.0.5", "monitor.db"))
            assert answer.json["warnings"], "that there are some is said"
        assert str(tmp_path / "monitor.db") in insider.get("/readyz").json["problems"][-1]


def test_a_web_beside_another_history_is_not_ready(with_history: World) -> None:
    world = with_history
    world.record()
    assert world.client().get("/readyz").status == 200
    world.control.storage.own_outbox("b" * 13, "boreas:/srv/monitor.db", take_over=True)
    world.record()
    stranger, insider = world.client().get("/readyz"), world.client("read").get("/readyz")
    assert stranger.status == insider.status == 503
    assert stranger.json["problems"] == ["another host records the history of this queue"]
    assert "boreas:/srv/monitor.db" in insider.json["problems"][0]
    assert world.client().get("/healthz").status == 200
