"""A line to a Redis server that counts round trips, and can be as slow as one to another continent."""

from __future__ import annotations

import queue
import socket
import threading
import time

from tests.support.redis_line import Line


class FarLine(Line):
    """Each way takes half of `round_trip_s`. `trips`: how often a client has sent something after an answer, or as the
    first thing; what it sends in one go is one trip."""

    def __init__(self, url: str, round_trip_s: float = 0.0) -> None:
        self.round_trip_s, self.trips = round_trip_s, 0
        self._counting = threading.Lock()
        super().__init__(url)

    def carry(self, client: socket.socket) -> None:
        server = socket.create_connection(self.server)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answered = threading.Event()
        answered.set()
        self._carry(client, server, answered, asks=True)
        self._carry(server, client, answered, asks=False)

    def _carry(self, there: socket.socket, here: socket.socket, answered: threading.Event, asks: bool) -> None:
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def take() -> None:
            data = b"."
            while data:
                try:
                    data = there.recv(1 << 16)
                except OSError:
                    data = b""
                if data and asks and answered.is_set():
                    answered.clear()
                    with self._counting:
                        self.trips += 1
                elif data and not asks:
                    answered.set()
                under_way.put((time.monotonic() + self.round_trip_s / 2, data))

        def give() -> None:
            while True:
                due, data = under_way.get()
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    if not data:
                        here.shutdown(socket.SHUT_RDWR)
                        return
                    here.sendall(data)
                except OSError:
                    return

        for work in (take, give):
            threading.Thread(target=work, daemon=True).start()
