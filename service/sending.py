"""How answers leave the process: whole, and by the one thread of Waitress that waits for requests.

As it comes, Waitress sends the head and the body of an answer one by one, from the thread that made them. Each of these
two system calls lets go of the interpreter lock, which then has to be won back from seven neighbours. With SEND_BYTES
an answer waits for the thread that must be woken anyway, and that sends whatever has gathered.
"""

from __future__ import annotations

from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer

SEND_BYTES = 18_000  # what has gathered above this is sent on the way; documented by Waitress, and deprecated


def send_whole(server: BaseWSGIServer) -> None:
    """Set up a server that has not begun to serve."""
    server.adj.send_bytes = SEND_BYTES
    server.channel_class = Channel
    Waking(server)


class Channel(HTTPChannel):
    """A connection."""

    def _flush_some(self, do_close: bool = True) -> Any:
        # Also where Waitress takes no lock, because nothing is left to send as it comes: by both threads at once an
        # answer would be sent twice.
        with self.outbuf_lock:
            return super()._flush_some(do_close)

    def handle_write(self) -> None:
        # Waitress would hold an answer back, and ask for it over and over, while the client's next request runs.
        if self.requests and self.total_outbufs_len:
            self._flush_exception(self._flush_some_if_lockable)
        super().handle_write()


class Waking:
    """Wakes the waiting thread once for all answers that are made until it looks.

    It asks `readable` of the server, and then of each of its connections whether there is something to send. So an
    answer that was made while a wake-up is on its way is seen by that look, and one that comes later wakes it again.
    """

    def __init__(self, server: BaseWSGIServer) -> None:
        self._wake, self._readable = server.pull_trigger, server.readable
        self._is_on_its_way = False
        server.pull_trigger, server.readable = self.pull_trigger, self.readable

    def pull_trigger(self) -> None:
        if not self._is_on_its_way:
            self._is_on_its_way = True
            self._wake()

    def readable(self) -> bool:
        self._is_on_its_way = False
        return bool(self._readable())
