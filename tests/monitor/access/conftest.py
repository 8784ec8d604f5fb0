"""What these tests share: an access database of their own, two people in it, and company for races."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access
from duey.monitor.access.login import passwords
from tests.monitor.conftest import Clock

HOME = "192.0.2.7"
PASSWORD = "correct horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "access.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def access(url: str, clock: Clock) -> Access:
    return Access(url, clock=clock)


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
