"""A monitor of its own for each test: on its first day, or as an admin finds it in the morning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitor.conftest import Clock
from tests.monitor.web.client import Browser
from tests.monitor.web.scene import morning
from tests.monitor.web.world import World, make_world


@pytest.fixture
def empty(tmp_path: Path, clock: Clock) -> Iterator[World]:
    world = make_world(tmp_path, clock)
    yield world
    world.close()


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> Iterator[World]:
    world = morning(tmp_path, clock)
    yield world
    world.close()


@pytest.fixture
def admin(world: World) -> Browser:
    return world.browser("ana")


@pytest.fixture
def viewer(world: World) -> Browser:
    return world.browser("vera")


@pytest.fixture
def anonymous(world: World) -> Browser:
    return world.browser()
