"""GET /api/openapi.json, and whether the API does what it says there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.api.client import Client
from tests.api.conftest import World, make_world
from tests.api.control import define, echo, storage_away
from tests.support import rounds, rows


def document(world: World) -> Any:
    return world.client().get("/api/openapi.json").json


class TestDocument:
    def test_is_open_and_says_where_it_lives(self, tmp_path: Path) -> None:
        world = make_world(tmp_path, public_url="https://example.org", url_prefix="/duey")
        answer = world.client().get("/api/openapi.json")
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json["openapi"].startswith("3.1")
        assert answer.json["servers"] == [{"url": "https://example.org/duey"}]

    def test_lists_every_route_and_nothing_else(self, world: World) -> None:
        listed = {
            (method.upper(), path) for path, operations in document(world)["paths"].items() for method in operations
        }
        assert listed == {(endpoint.method, endpoint.path) for endpoint in world.api.endpoints}
        assert ("POST", "/api/jobs") in listed and ("GET", "/metrics") in listed

    def test_documents_every_status_of_the_contract(self, world: World) -> None:
        said = document(world)["paths"]["/api/jobs"]["post"]["responses"]
        expected = {200, 202, 400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 429, 500, 503}
        assert {int(status) for status in said} == expected

    def test_operations_have_names_of_their_own(self, world: World) -> None:
        names = [each["operationId"] for path in document(world)["paths"].values() for each in path.values()]
        assert len(names) == len(set(names))

    def test_errors_are_as_described(self, world: World, client: Client) -> None:
        world.control.limit_pending(1)
        answers = [
            client.post("/api/jobs", {"task": "ad"}),
            client.post("/api/jobs", {"tusk": "add"}),
            client.post("/api/jobs", [1]),
            client.post("/api/jobs/batch", [{"task": "echo"}] * 2),
            client.post("/api/jobs/x/cancel"),
            client.get("/api/nope"),
        ]
        world.control.away = storage_away(None)
        answers += [client.post("/api/jobs", {"task": "add"}), client.get("/readyz")]
        whole = document(world)
        for answer in answers:
            jsonschema_rs.validate({"$ref": "#/components/schemas/Problem", **whole}, answer.json)


# What no schema can say (an eta that has passed, arguments that a signature refuses) is a 422 for a body that fits
# the schema, and a body that does not fit may be too large before anyone looks at it.
CHECKS = {
    "positive_data_acceptance": {"expected-statuses": ["2xx", 401, 404, 409, 422, 429]},
    "negative_data_rejection": {"expected-statuses": [400, 401, 404, 405, 409, 413, 415, 422]},
}


def described(folder: Path) -> tuple[Any, dict[str, str]]:
    """The description of a service that holds jobs in several states, and a token for it."""
    import schemathesis  # here, because it takes a second, and each process of a run collects this file

    world = make_world(folder, max_body_kb=64)
    client = world.client("admin")
    # Named as the generator likes to name things, else hardly any request would find a job or a task.
    for name in ("0", "00", "a", "A"):
        define(world.control.huey, echo, name=name)
    for job_id in ("0", "00", "1", "a", "A", "AA", "null", "true", "false"):
        client.post("/api/jobs", {"task": "add", "args": [1, 2], "id": job_id})
    world.control.schedules.standing_since = lambda workers: None  # type: ignore[method-assign]
    world.control.start("0")
    world.control.finish("1", 3)
    world.control.fail("00", "ValueError", "no")
    config = schemathesis.Config.from_dict({"checks": CHECKS})
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", world.api, config=config)
    return schema, {"Authorization": f"Bearer {client.token}"}


# Shrinking would only take time: each failure names its request.
FAST = settings(
    max_examples=rounds(2, soak=200), deadline=None, derandomize=True, database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.mark.soak
def test_the_api_does_what_it_says(tmp_path: Path) -> None:
    """Not by `schema.parametrize()`, which makes all requests while tests are collected, in each process of a run."""
    from schemathesis.checks import load_all_checks
    from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test

    load_all_checks()
    schema, headers = described(tmp_path)
    modes = [HypothesisTestMode.EXAMPLES, HypothesisTestMode.FUZZING, HypothesisTestMode.COVERAGE]

    @FAST
    def holds(case: Any) -> None:
        case.call_and_validate(headers=headers)

    @rows("operation", [result.ok() for result in schema.get_all_operations()])
    def check(operation: Any) -> None:
        create_test(
            operation=operation, test_func=holds, config=HypothesisTestConfig(modes=modes, project=schema.config)
        )()

    check()
