"""What these tests share: an access database of their own, two people in it, and company for races."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access
from duey.monitor.access.login import passwords
from duey.monitor.sqlite_file import SqliteFile
from tests.monitor.conftest import PATIENCE_S, Clock

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


Work = Callable[[int], Any]


@pytest.fixture
def at_once(databases: list[SqliteFile]) -> Callable[[Work], list[Any]]:
    """Run `work(n)` in two processes of eight threads, released at the same moment; what each returned or raised."""
    context = multiprocessing.get_context("fork")

    def run(work: Work) -> list[Any]:
        barrier, queue = context.Barrier(16), context.Queue()

        def one(n: int) -> None:
            barrier.wait(PATIENCE_S)
            try:
                outcome = work(n)
            except Exception as error:
                outcome = error
            finally:
                for database in list(databases):
                    database.close()
            queue.put(outcome)

        def eight(first: int) -> None:
            threads = [threading.Thread(target=one, args=(n,)) for n in range(first, first + 8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE_S)

        children = [context.Process(target=eight, args=(first,)) for first in (0, 8)]
        for child in children:
            child.start()
        try:
            return [queue.get(timeout=PATIENCE_S) for _ in range(16)]
        finally:
            for child in children:
                child.join(PATIENCE_S)
                child.kill()

    return run
