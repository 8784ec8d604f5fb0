"""A deployment for each test, on each storage."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.deployment import Deployment, Section
from tests.support import needs

Make = Callable[..., Deployment]


@pytest.fixture(autouse=True)
def linux() -> None:
    needs(sys.platform == "linux", "expected Linux, whose /proc shows what descends from a process; run these there.")


@pytest.fixture(params=["sqlite", "redis"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make deployments on the backend that the test is run for; `settings` are sections of config.ini."""
    made: list[Deployment] = []

    def build(settings: Section | None = None, **options: Any) -> Deployment:
        url = ""
        if backend == "redis":
            url = request.getfixturevalue("redis_server").url
        made.append(Deployment(tmp_path / f"d{len(made)}", backend, url, settings, **options))
        return made[-1]

    yield build
    for deployment in made:
        deployment.close()


@pytest.fixture
def deployment(make: Make) -> Deployment:
    return make()
