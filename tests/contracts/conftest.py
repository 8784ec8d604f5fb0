"""One suite, every storage: each test here runs once with SQLite and once with Redis.

Every test has a queue of its own (a fresh file, or a fresh name on the session's server) and a clock that it can
hold in its hand.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import duey
from duey import clock as engine_clock
from duey.config import Settings, load
from duey.execution.huey import DurableHuey
from duey.storage.contract import JobStorage
from tests.contracts.rig import Clock, Hand, hiring, open_again, with_lifecycle


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on each storage, but for those of a module that names its `BACKENDS`: what these check lies above
    the storage, and `make soak` runs them on both."""
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", getattr(metafunc.module, "BACKENDS", ["sqlite", "redis"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if hasattr(getattr(item, "module", None), "BACKENDS"):
            item.add_marker("soak")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own, made faster than pytest's `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="duey-") as made:
        yield Path(made)


@pytest.fixture
def make_settings(backend: str, folder: Path, request: pytest.FixtureRequest) -> Callable[..., Settings]:
    """Settings of a queue of the test's own; keys are given as `tasks_retries=3`."""
    name = f"t{uuid.uuid4().hex[:12]}"
    url = request.getfixturevalue("redis_server").url if backend == "redis" else ""

    def make(**keys: object) -> Settings:
        ini = folder / "config.ini"
        ini.write_text(
            f"[storage]\nbackend = {backend}\npath = queue.db\nname = {name}\ndurability = normal\n"
            + (f"url = {url}\n" if url else "")
        )
        return load(ini, {f"DUEY_{key.upper()}": str(value) for key, value in keys.items()})

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def make_huey(make_settings: Callable[..., Settings]) -> Iterator[Callable[..., DurableHuey]]:
    """A huey over the test's queue, with other settings than the defaults."""
    made: list[DurableHuey] = []

    def make(**keys: object) -> DurableHuey:
        made.append(duey.build(make_settings(**keys)))
        with_lifecycle(made[-1].storage, made[-1])
        return made[-1]

    yield make
    for huey in made:
        if huey.alone is not None:
            huey.alone.close()
        huey.storage.close()


@pytest.fixture
def huey(make_huey: Callable[..., DurableHuey]) -> DurableHuey:
    return make_huey()


@pytest.fixture
def storage(huey: DurableHuey) -> JobStorage:
    return huey.storage


@pytest.fixture
def elsewhere(huey: DurableHuey) -> Iterator[JobStorage]:
    """The same queue as another process would open it."""
    other = open_again(huey)
    yield other
    other.close()


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The engine's clock, standing still until the test moves it."""
    held = Clock()
    engine_clock.set_source(held)
    yield held
    engine_clock.set_source(None)


@pytest.fixture
def later() -> Iterator[Callable[[float], None]]:
    """Moves the engine's clock, which goes on from there: Huey itself looks at the real one."""
    ahead_s = 0.0

    def advance(seconds: float) -> None:
        nonlocal ahead_s
        ahead_s += seconds

    engine_clock.set_source(lambda: time.time() + ahead_s)
    yield advance
    engine_clock.set_source(None)


@pytest.fixture
def hire(storage: JobStorage) -> Iterator[Callable[..., Hand]]:
    """Registers workers that do what the test tells them."""
    yield from hiring(storage)


@pytest.fixture
def hand(hire: Callable[..., Hand]) -> Hand:
    return hire()
