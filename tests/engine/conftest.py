"""Worlds: schedulers under a clock that the test holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.clockwork import Make, World


@pytest.fixture
def world() -> Iterator[Make]:
    """Makes worlds, in memory where that can be had."""
    memory = Path("/dev/shm")
    made: list[World] = []
    with tempfile.TemporaryDirectory(prefix="dewey-", dir=memory if os.access(memory, os.W_OK) else None) as folder:

        def make(schedules: dict[str, Any], **options: Any) -> World:
            own = Path(folder) / str(len(made))
            own.mkdir()
            made.append(World(own, schedules, **options))
            return made[-1]

        yield make
        for each in made:
            each.close()
