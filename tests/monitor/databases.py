"""The databases that a test of the monitor opens, whichever of the two kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

from duey.monitor.sqlite_file import SqliteFile

Kind = TypeVar("Kind", bound=SqliteFile)


def databases_of(kind: type[Kind], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Kind]]:
    """For a fixture: all databases of this kind that a test uses; this thread's connections are ended with it."""
    made: list[Kind] = []
    real = kind.__init__

    def noted(self: Kind, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(kind, "__init__", noted)
    yield made
    for database in made:
        database.close()
