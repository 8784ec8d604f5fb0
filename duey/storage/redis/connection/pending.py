"""Commands whose answers may take long: the caller waits for other things at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions

from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.resp import read_all


class Pending:
    """Sends commands. Raises StorageUnavailable. `read` or `drop` ends it."""

    def __init__(self, server: Server, commands: Sequence[bytes]) -> None:
        self._server, self._count, self._pool = server, len(commands), server.connections.pool
        try:
            self._connection, _ = server.connections.borrow(self._pool)
            self._connection.send_packed_command([b"".join(commands)])
        except exceptions.RedisError as exc:
            raise server.lost(self._pool, exc, sent=False) from exc
        self.fd: int = self._connection._sock.fileno()  # readable as soon as there is an answer

    def read(self) -> list[Any]:
        """The answers, of each command its own or its error. Raises StorageUnavailable if they are lost."""
        usable = False
        try:
            answers = read_all(self._count, self._connection)
            usable = True
            return self._server.explained(answers)
        except exceptions.RedisError as exc:
            raise self._server.lost(self._pool, exc, sent=True) from exc
        finally:
            self._server.connections.put_back(self._pool, self._connection, usable)

    def drop(self) -> None:
        """Wait no longer. What was sent may still be executed."""
        self._server.connections.put_back(self._pool, self._connection, False)
