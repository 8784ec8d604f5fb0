"""An API over the real Control, a queue and an access database in the test's folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import duey
from duey import config
from duey.alerts.service import AlertService
from duey.api import Api, make_api
from duey.monitor.access import Access
from duey.monitor.history import History
from tests.api.client import Client
from tests.api.control import SteeredControl

MADE: list[World] = []


@dataclass
class World:
    """One API and all that it stands on."""

    control: SteeredControl
    access: Access
    api: Api
    settings: config.Settings
    history: Any = None

    def client(self, *scopes: str) -> Client:
        """A client with a fresh token of these scopes, or with none."""
        if not scopes:
            return Client(self.api)
        number = len(self.access.tokens.list())
        return Client(self.api, self.access.tokens.create(f"token-{number}", scopes)[1])

    def record(self) -> None:
        """Bring the history up to date."""
        recorder = self.history.recorder(self.control.huey.lifecycle)
        recorder.turn()
        recorder.close()


def make_world(folder: Path, history: Any = None, auth: dict[str, Any] | None = None, **web: Any) -> World:
    """`web` and `auth` replace settings of their sections; it is closed with the test."""
    settings = config.load(environ={"DUEY_ALERTS_WEBHOOK": "http://127.0.0.1:9/hook"})  # nothing listens there
    storage = replace(settings.storage, path=folder / "queue.db", durability="normal")
    settings = replace(
        settings, storage=storage, web=replace(settings.web, **web), auth=replace(settings.auth, **(auth or {}))
    )
    control, access = SteeredControl(duey.build(settings)), Access(f"sqlite:///{folder / 'access.db'}")
    alerts = AlertService(history, settings) if isinstance(history, History) else None
    MADE.append(World(control, access, make_api(control, access, settings, history, alerts), settings, history))
    return MADE[-1]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().control.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, max_body_kb=64)


@pytest.fixture
def with_history(tmp_path: Path) -> World:
    return make_world(tmp_path, History(f"sqlite:///{tmp_path / 'monitor.db'}", config.load(environ={}).monitor))


@pytest.fixture
def client(world: World) -> Client:
    """Holds all scopes."""
    return world.client("admin")
