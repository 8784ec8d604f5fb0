"""Connections: time limits, limits on their number, and the handling of request bodies that are too large.

The header of a request must arrive within HEAD_S seconds. Its body has HEAD_S + BODY_GRACE_S seconds, and one more for
each BYTES_PER_S bytes received. A client must also read the answer at that rate. Above PER_ADDRESS connections of one
address, or MOST in total, the oldest idle connection is closed to admit the new one. PER_ADDRESS does not apply to
loopback and the trusted proxy, because many users can share those addresses.

A body above the limit is not stored. The application gets the request at once, without a body but with the size in
Content-Length, and answers 413. Then the connection is closed. Until then the rest of the body is read and discarded
for a few seconds: closing a connection with unread data would discard the answer as well.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.utilities import BadRequest, RequestEntityTooLarge

HEAD_S, BODY_GRACE_S, IDLE_S = 10.0, 20.0, 60.0
BYTES_PER_S = 10 * 1024
LINGER_S, LINGER_BYTES = 5.0, 16 * 1024 * 1024
MOST, PER_ADDRESS = 512, 128
CHECK_EVERY_S = 1.0
AMBIGUOUS = "expected a header that names the user to come once and without underscores"
FRAMING = 8  # bytes on the wire per byte of the limit: a chunked body with small chunks has much overhead


class Parser(HTTPRequestParser):
    """Parses one request, with a body of at most `max_body_bytes`."""

    refused = False  # the body was too large and was not read

    def __init__(self, adj: Any, max_body_bytes: int, refuses: Callable[[bytes], bool]) -> None:
        super().__init__(adj)
        self._limit, self._refuses = max_body_bytes, refuses

    def parse_header(self, header_plus: bytes) -> None:
        if self._refuses(header_plus):
            raise ParsingError(AMBIGUOUS)
        super().parse_header(header_plus)

    def received(self, data: bytes) -> int:
        try:
            consumed: int = super().received(data)
        except ValueError as error:  # a Content-Length of thousands of digits, or a URL such as http://[
            self.error, self.completed = BadRequest(str(error)[:100]), True
            return len(data)
        body, limit = self.body_rcv, self._limit
        too_large = self.content_length > limit or (self.chunked and body is not None and len(body) > limit)
        if too_large or isinstance(self.error, RequestEntityTooLarge):
            self._refuse(max(self.content_length, limit + 1))
            return len(data)
        return consumed

    def _refuse(self, size: int) -> None:
        self.close()
        self.body_rcv, self.error = None, None
        self.refused = self.completed = True
        self.expect_continue = False  # otherwise the client is told to send the body
        self.headers["CONTENT_LENGTH"], self.headers["CONNECTION"] = str(size), "close"


class Channel(HTTPChannel):
    """A connection that sends a small answer in one piece, from the thread that runs the server's main loop.

    By default, Waitress sends header and body separately from the thread that answers. Each send is a system call that
    releases the interpreter lock and has to take it again. With `send_bytes` small answers are left to the main loop.
    Waitress would then hold them back while the client's next request runs; `handle_write` prevents that.
    """

    def __init__(self, server: Listener, sock: socket.socket, addr: tuple[Any, ...], *rest: Any, **named: Any) -> None:
        self.began_at = time.monotonic()  # start of the request that is arriving, or of the wait for one
        self.has_asked = False
        self.sent = self.discarded = 0
        self._reading_since: tuple[float, int] | None = None  # start of the check, and `sent` at that time
        self._lingers_since: float | None = None
        self._parser: Parser | None = None  # of the latest request
        self.whose = server.whose(str(addr[0]))
        super().__init__(server, sock, addr, *rest, **named)

    def parser_class(self, adj: Any) -> Parser:
        """Return the parser for the next request. Waitress calls this as a class."""
        self._parser = Parser(adj, self.server.max_body_bytes, self.server.refuses)
        return self._parser

    @property
    def _refused(self) -> bool:
        return self._parser is not None and self._parser.refused

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close)
        self.sent += sent
        return sent

    def received(self, data: bytes) -> bool:
        if self._refused:
            self.discarded += len(data)
            return False
        if self.has_asked and self.request is None and data.strip(b"\r\n"):
            self.began_at = time.monotonic()
        done: bool = super().received(data)
        self.has_asked = self.has_asked or bool(self._parser and self._parser.completed and not self._parser.empty)
        return done

    def _flush_some(self, do_close: bool = True) -> Any:
        # Waitress takes no lock where it expects nothing left to send. Without the lock, both threads could send the
        # same answer.
        with self.outbuf_lock:
            return super()._flush_some(do_close)

    def handle_write(self) -> None:
        if self.requests and self.total_outbufs_len:
            self._flush_exception(self._flush_some_if_lockable)
        elif self._refused and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if self.connected and not self.total_outbufs_len:
                self._linger()
            return
        super().handle_write()

    def _linger(self) -> None:
        """Close the sending side, and keep reading what the client still sends."""
        self.close_when_flushed, self._lingers_since = False, time.monotonic()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    @property
    def is_idle(self) -> bool:
        """Whether no request is running and no answer is being sent."""
        return not self.requests and not self.total_outbufs_len

    def is_overdue(self, now: float) -> bool:
        """Whether the client has used up its time. Called every second by the main loop. `now`: monotonic seconds."""
        if self._lingers_since is not None:
            return now - self._lingers_since > LINGER_S or self.discarded > LINGER_BYTES
        if self.total_outbufs_len:
            since, sent = self._reading_since = self._reading_since or (now, self.sent)
            if now - since <= IDLE_S:
                return False
            self._reading_since = now, self.sent
            return self.sent - sent < BYTES_PER_S * IDLE_S
        self._reading_since = None
        if self.requests:
            self.began_at = now  # the time of a pipelined request starts when this one has ended
            return False
        arriving = self.request
        if arriving is None:
            return now - self.began_at > (IDLE_S if self.has_asked else HEAD_S)
        body_s = BODY_GRACE_S + arriving.body_bytes_received / BYTES_PER_S if arriving.headers_finished else 0.0
        return now - self.began_at > HEAD_S + body_s

    def abandon(self) -> None:
        """Close the connection soon. Waitress alone would wait until the socket is writable."""
        self.will_close = True
        with contextlib.suppress(OSError, AttributeError):  # already closed
            self.socket.shutdown(socket.SHUT_RDWR)


class Listener(TcpWSGIServer):
    """A listening socket that applies the limits above. All listeners of a server share one socket map."""

    channel_class = Channel
    trusted_proxy, max_body_bytes = "", 0
    refuses: Callable[[bytes], bool] = staticmethod(lambda head: False)  # the header of a request
    checked_at = 0.0

    def readable(self) -> bool:
        now = time.monotonic()  # Waitress's own clean-up uses the wall clock, which can jump
        if now - self.checked_at >= CHECK_EVERY_S:
            self.checked_at = now
            for channel in list(self.active_channels.values()):
                if channel.is_overdue(now):
                    channel.abandon()
        return bool(super().readable())

    def maintenance(self, now: float) -> None:
        """Does nothing: `readable` does this work."""

    def handle_accept(self) -> None:
        super().handle_accept()
        if len(self._map) > PER_ADDRESS:
            self._make_room()

    def _make_room(self) -> None:
        """If there are too many connections, close the oldest idle one of the address that has too many, or else of the
        address that has the most. The newest connection is idle, so there is always a candidate."""
        channels = [each for each in self._map.values() if isinstance(each, Channel) and not each.will_close]
        counts = Counter(each.whose for each in channels)
        idle = sorted((each for each in channels if each.is_idle), key=lambda each: each.began_at)
        crowded = [each for each in idle if each.whose and counts[each.whose] > PER_ADDRESS]
        if not crowded and len(channels) > MOST:
            crowded = sorted(idle, key=lambda each: -counts[each.whose])
        if crowded:
            crowded[0].abandon()

    def whose(self, host: str) -> str:
        """Return the address that a connection is counted under, or "" if its address has no limit."""
        return "" if host == self.trusted_proxy else _counted_as(host)


@lru_cache(maxsize=4096)
def _counted_as(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.is_loopback:
        return ""
    # Count IPv6 by /64: one client usually has a whole /64 network.
    return host if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
