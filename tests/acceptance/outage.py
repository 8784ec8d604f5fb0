"""Ways in which a storage goes away and comes back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.deployment import Deployment
from tests.support.redis_server import RedisServer


class QueueFile:
    """SQLite's files are moved aside, as a careless clean-up would."""

    def __init__(self, deployment: Deployment) -> None:
        self.name = str(deployment.queue)
        self._files = [deployment.queue.with_name(deployment.queue.name + end) for end in ("", "-wal", "-shm")]
        self._aside = deployment.folder / "aside"
        self._aside.mkdir()

    def leave(self) -> None:
        for file in self._files:
            file.rename(self._aside / file.name)

    def come_back(self) -> None:
        for file in reversed(self._files):
            (self._aside / file.name).rename(file)


class Server:
    """Redis is killed, and started again with all that it had written."""

    def __init__(self, server: RedisServer) -> None:
        self.name = f"127.0.0.1:{server.port}"
        self._server = server

    def leave(self) -> None:
        self._server.kill()

    def come_back(self) -> None:
        self._server.start()


@contextmanager
def write_lock(queue: Path) -> Iterator[None]:
    """Hold SQLite's write lock, as a backup by another program would."""
    con = sqlite3.connect(queue, isolation_level=None)
    con.execute("begin immediate")
    try:
        yield
    finally:
        con.execute("rollback")
        con.close()
