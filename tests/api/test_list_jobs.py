"""GET /api/jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duey.model.job import Page
from tests.api.client import Client
from tests.api.conftest import World, make_world
from tests.support import rows


@pytest.fixture
def five(client: Client) -> list[str]:
    """Ids of five jobs, the newest first."""
    ids = [client.post("/api/jobs", {"task": "add", "args": [n], "id": f"job-{n}"}).json["id"] for n in range(5)]
    return ids[::-1]


def ids(answer: Any) -> list[str]:
    return [job["id"] for job in answer.json["jobs"]]


def test_newest_first(client: Client, five: list[str]) -> None:
    answer = client.get("/api/jobs")
    assert (answer.status, ids(answer), answer.json["next"]) == (200, five, None)


def test_page_by_page(client: Client, five: list[str]) -> None:
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


def test_empty_parameters_are_not_given(client: Client, five: list[str]) -> None:
    assert ids(client.get("/api/jobs?state=&task=&q=&limit=&cursor=")) == five


@rows(
    "query, path",
    [
        ("state=finished", "state"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%D9%A1", "limit"),
        (f"limit={'9' * 5000}", "limit"),
        (f"q={'x' * 201}", "q"),
        ("staet=done", "staet"),
        ("state=done&state=failed", "state"),
    ],
)
def test_bad_parameters_are_named(client: Client, query: str, path: str) -> None:
    answer = client.get(f"/api/jobs?{query}")
    assert answer.status == 422
    assert [each["path"] for each in answer.json["errors"]] == [path]


@pytest.mark.parametrize("query", ["q=%FF", "cursor=nope", "&".join(f"a{n}=1" for n in range(60))])
def test_what_cannot_be_read(client: Client, query: str) -> None:
    assert client.get(f"/api/jobs?{query}").status == 422


def test_an_unknown_task_names_the_nearest(client: Client) -> None:
    assert client.get("/api/jobs?task=ecko").json["nearest"] == ["echo"]


def test_the_books_answer_where_there_are_any(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    class History:
        def close(self) -> None: ...

        def jobs(self, **filters: Any) -> Page:
            asked.append(filters)
            return Page((), "next")

    client = make_world(tmp_path, history=History()).client("read")
    assert client.get("/api/jobs?state=failed&limit=7").json == {"jobs": [], "next": "next"}
    assert asked == [{"state": "failed", "limit": 7}]
