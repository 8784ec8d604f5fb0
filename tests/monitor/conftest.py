"""What the tests of the monitor share: a clock that they turn, cheap passwords, and connections that end."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from duey.monitor.access.login import passwords
from duey.monitor.database import MonitorDatabase

START = 1_800_000_000.0  # a whole minute
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
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.2 s a hash is the purpose in use, and a waste here; test_accounts looks at the true cost."""
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2, r=8, p=1))


@pytest.fixture(autouse=True)
def databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MonitorDatabase]]:
    """All files of the monitor that a test uses; the connections of its thread are ended with it."""
    made: list[MonitorDatabase] = []
    real = MonitorDatabase.__init__

    def noted(self: MonitorDatabase, *args: object) -> None:
        real(self, *args)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(MonitorDatabase, "__init__", noted)
    yield made
    for database in made:
        database.close()
        database._forget()
        if opened := database._of_process.get(os.getpid()):
            getattr(opened.database, "close_all", opened.database.close)()  # of a pool


Work = Callable[[int], Any]


@pytest.fixture
def at_once(databases: list[MonitorDatabase]) -> Callable[[Work], list[Any]]:
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
