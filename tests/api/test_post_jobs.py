"""POST /api/jobs."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pytest

from duey.api import make_api
from duey.monitor.access import Access
from tests.api.client import Client
from tests.api.conftest import World, make_world
from tests.api.control import storage_away
from tests.support import rows

CONTRACT = {
    "id", "task", "qualname", "queue", "args", "kwargs", "state", "priority", "attempt", "retries_left", "crashes",
    "enqueued_at", "eta", "started_at", "finished_at", "wait_ms", "run_ms", "progress", "result", "error", "url",
    "result_stored", "by",
}  # fmt: skip


def test_accepts_a_job(world: World, client: Client) -> None:
    answer = client.post("/api/jobs", {"task": "add", "args": [1, 2]})
    job = answer.json
    assert answer.status == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == job["url"] == f"/api/jobs/{job['id']}"
    assert set(job) >= CONTRACT
    assert (job["task"], job["qualname"], job["args"], job["state"]) == ("add", "tasks.add", [1, 2], "queued")
    assert job["enqueued_at"].endswith("Z") and len(job["enqueued_at"]) == len("2030-01-01T00:00:00.000Z")
    assert client.get(job["url"]).json == job


def test_every_field_reaches_the_engine(world: World, client: Client) -> None:
    asked = {
        "task": "add", "kwargs": {"a": 1}, "id": "mine:1", "delay": 5, "priority": -2.5, "queue": "slow",
        "retries": 7, "expires": 60, "unique": "only", "context": {"user": "ana"},
    }  # fmt: skip
    job = client.post("/api/jobs", asked).json
    stored = world.control.all["mine:1"]
    assert (stored.kwargs, stored.priority, stored.queue) == ({"a": 1}, -2.5, "slow")
    assert (stored.retries_left, stored.context, stored.state) == (7, {"user": "ana"}, "scheduled")
    assert stored.eta == pytest.approx(time.time() + 5, abs=2)
    assert stored.expires_at == pytest.approx(time.time() + 60, abs=2)
    assert client.post("/api/jobs", {"task": "echo", "unique": "only"}).status == 202, "a key belongs to its task"
    assert client.post("/api/jobs", {**asked, "id": "other"}).json["id"] == "mine:1"
    assert (job["state"], job["context"], job["id"]) == ("scheduled", {"user": "ana"}, "mine:1")


def test_a_job_says_who_asked_for_it(world: World) -> None:
    client = world.client("enqueue", "read")
    job = client.post("/api/jobs", {"task": "add", "args": [1]}).json
    batch = client.post("/api/jobs/batch", [{"task": "add", "args": [1]}]).json
    assert job["by"] == batch["jobs"][0]["by"] == client.get(job["url"]).json["by"] == "token-0"
    refused = client.post("/api/jobs", {"task": "add", "args": [1], "by": "ana"})
    assert refused.status == 422 and refused.json["errors"][0]["path"] == "by"


def test_an_eta_is_an_instant_in_utc(world: World, client: Client) -> None:
    at = int(time.time()) + 3600
    local = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at + 2 * 3600))
    job = client.post("/api/jobs", {"task": "add", "args": [1], "eta": f"{local}.250+02:00"}).json
    assert world.control.all[job["id"]].eta == at + 0.25
    assert job["eta"] == time.strftime("%Y-%m-%dT%H:%M:%S.250Z", time.gmtime(at))


def test_the_url_begins_with_the_prefix_and_is_absolute_where_the_public_one_is_known(tmp_path: Path) -> None:
    for public_url in ("https://example.org", ""):
        world = make_world(tmp_path, public_url=public_url, url_prefix="/duey")
        answer = world.client("enqueue").post("/api/jobs", {"task": "add", "args": [1], "id": "x"})
        assert answer.headers["location"] == answer.json["url"] == f"{public_url}/duey/api/jobs/x"


def test_an_unknown_task_names_the_nearest_and_a_shared_name_both(client: Client) -> None:
    unknown, shared = (client.post("/api/jobs", {"task": name}) for name in ("ad", "twin"))
    assert (unknown.status, unknown.json["type"]) == (404, "urn:duey:unknown-task")
    assert unknown.json["nearest"] == ["add"] and "add" in unknown.json["detail"]
    assert (shared.status, shared.json["nearest"]) == (422, ["tasks.twin", "periodic.twin"])
    assert client.post("/api/jobs", {"task": "periodic.twin"}).status == 202


@rows(
    "asked, path",
    [
        ({"args": []}, "kwargs.a"), ({"args": [1, 2, 3]}, "args[2]"), ({"args": ["1"]}, "args[0]"),
        ({"args": [1], "kwargs": {"c": 1}}, "kwargs.c"),
    ],
)  # fmt: skip
def test_arguments_that_the_signature_refuses(world: World, client: Client, asked: Any, path: str) -> None:
    answer = client.post("/api/jobs", {"task": "add", **asked})
    assert answer.status == 422
    assert [each["path"] for each in answer.json["errors"]] == [path]
    assert world.control.all == {}


def test_the_same_id_again_changes_nothing_until_it_ended(world: World, client: Client) -> None:
    assert client.post("/api/jobs", {"task": "add", "args": [1], "id": "x"}).status == 202
    again = client.post("/api/jobs", {"task": "add", "args": [2], "id": "x"})
    assert (again.status, again.json["args"]) == (200, [1])
    world.control.finish("x")
    ended = client.post("/api/jobs", {"task": "add", "args": [2], "id": "x"})
    assert (ended.status, ended.json["type"]) == (409, "urn:duey:duplicate-job")


def test_a_held_unique_key_answers_with_its_holder(client: Client) -> None:
    first = client.post("/api/jobs", {"task": "add", "args": [1], "unique": "k"})
    second = client.post("/api/jobs", {"task": "add", "args": [2], "unique": "k"})
    assert (first.status, second.status) == (202, 200)
    assert second.json["id"] == first.json["id"]
    assert second.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in second.headers


def test_a_token_that_may_not_read_gets_a_receipt_whoever_s_job_it_is(world: World, client: Client) -> None:
    hidden = {"task": "add", "args": [41_904], "context": {"user": "mallory"}, "unique": "k", "id": "x"}
    writer, reader = world.client("enqueue"), world.client("enqueue", "read")
    client.post("/api/jobs", hidden)
    again = {**hidden, "args": [1], "context": {}}
    key = {"Idempotency-Key": "k"}
    asked = (
        ("the id is held", 200, "/api/jobs", {"task": "add", "args": [1], "id": "x"}, {}),
        ("the unique key is held", 200, "/api/jobs", {"task": "add", "args": [1], "unique": "k"}, {}),
        ("a job of its own", 202, "/api/jobs", {"task": "add", "args": [41_904]}, key),
        ("the same, replayed", 202, "/api/jobs", {"task": "add", "args": [41_904]}, key),
        ("a batch", 202, "/api/jobs/batch", [again, {"task": "add", "args": [41_904]}], {}),
    )
    for what, status, path, body, headers in asked:
        answer = writer.post(path, body, headers=headers)
        assert answer.status == status, what
        for view in answer.json["jobs"] if "batch" in path else [answer.json]:
            assert set(view) == {"id", "state", "url"}, what
        text = answer.body.decode() + str(answer.headers)
        assert "41904" not in text and "mallory" not in text, what
        answer = reader.post(path, body, headers=headers)
        for view in answer.json["jobs"] if "batch" in path else [answer.json]:
            assert set(view) >= CONTRACT, what
    world.control.finish("x")
    ended = writer.post("/api/jobs", again)
    assert ended.status == 409 and "41904" not in ended.body.decode()
    for path in ("/api/jobs/x", "/api/jobs/x?wait=1", "/api/jobs"):
        assert writer.get(path).status == 403
    for path in ("/api/jobs/x/cancel", "/api/jobs/x/retry"):
        assert writer.post(path).status == 403


def test_too_many_pending(world: World, client: Client) -> None:
    world.control.limit_pending(1)
    assert client.post("/api/jobs", {"task": "add", "args": [1]}).status == 202
    answer = client.post("/api/jobs", {"task": "add", "args": [1]})
    assert answer.status == 429
    assert answer.headers["retry-after"] == "5"


@rows("stored, sentence", [(False, "nothing was changed"), (None, "it may have been"), (True, "it was carried out")])
def test_a_storage_that_is_away_says_what_became_of_the_job(
    world: World, client: Client, stored: bool | None, sentence: str
) -> None:
    world.control.away = storage_away(stored)
    answer = client.post("/api/jobs", {"task": "add", "args": [1]})
    assert answer.status == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json["stored"] is stored
    assert sentence in answer.json["detail"]
    world.control.away = None
    assert client.post("/api/jobs", {"task": "add", "args": [1]}).status == 202


class TestIdempotency:
    ASKED = {"task": "add", "args": [1]}

    def post(self, client: Client, key: str, asked: Any = None, path: str = "/api/jobs") -> Any:
        return client.post(path, asked or self.ASKED, headers={"Idempotency-Key": key})

    def test_the_same_key_and_body_give_the_same_job_and_another_body_is_a_conflict(
        self, world: World, client: Client
    ) -> None:
        first, second = self.post(client, "~" * 255), self.post(client, "~" * 255)  # no key is longer
        assert (first.status, second.status) == (202, 202)
        assert first.json["id"] == second.json["id"]
        assert "idempotency-replayed" not in first.headers
        assert second.headers["idempotency-replayed"] == "true"
        answer = self.post(client, "~" * 255, {"task": "add", "args": [2]})
        assert (answer.status, answer.json["type"]) == (409, "urn:duey:key-reused")
        assert len(world.control.all) == 1

    def test_another_path_is_a_conflict(self, client: Client) -> None:
        self.post(client, "k", [self.ASKED], "/api/jobs/batch")
        body = b'[{"task": "add", "args": [1]}]'
        same = client.call("POST", "/api/jobs/batch", body, "application/json", {"Idempotency-Key": "k"})
        assert (same.status, same.headers["idempotency-replayed"]) == (202, "true")
        assert self.post(client, "k").status == 409

    def test_another_token_has_keys_of_its_own(self, world: World) -> None:
        first, second = (self.post(world.client("enqueue"), "k") for _ in range(2))
        assert first.json["id"] != second.json["id"]

    def test_so_has_a_token_of_the_same_number_at_another_web_with_accounts_of_its_own(
        self, world: World, tmp_path: Path
    ) -> None:
        access = Access(f"sqlite:///{tmp_path / 'other.db'}")
        tokens = [each.tokens.create("shop", ("enqueue",)) for each in (world.access, access)]
        assert tokens[0][0].id == tokens[1][0].id
        here, there = (
            Client(make_api(world.control, each, world.settings), secret)
            for each, (_, secret) in zip((world.access, access), tokens, strict=True)
        )
        first, second = self.post(here, "k"), self.post(there, "k")
        assert (first.status, second.status) == (202, 202) and first.json["id"] != second.json["id"]
        assert self.post(there, "k").json["id"] == second.json["id"]

    @rows("key", ["", "x" * 256, "a b", "é", "a\x7f"])
    def test_a_key_that_cannot_be_one(self, world: World, client: Client, key: str) -> None:
        answer = self.post(client, key)
        assert answer.status == 400
        assert "Idempotency-Key" in answer.json["detail"]
        assert world.control.all == {}


def test_a_lost_connection_is_no_incident(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    class Gone(io.BytesIO):
        def read(self, *size: Any) -> bytes:
            raise ConnectionResetError

    answer = client.call("POST", "/api/jobs", b"{}", "application/json", **{"wsgi.input": Gone()})
    assert answer.status == 400
    assert caplog.records == []
