"""Schedules: GET, POST /api/schedules, GET, PUT, DELETE /api/schedules/NAME, and its run, pause and resume."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.api.client import Client
from tests.api.conftest import World
from tests.api.control import MISSED_AT, SKIPPED_AT
from tests.support import rows

PATH = "/api/schedules"
NIGHT = f"{PATH}/periodic.night"
NEW = {"name": "mine", "task": "add", "args": [1], "cron": "0 3 * * mon-fri"}
MISSED = "2026-05-27T20:26:40.000Z"


def actions(world: World) -> list[tuple[str, str, str]]:
    return [(line.action, line.target, line.detail) for line in reversed(world.access.audit.page())]


@pytest.fixture(autouse=True)
def on_record(world: World) -> None:
    """Two slots of the schedule of the code."""
    missed = (MISSED_AT, "missed", "no consumer 02:00-03:40 (UTC)")
    world.control.put_on_record([missed, (SKIPPED_AT, "skipped", "it was paused")])


def names(world: World) -> list[str]:
    return [each.name for each in world.control.schedules.all()]


@pytest.fixture
def mine(client: Client) -> str:
    """A schedule that was made here."""
    assert client.post(PATH, NEW).status == 201
    return f"{PATH}/mine"


# looking


def test_list(client: Client) -> None:
    answer = client.get(PATH)
    assert answer.status == 200
    (found,) = answer.json["schedules"]
    assert len(found.pop("version")) == 16
    assert [at[10:] for at in found.pop("next")] == ["T03:00:00.000Z"] * 5
    assert found == {
        "name": "periodic.night", "task": "night", "qualname": "periodic.night", "source": "code",
        "expression": "0 3 * * *", "words": "At 03:00 every day", "timezone": "UTC", "catch_up": "once",
        "overlap": "skip", "window": 86400.0, "paused": False, "known": True, "problem": None,
        "last": None, "args": [], "kwargs": {},
        "slots": [
            {"at": MISSED.replace("27", "28"), "outcome": "skipped", "job": None, "reason": "it was paused"},
            {"at": MISSED, "outcome": "missed", "job": None, "reason": "no consumer 02:00-03:40 (UTC)"},
        ],
    }  # fmt: skip


def test_one(client: Client) -> None:
    assert client.get(NIGHT).json == client.get(PATH).json["schedules"][0]


# making


def test_make(world: World, client: Client) -> None:
    answer = client.post(
        PATH, {**NEW, "timezone": "Europe/Zagreb", "catch_up": "all", "overlap": "queue", "window": 60}
    )
    assert (answer.status, answer.headers["location"]) == (201, "/api/schedules/mine")
    said = answer.json
    assert (said["name"], said["task"], said["source"], said["args"]) == ("mine", "add", "made", [1])
    assert [said[key] for key in ("timezone", "catch_up", "overlap", "window")] == ["Europe/Zagreb", "all", "queue", 60]
    assert client.get(f"{PATH}/mine").json == said
    assert actions(world) == [
        ("make schedule", "mine", "add(1): 0 3 * * mon-fri Europe/Zagreb, catch_up all, overlap queue, window_s 60.0")
    ]


def test_when(world: World, client: Client) -> None:
    for when in ({"cron": "@daily"}, {"every": 90}, {"every": 1.5}, {"at": "2035-01-01T00:00:00+02:00"}):
        assert client.post(PATH, {"name": "a:b", "task": "echo", **when}).status == 201, when
        assert world.control.schedules.get("a:b").kwargs == {}
        client.delete(f"{PATH}/a:b")


@rows(
    ("change", "path", "said"),
    [
        ({"name": ...}, "name", "add it"), ({"task": ...}, "task", "add it"), ({"name": None}, "name", "expected text"),
        ({"name": "a b"}, "name", "expected 1 to 80 of "), ({"name": "x" * 81}, "name", "80 characters"),
        ({"task": 5}, "task", "expected text"), ({"args": {}}, "args", "expected a list"),
        ({"args": ["one"]}, "args[0]", "an integer"), ({"cron": "61 * * * *"}, "cron", "minute a number from 0 to 59"),
        ({"cron": "0 0 30 2 *"}, "cron", "no month"), ({"cron": 5}, "cron", "expected text"),
        ({"cron": None}, "cron", "expected text"), ({"every": 5}, "cron", "found cron and every"),
        ({"timezone": "Europe/Zagreeb"}, "timezone", "did you mean Europe/Zagreb?"),
        ({"catch_up": "twice"}, "catch_up", '"skip", "once" or "all"'),
        ({"catch_up": ["all"]}, "catch_up", '"skip", "once" or "all"'),
        ({"overlap": True}, "overlap", '"skip", "queue" or "allow"'),
        ({"window": -1}, "window", "expected at least 0, found"), ({"crom": "@daily"}, "crom", "did you mean cron?"),
        ({"cron": ...}, "cron", "expected one of cron, every, at, found none"),
        ({"cron": ..., "every": 0.5}, "every", "at least 1"), ({"cron": ..., "every": True}, "every", "a number"),
        ({"cron": ..., "at": "2020-01-01T00:00:00Z"}, "at", "a future time"),
        ({"cron": ..., "at": "2035-01-01T00:00:00"}, "at", "a time with its zone"),
        ({"cron": ..., "at": 5}, "at", "a time with its zone"),
        ({"cron": ..., "every": 5, "at": "2035-01-01T00:00:00Z"}, "cron", "found every and at"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(world: World, client: Client, change: dict[str, Any], path: str, said: str) -> None:
    """`...` leaves a field out."""
    answer = client.post(PATH, {key: value for key, value in {**NEW, **change}.items() if value is not ...})
    assert answer.status == 422, answer.json
    assert answer.json["errors"][0]["path"] == path and said in answer.json["errors"][0]["message"]
    assert names(world) == ["periodic.night"] and actions(world) == []


def test_a_name_that_is_taken_and_a_task_that_is_unknown_or_shared(world: World, client: Client, mine: str) -> None:
    for name in ("mine", "periodic.night"):
        answer = client.post(PATH, {**NEW, "name": name})
        assert (answer.status, answer.json["type"]) == (409, "urn:duey:schedule-exists")
    assert len(actions(world)) == 1
    unknown = client.post(PATH, {**NEW, "task": "adt"})
    assert (unknown.status, unknown.json["nearest"]) == (404, ["add"])
    assert client.post(PATH, {**NEW, "task": "twin"}).status == 422


# changing and deleting


def test_change(world: World, client: Client, mine: str) -> None:
    answer = client.put(mine, {"task": "add", "args": [2], "every": 60})
    assert (answer.status, answer.json["expression"], answer.json["args"]) == (200, "every 60 s", [2])
    assert actions(world)[-1] == ("change schedule", "mine", "add(1): 0 3 * * mon-fri UTC -> add(2): every 60 s UTC")
    refused = client.put(mine, {"task": "add", "args": [3], "every": 60, "name": "other"})
    assert (refused.status, refused.json["errors"][0]["path"]) == (422, "name")
    assert client.get(mine).json["args"] == [2]


def test_delete(world: World, client: Client, mine: str) -> None:
    answer = client.delete(mine)
    assert (answer.status, answer.json) == (200, {"name": "mine", "deleted": True})
    assert actions(world)[-1][:2] == ("remove schedule", "mine")
    assert client.delete(mine).status == client.get(mine).status == 404


def test_one_of_the_code_is_changed_in_the_code(world: World, client: Client) -> None:
    for answer in (client.delete(NIGHT), client.put(NIGHT, {"task": "add", "args": [1], "every": 60})):
        assert (answer.status, answer.json["type"]) == (409, "urn:duey:schedule-of-code")
        assert "edit its decorator" in answer.json["detail"]
    assert actions(world) == []


# run, pause, resume


def test_run_now(world: World, client: Client) -> None:
    answer = client.post(f"{NIGHT}/run")
    (job,) = world.control.all
    assert answer.status == 202 and job.startswith("periodic.night@")
    assert answer.json == {"name": "periodic.night", "job": job, "url": f"/api/jobs/{quote(job, safe='')}"}
    assert answer.headers["location"] == answer.json["url"]
    assert actions(world) == [("run schedule", "periodic.night", f"as {job}")]
    assert client.post(f"{NIGHT}/run", {}).status == 202


def test_run_a_missed_slot_once(world: World, client: Client) -> None:
    assert client.post(f"{NIGHT}/run", {"at": MISSED}).status == 202
    assert [slot.outcome for slot in world.control.schedules.get("periodic.night").slots] == ["skipped", "running"]
    assert client.post(f"{NIGHT}/run", {"at": MISSED}).status == 422


@rows("body", [{"at": "2026-05-29T03:00:00Z"}, {"at": 5}, {"at": "yesterday"}, {"when": MISSED}, []])
def test_a_slot_that_cannot_be_run(world: World, client: Client, body: Any) -> None:
    answer = client.post(f"{NIGHT}/run", body)
    assert (answer.status, answer.json["type"]) == (422, "urn:duey:invalid")
    assert world.control.counts().queued == 0 and actions(world) == []


def test_pause_and_resume(world: World, client: Client) -> None:
    paused = client.post(f"{NIGHT}/pause")
    assert (paused.status, paused.json["paused"], client.get(NIGHT).json["paused"]) == (202, True, True)
    resumed = client.post(f"{NIGHT}/resume")
    assert (resumed.status, resumed.json["paused"]) == (202, False)
    assert [line[:2] for line in actions(world)] == [
        ("pause schedule", "periodic.night"), ("resume schedule", "periodic.night"),
    ]  # fmt: skip


# what holds for all of them

CHANGED = {"task": "add", "args": [1], "every": 5}


@rows(
    ("method", "verb"),
    [("GET", ""), ("PUT", ""), ("DELETE", ""), *(("POST", verb) for verb in ("/run", "/pause", "/resume"))],
)
@rows("name", ["periodic.nigth", "a%20b", "%C3%BC", "x" * 300])
def test_a_schedule_that_is_not_there(world: World, client: Client, method: str, verb: str, name: str) -> None:
    path = f"{PATH}/{name}{verb}"
    answer = client.put(path, CHANGED) if method == "PUT" else client.call(method, path)
    assert (answer.status, answer.json["type"]) == (404, "urn:duey:unknown-schedule")
    assert answer.json["nearest"] == (["periodic.night"] if name == "periodic.nigth" else [])
    assert actions(world) == []
