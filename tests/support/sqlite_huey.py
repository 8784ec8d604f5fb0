"""A huey over a queue of the test's own, for tests that need no other storage than SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duey
from duey.config import load
from duey.execution.huey import DurableHuey


@contextmanager
def sqlite_huey(folder: Path, **keys: object) -> Iterator[DurableHuey]:
    """`keys` are settings, as `tasks_secret="x"`."""
    ini = folder / "config.ini"
    ini.write_text("[storage]\npath = queue.db\ndurability = normal\n")
    huey = duey.build(load(ini, {f"DUEY_{key.upper()}": str(value) for key, value in keys.items()}))
    yield huey
    if huey.alone is not None:
        huey.alone.close()
    huey.storage.close()
