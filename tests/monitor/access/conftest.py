"""What these tests share: an access database of their own, two people in it, and company for races."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access
from duey.monitor.access.login import passwords
from tests.monitor.conftest import Clock
from tests.support.postgres_server import PostgresServer

HOME = "192.0.2.7"
PASSWORD = "correct horse"


KINDS = ("sqlite", "postgresql")
of_file = pytest.mark.usefixtures("path")  # tests that would show nothing new of the other kind


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test over both kinds of databases, unless it looks at the file of one."""
    if "url" in metafunc.fixturenames:
        metafunc.parametrize("url", KINDS[:1] if "path" in metafunc.fixturenames else KINDS, indirect=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The SQLite file."""
    return tmp_path / "data" / "access.db"


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/data/access.db"
    database, numbers = request.getfixturevalue("shared_database")
    return f"{database}?schema=test_{next(numbers)}"


@pytest.fixture(scope="session")
def shared_database(postgres_server: PostgresServer) -> tuple[str, Iterator[int]]:
    """A database on PostgreSQL and numbers for schemas in it, which are made faster than databases."""
    return postgres_server.url(postgres_server.new_database()), itertools.count()


@pytest.fixture
def access(url: str, clock: Clock) -> Access:
    return Access(url, clock=clock, totp_key=key_of(url))


def key_of(url: str) -> str:
    """`[auth] totp_key`: with a file the key is beside it."""
    return "" if url.startswith("sqlite:") else "of all webs" * 3


@pytest.fixture
def ada(access: Access) -> Access:
    """With `ada`, an admin, and `bob`, a viewer."""
    access.accounts.create("ada", "admin", PASSWORD)
    access.accounts.create("bob", "viewer", PASSWORD)
    return access


@pytest.fixture
def scrypts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The parameters of each scrypt that was computed, in order."""
    calls: list[dict[str, Any]] = []
    real = passwords.scrypt

    def counted(password: bytes, **parameters: Any) -> bytes:
        calls.append({**parameters, "length": len(password)})
        return real(password, **parameters)

    monkeypatch.setattr(passwords, "scrypt", counted)
    return calls


def queries(access: Access) -> list[str]:
    """The SQL that this thread's Access sends from now on."""
    seen: list[str] = []
    access._database._database().query_hooks.append(lambda event: seen.append(event.sql))
    return seen
