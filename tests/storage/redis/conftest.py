"""A queue of the test's own on Redis, as several processes and hosts would open it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import duey
from duey.config import load
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, hiring, with_lifecycle
from tests.storage.redis.proxy import LossyLine
from tests.support import needs
from tests.support.redis_server import MISSING, RedisServer, redis_binary

Open = Callable[..., RedisStorage]


@pytest.fixture
def open_storage(redis_server: RedisServer, tmp_path: Path) -> Iterator[Open]:
    """Opens the test's queue once more, as another process would; `host` makes it a process on another host."""
    name = f"t{uuid.uuid4().hex[:12]}"
    opened: list[RedisStorage] = []
    (tmp_path / "config.ini").touch()
    huey = duey.build(load(tmp_path / "config.ini", {}))

    def open_one(url: str = redis_server.url, name: str = name, host: str = "", **options: Any) -> RedisStorage:
        storage = RedisStorage(name, url=url, **options)
        with_lifecycle(storage, huey)
        if host:
            storage.folder = tmp_path / host
            storage.folder.mkdir(exist_ok=True)
        opened.append(storage)
        return storage

    yield open_one
    for storage in opened:
        storage.close()


@pytest.fixture
def storage(open_storage: Open) -> RedisStorage:
    return open_storage()


@pytest.fixture
def far(open_storage: Open) -> RedisStorage:
    """The same queue as a process on another host sees it."""
    return open_storage(host="far")


@pytest.fixture
def hire(storage: RedisStorage) -> Iterator[Callable[..., Hand]]:
    """Registers workers that do what the test tells them."""
    yield from hiring(storage)


@pytest.fixture
def hand(hire: Callable[..., Hand]) -> Hand:
    return hire()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may set up, stop and break."""
    # Where it syncs each second only, and the disk is busy, a kill loses what came while a sync was under way.
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    with RedisServer(needs(redis_binary(), MISSING), tmp_path / "redis", options) as server:
        yield server


@pytest.fixture
def lossy_line(redis_server: RedisServer) -> Iterator[LossyLine]:
    """A line to the server which loses answers, and delivers late."""
    with LossyLine(redis_server.url) as line:
        yield line
