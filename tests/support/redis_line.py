"""A line to a Redis server: what lies between the two ends is said by the classes that lay one."""

from __future__ import annotations

import socket
import threading
from abc import ABC, abstractmethod
from urllib.parse import urlsplit


class Line(ABC):
    """A proxy before a Redis server, at `url`, until it is closed."""

    def __init__(self, url: str) -> None:
        self.server = address_of(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    @abstractmethod
    def carry(self, client: socket.socket) -> None:
        """Connect a client with the server."""


def address_of(url: str) -> tuple[str | None, int | None]:
    return urlsplit(url).hostname, urlsplit(url).port
