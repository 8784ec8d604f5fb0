"""What these tests share: an access database of their own, a clock that they turn, and company for races."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from duey.monitor.access import Access, passwords
from duey.monitor.access.database import Database
from tests.monitor.databases import databases_of

START = 1_800_000_000.0
PATIENCE_S = 60


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Database]]:
    """All databases that a test uses, so that each thread can end its connections as a web thread would."""
    yield from databases_of(Database, monkeypatch)


def close_all(databases: list[Database]) -> None:
    for database in databases:
        database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "access.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def access(url: str, clock: Clock) -> Access:
    return Access(url, clock=clock)


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.2 s a hash is the purpose in use, and a waste here; test_accounts looks at the true cost."""
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2, r=8, p=1))


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


@pytest.fixture
def queries() -> Callable[[Access], list[str]]:
    """The SQL that this thread's Access sends from now on."""

    def listen(access: Access) -> list[str]:
        seen: list[str] = []
        access._database._database().query_hooks.append(lambda event: seen.append(event.sql))
        return seen

    return listen


Work = Callable[[int], Any]


@pytest.fixture
def in_threads(databases: list[Database]) -> Callable[[int, Work], list[Any]]:
    """Run `work(n)` in as many threads, released at the same moment; what each returned or raised."""

    def run(count: int, work: Work) -> list[Any]:
        barrier, outcomes = threading.Barrier(count), [None] * count

        def one(n: int) -> None:
            barrier.wait(PATIENCE_S)
            try:
                outcomes[n] = work(n)
            except Exception as error:
                outcomes[n] = error
            finally:
                close_all(list(databases))

        threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        return outcomes

    return run


@pytest.fixture
def in_processes(in_threads: Callable[[int, Work], list[Any]]) -> Callable[[int, int, Work], list[Any]]:
    """Run `work(n)` in threads of several processes, all released at the same moment; all outcomes."""
    context = multiprocessing.get_context("fork")

    def run(processes: int, threads: int, work: Work) -> list[Any]:
        barrier, queue = context.Barrier(processes), context.Queue()

        def one(p: int) -> None:
            barrier.wait(PATIENCE_S)
            queue.put(in_threads(threads, lambda n: work(p * threads + n)))

        children = [context.Process(target=one, args=(p,)) for p in range(processes)]
        try:
            for child in children:
                child.start()
            return [outcome for _ in children for outcome in queue.get(timeout=PATIENCE_S)]
        finally:
            for child in children:
                child.join(PATIENCE_S)
                with suppress(AttributeError):
                    child.kill()

    return run
