"""Connections: how long one may take, how many there may be, and what is read of a request that is too large.

A head has HEAD_S seconds to arrive, a body HEAD_S + BODY_GRACE_S and a second more for each BYTES_PER_S that has
arrived; who reads an answer must keep that pace as well. Above PER_ADDRESS connections of one address, or MOST in all,
the oldest that does nothing is closed, so that a newcomer is let in while any connection is idle. PER_ADDRESS does not
hold for loopback and the trusted proxy, behind which many people stand.

A body above the limit is never stored: the application gets the request at once, with the size in Content-Length and no
body, and answers 413 in its own words; then the connection ends. What the client still sends meanwhile is thrown away
for a moment, because a connection that is closed with unread data takes its answer along.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections import Counter
from functools import lru_cache
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.utilities import BadRequest, RequestEntityTooLarge

HEAD_S, BODY_GRACE_S, IDLE_S = 10.0, 20.0, 60.0
BYTES_PER_S = 10 * 1024
LINGER_S, LINGER_BYTES = 5.0, 16 * 1024 * 1024
MOST, PER_ADDRESS = 512, 128
CHECK_EVERY_S = 1.0
FRAMING = 8  # a chunked body may take so many times the limit on the wire: small chunks cost more than they carry


class Parser(HTTPRequestParser):
    """A request that arrives, with a body of at most `max_body_bytes`."""

    refused = False  # its body was too large, and was not read

    def __init__(self, adj: Any, max_body_bytes: int) -> None:
        super().__init__(adj)
        self._limit = max_body_bytes

    def received(self, data: bytes) -> int:
        try:
            consumed: int = super().received(data)
        except ValueError as error:  # a Content-Length of thousands of digits, an address such as http://[
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
        self.expect_continue = False  # else the client is told to go on
        self.headers["CONTENT_LENGTH"], self.headers["CONNECTION"] = str(size), "close"


class Channel(HTTPChannel):
    """A connection whose small answers are sent whole, by the thread that waits for the next request.

    As it comes, Waitress sends head and body one by one from the thread that answers: two system calls, and in each it
    lets go of the interpreter lock and has to win it back from its neighbours. With `send_bytes` they wait for the
    thread that is woken anyway. That one, however, holds them back while the client's next request runs: not here.
    """

    def __init__(self, server: Listener, sock: socket.socket, addr: tuple[Any, ...], *rest: Any, **named: Any) -> None:
        self.began_at = time.monotonic()  # of the request that is arriving, or of the wait for one
        self.has_asked = False
        self.sent = self.discarded = 0
        self._reading_since: tuple[float, int] | None = None  # since when the client takes an answer; sent by then
        self._lingers_since: float | None = None
        self._parser: Parser | None = None  # of the last request
        self.whose = server.whose(str(addr[0]))
        super().__init__(server, sock, addr, *rest, **named)

    def parser_class(self, adj: Any) -> Parser:
        """Waitress makes the parser of the next request by this."""
        self._parser = Parser(adj, self.server.max_body_bytes)
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
        # Also where Waitress takes no lock, because nothing is left to send as it comes: by both threads at once an
        # answer would be sent twice.
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
        """Say that nothing more comes, and read what the client still sends."""
        self.close_when_flushed, self._lingers_since = False, time.monotonic()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is being answered."""
        return not self.requests and not self.total_outbufs_len

    def is_overdue(self, now: float) -> bool:
        """Whether the client has had its time. Asked every second, by the thread that reads."""
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
            self.began_at = now  # what has arrived of the next one waits for this one
            return False
        arriving = self.request
        if arriving is None:
            return now - self.began_at > (IDLE_S if self.has_asked else HEAD_S)
        body_s = BODY_GRACE_S + arriving.body_bytes_received / BYTES_PER_S if arriving.headers_finished else 0.0
        return now - self.began_at > HEAD_S + body_s

    def abandon(self) -> None:
        """End it soon, whatever the client does: Waitress alone would wait until it can write."""
        self.will_close = True
        with contextlib.suppress(OSError, AttributeError):  # it is closed already
            self.socket.shutdown(socket.SHUT_RDWR)


class Listener(TcpWSGIServer):
    """A socket that takes connections, within the bounds above. All listeners of a server share one map."""

    channel_class = Channel
    trusted_proxy, max_body_bytes = "", 0
    _checked_at = 0.0

    def readable(self) -> bool:
        now = time.monotonic()  # Waitress's own clean-up goes by a clock that may be set
        if now - self._checked_at >= CHECK_EVERY_S:
            self._checked_at = now
            for channel in list(self.active_channels.values()):
                if channel.is_overdue(now):
                    channel.abandon()
        return bool(super().readable())

    def maintenance(self, now: float) -> None:
        """Nothing: see `readable`."""

    def handle_accept(self) -> None:
        super().handle_accept()
        if len(self._map) > PER_ADDRESS:
            self._make_room()

    def _make_room(self) -> None:
        """Close one connection if the newest one was too many: the oldest idle one of its address, or of the address
        that has the most. The newest is idle itself, so there is one."""
        channels = [each for each in self._map.values() if isinstance(each, Channel) and not each.will_close]
        counts = Counter(each.whose for each in channels)
        idle = sorted((each for each in channels if each.is_idle), key=lambda each: each.began_at)
        crowded = [each for each in idle if each.whose and counts[each.whose] > PER_ADDRESS]
        if not crowded and len(channels) > MOST:
            crowded = sorted(idle, key=lambda each: -counts[each.whose])
        if crowded:
            crowded[0].abandon()

    def whose(self, host: str) -> str:
        """The address that a connection counts for; "" for one behind which many people stand."""
        return "" if host == self.trusted_proxy else _counted_as(host)


@lru_cache(maxsize=4096)
def _counted_as(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.is_loopback:
        return ""
    # Who has one IPv6 address has 2**64 of them.
    return host if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
