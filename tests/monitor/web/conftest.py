"""A monitor of its own for each test, with cheap passwords and a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from duey.monitor.access import passwords
from tests.monitor.web.client import Browser
from tests.monitor.web.scene import make_morning
from tests.monitor.web.world import World, make_world

START = 1_800_000_000.0


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2, r=1, p=1))


@pytest.fixture
def empty(tmp_path: Path, clock: Clock) -> Iterator[World]:
    """A deployment on its first day."""
    world = make_world(tmp_path, clock)
    yield world
    world.access.close()


@pytest.fixture
def world(empty: World, clock: Clock) -> World:
    """A deployment as an admin finds it in the morning."""
    make_morning(empty.control, empty.history, clock.now)
    return empty


@pytest.fixture
def admin(world: World) -> Browser:
    return world.browser("ana")


@pytest.fixture
def viewer(world: World) -> Browser:
    return world.browser("vera")


@pytest.fixture
def anonymous(world: World) -> Browser:
    return world.browser()
