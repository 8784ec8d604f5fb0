"""GET /api/jobs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import Client
from tests.api.conftest import World
from tests.support import rows


@pytest.fixture
def five(client: Client) -> list[str]:
    """Ids of five jobs, the newest first."""
    ids = [client.post("/api/jobs", {"task": "add", "args": [n], "id": f"job-{n}"}).json["id"] for n in range(5)]
    return ids[::-1]


def ids(answer: Any) -> list[str]:
    return [job["id"] for job in answer.json["jobs"]]


def test_newest_first_and_page_by_page(client: Client, five: list[str]) -> None:
    for query in ("", "?state=&task=&q=&limit=&cursor="):
        answer = client.get(f"/api/jobs{query}")
        assert (answer.status, ids(answer), answer.json["next"]) == (200, five, None), query
    seen, cursor = [], ""
    while True:
        answer = client.get(f"/api/jobs?limit=2&cursor={cursor}")
        assert len(ids(answer)) <= 2
        seen += ids(answer)
        cursor = answer.json["next"]
        if cursor is None:
            break
    assert seen == five


def test_filters(world: World, client: Client, five: list[str]) -> None:
    world.control.finish("job-3")
    client.post("/api/jobs", {"task": "echo", "id": "other"})
    assert ids(client.get("/api/jobs?state=done")) == ["job-3"]
    assert ids(client.get("/api/jobs?task=echo")) == ["other"]
    assert ids(client.get("/api/jobs?q=job-4")) == ["job-4"]
    assert ids(client.get("/api/jobs?state=done&task=echo")) == []
    world.client("enqueue").post("/api/jobs", {"task": "add", "args": [1], "id": "by-another"})
    assert ids(client.get(f"/api/jobs?by={client.get('/api/jobs/by-another').json['by']}")) == ["by-another"]
    assert ids(client.get("/api/jobs?by=nobody")) == []


BAD = ["state=finished", *(f"limit={n}" for n in ("0", "501", "1.5", "%D9%A1", "9" * 5000)), f"q={'x' * 201}",
       "staet=done", "state=done&state=failed"]  # fmt: skip


@rows("query", [*BAD, "q=%FF", "cursor=nope", "&".join(f"a{n}=1" for n in range(60))])
def test_bad_parameters_are_named(client: Client, query: str) -> None:
    answer = client.get(f"/api/jobs?{query}")
    assert answer.status == 422
    if query in BAD:
        assert [each["path"] for each in answer.json["errors"]] == [query.partition("=")[0]]


def test_an_unknown_task_names_the_nearest(client: Client) -> None:
    assert client.get("/api/jobs?task=ecko").json["nearest"] == ["echo"]


def test_the_history_answers_where_there_is_one(with_history: World) -> None:
    client = with_history.client("admin")
    for n in range(3):
        client.post("/api/jobs", {"task": "add", "args": [1], "id": f"bad-{n}"})
        with_history.control.fail(f"bad-{n}", "ValueError", "no")
    with_history.record()
    with_history.control.storage.forget("bad-2")
    first = client.get("/api/jobs?state=failed&limit=2")
    second = client.get(f"/api/jobs?state=failed&limit=2&cursor={first.json['next']}")
    assert (ids(first), ids(second), second.json["next"]) == (["bad-2", "bad-1"], ["bad-0"], None)
