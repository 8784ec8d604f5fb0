"""Worlds: schedulers under a clock that the test holds."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scheduling.simulation import Make, World


@pytest.fixture
def backend() -> str:
    """The storage of the worlds; a test that is about both says so by `both`."""
    return "sqlite"


both = pytest.mark.parametrize("backend", ["sqlite", "redis"])


@pytest.fixture
def where(backend: str, request: pytest.FixtureRequest) -> Callable[[], dict[str, str]]:
    """Settings that put a world on a storage of its own."""

    def settings() -> dict[str, str]:
        if backend == "sqlite":
            return {}
        url = request.getfixturevalue("redis_server").url
        return {"storage_backend": backend, "storage_url": url, "storage_name": f"w{uuid.uuid4().hex[:12]}"}

    return settings


@pytest.fixture
def world(where: Callable[[], dict[str, str]]) -> Iterator[Make]:
    """Makes worlds."""
    made: list[World] = []
    with tempfile.TemporaryDirectory(prefix="duey-") as folder:

        def make(schedules: dict[str, Any], **options: Any) -> World:
            own = Path(folder) / str(len(made))
            own.mkdir()
            made.append(World(own, schedules, **where(), **options))
            return made[-1]

        yield make
        for each in made:
            each.close()
