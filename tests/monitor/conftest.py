"""What the tests of the monitor share: a clock that they turn, cheap passwords, and connections that end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from duey.monitor.access.login import passwords
from duey.monitor.sqlite_file import SqliteFile

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
def databases(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SqliteFile]]:
    """All files of the monitor that a test uses; the connections of its thread are ended with it."""
    made: list[SqliteFile] = []
    real = SqliteFile.__init__

    def noted(self: SqliteFile, *args: object) -> None:
        real(self, *args)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(SqliteFile, "__init__", noted)
    yield made
    for database in made:
        database.close()
