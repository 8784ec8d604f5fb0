"""A line to Redis that loses answers: what was asked is done, and the one who asked never hears of it."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit


class LossyLine:
    """A proxy before a Redis server. `lose` is the share of scripts whose answer is lost, once `armed`."""

    def __init__(self, url: str, lose: float = 0.0, seed: int = 1) -> None:
        self._server = (urlsplit(url).hostname, urlsplit(url).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.lose, self.lost, self.armed = lose, 0, False
        self.on_loss: Callable[[], None] | None = None
        self._random = random.Random(seed)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            while asked := self._received(client):
                server.sendall(asked)
                # One command is under way at a time, so that whatever arrives is its answer, or a part of it.
                if self.armed and b"EVALSHA" in asked and self._random.random() < self.lose:
                    server.settimeout(10)
                    server.recv(65536)
                    self.lost += 1
                    if self.on_loss:
                        self.on_loss()
                    return
                self._return(client, server)

    def _return(self, client: socket.socket, server: socket.socket) -> None:
        """Carry bytes back until the client asks again."""
        while True:
            server.settimeout(0.001)
            try:
                answer = server.recv(65536)
            except TimeoutError:
                if self._asks(client):
                    return
                continue
            if not answer:
                return
            client.sendall(answer)

    @staticmethod
    def _asks(client: socket.socket) -> bool:
        client.settimeout(0.001)
        try:
            client.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        return True

    @staticmethod
    def _received(client: socket.socket) -> bytes:
        client.settimeout(None)
        return client.recv(1 << 20)
