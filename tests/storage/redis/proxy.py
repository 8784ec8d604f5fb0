"""A line to Redis that loses answers, delivers requests late, and can lead to another server."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable

from duey.storage.redis.connection.client import script
from tests.support.redis_line import Line, address_of


class LossyLine(Line):
    """`lose` is the share of scripts whose answer is lost, once `armed`: what was asked
    is done, and the one who asked never hears of it."""

    def __init__(self, url: str, lose: float = 0.0, seed: int = 1) -> None:
        self.lose, self.lost, self.armed = lose, 0, False
        self.on_loss: Callable[[], None] | None = None
        self._hold: list[bytes] = []  # the scripts whose next requests are held up
        self._held: list[bytes] = []
        self._open: list[socket.socket] = []
        self._random = random.Random(seed)
        super().__init__(url)

    def hold_up(self, name: str, requests: int = 1) -> None:
        """The next requests to run this script are held up, and their connections break."""
        self._hold, self._held = [script(name).sha] * requests, []

    def deliver(self) -> None:
        """Let the requests that were held up arrive, and be done."""
        assert self._held and not self._hold, "not all requests were held up"
        for request in self._held:
            with socket.create_connection(self.server) as server:
                server.sendall(request)
                assert server.recv(65536)[:1] != b"-"

    def lead_to(self, url: str) -> None:
        """From now on to another server. All connections end."""
        self.server = address_of(url)
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def carry(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self.server) as server:
            self._open.append(client)
            while asked := self._received(client):
                if self._hold and self._hold[0] in asked:
                    self._hold.pop()
                    self._held.append(asked)
                    return
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
