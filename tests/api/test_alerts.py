"""Alerts over HTTP: what is open, who was told, and what a person may do about it."""

from __future__ import annotations

import pytest

from duey.alerts import store
from duey.alerts.rules.finding import Finding
from duey.monitor.history import History
from tests.api.conftest import World
from tests.support import rows

NOW = 1_800_000_000.0


@pytest.fixture
def world(with_history: World) -> World:
    return with_history


@pytest.fixture
def history(world: World) -> History:
    return world.history


def opened(history: History, subject: str = "queue mails", at: float = NOW) -> str:
    finding = Finding("queue_age", subject, "Queue mails: jobs wait", facts=(("queue", "mails"),))
    with history.database.writing() as db:
        incident = store.insert(db, finding, at)
        assert incident is not None
        db.execute_sql(
            """INSERT INTO notifications
                (id, incident, channel, kind, state, created_at, due_at, attempts, answer, message)
                VALUES (?, ?, 'webhook', 'incident.opened', 'waiting', ?, ?, 2, '503', '')""",
            (incident.id, incident.n, at, at),
        )
    return incident.id


def test_incidents_are_listed_with_what_each_channel_was_told(world: World, history: History) -> None:
    id = opened(history)
    answer = world.client("read").get("/api/alerts").json
    (incident,) = answer["incidents"]
    assert incident | {"notifications": []} == {
        "id": id, "rule": "queue_age", "title": "Queue mails: jobs wait", "state": "open",
        "opened_at": "2027-01-15T08:00:00.000Z", "closed_at": None, "count": 1, "facts": [["queue", "mails"]],
        "flapping": False, "acked_at": None, "acked_by": None, "muted_until": None, "notifications": [],
    }  # fmt: skip
    assert incident["notifications"] == [
        {
            "channel": "webhook", "kind": "incident.opened", "state": "waiting", "attempts": 2, "answer": "503",
            "due_at": "2027-01-15T08:00:00.000Z", "ended_at": None,
        }
    ]  # fmt: skip
    assert answer["next"] is None
    assert answer["channels"] == [
        {"name": "webhook", "kind": "webhook", "sent_at": None, "error_at": None, "error": None, "waiting": 1}
    ]


def test_pages_and_states(world: World, history: History) -> None:
    ids = [opened(history, f"queue {n}", NOW + n) for n in range(5)]
    with history.database.writing() as db:
        db.execute_sql("UPDATE incidents SET closed_at = ? WHERE subject = 'queue 3'", (NOW + 9,))
    client, cursor, found = world.client("read"), None, []
    while True:
        page = client.get(f"/api/alerts?limit=2&state=open{f'&cursor={cursor}' if cursor else ''}").json
        found += [each["id"] for each in page["incidents"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == [ids[4], ids[2], ids[1], ids[0]]
    assert [each["id"] for each in client.get("/api/alerts?state=closed").json["incidents"]] == [ids[3]]
    for query in ("state=loud", "cursor=x", "limit=0"):
        assert client.get(f"/api/alerts?{query}").status == 422, query


def test_an_incident_is_acknowledged_once_and_in_the_audit(world: World, history: History) -> None:
    id, client = opened(history), world.client("admin")
    first = client.post(f"/api/alerts/{id}/ack", None)
    assert first.status == 202 and first.json["acked_by"] == "token-0"
    assert client.post(f"/api/alerts/{id}/ack", None).json["acked_at"] == first.json["acked_at"]
    assert [(each.action, each.target) for each in world.access.audit.page()][:1] == [("acknowledge alert", id)]
    with history.database.writing() as db:
        db.execute_sql("UPDATE incidents SET closed_at = 1, acked_at = NULL")
    refused = client.post(f"/api/alerts/{id}/ack", None)
    assert (refused.status, refused.json["type"]) == (409, "urn:duey:conflict")


@rows(
    "path, kind",
    [("/api/alerts/none/ack", "unknown-incident"), ("/api/alerts/channels/webhok/test", "unknown-channel")],
)
def test_what_does_not_exist_is_404(world: World, path, kind) -> None:
    answer = world.client("admin").post(path, None)
    assert (answer.status, answer.json["type"]) == (404, f"urn:duey:{kind}")
    assert "webhok" not in path or "did you mean webhook?" in answer.json["detail"]


def test_a_channel_is_tested(world: World, history: History) -> None:
    answer = world.client("admin").post("/api/alerts/channels/webhook/test", None)
    assert answer.status == 200 and answer.json["state"] == "failed" and "/hook" not in answer.json["answer"]
    (channel,) = world.client("read").get("/api/alerts").json["channels"]
    assert channel["error"] == answer.json["answer"] and channel["error_at"]
