"""POST /api/jobs/batch."""

from __future__ import annotations

from tests.api.client import Client
from tests.api.conftest import World

PATH = "/api/jobs/batch"
ONE = {"task": "add", "args": [1]}


def test_accepts_a_thousand_in_the_order_asked_but_not_one_more(world: World, client: Client) -> None:
    answer = client.post(PATH, [{**ONE, "args": [n]} for n in range(1000)])
    assert (answer.status, [job["args"] for job in answer.json["jobs"]]) == (202, [[n] for n in range(1000)])
    answer = client.post(PATH, [ONE] * 1001)
    assert answer.status == 422 and "1000" in answer.json["detail"] and "1001" in answer.json["detail"]
    for value in ([], {}, {"task": "add"}, "add", 1, True):  # what is no batch
        assert client.post(PATH, value).status == 422, value
    assert world.control.counts().queued == 1000


def test_one_bad_job_refuses_all_and_is_named_by_its_place(world: World, client: Client) -> None:
    table = [
        ([ONE, {**ONE, "priority": "high"}, ONE, 7, {"delay": -1, "eta": "soon"}], 422,
         ["[1].priority", "[3]", "[4].task", "[4].delay", "[4].eta"]),
        ([ONE, {"task": "add", "args": ["x"]}], 422, ["[1].args[0]"]), ([ONE, {"task": "nope"}], 404, []),
    ]  # fmt: skip
    for batch, status, paths in table:
        answer = client.post(PATH, batch)
        assert (answer.status, [each["path"] for each in answer.json.get("errors", ())]) == (status, paths)
        assert world.control.all == {}
    many = client.post(PATH, [{}] * 1000).json
    assert len(many["errors"]) == 50 and many["detail"].endswith("; and more")


def test_a_key_covers_the_batch(world: World, client: Client) -> None:
    first, second = (client.post(PATH, [ONE, ONE], headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status, second.status) == (202, 202)
    assert [job["id"] for job in first.json["jobs"]] == [job["id"] for job in second.json["jobs"]]
    assert second.headers["idempotency-replayed"] == "true"
    assert client.post(PATH, [ONE], headers={"Idempotency-Key": "k"}).status == 409


def test_a_held_unique_key_stands_in_its_place(client: Client) -> None:
    answer = client.post(PATH, [{**ONE, "unique": "k"}])
    again = client.post(PATH, [ONE, {**ONE, "unique": "k"}])
    assert again.status == 202
    assert again.json["jobs"][1]["id"] == answer.json["jobs"][0]["id"]
