"""The HTTP server: Waitress with safe settings, answers that are sent whole, and an end that drops no request.

Ending: `stop` refuses new requests with 503 and Retry-After, waits for those in flight, then closes the sockets.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from duey.config import Settings
from duey.server.connections import FRAMING, MOST, Listener

logger = logging.getLogger("duey.web")
# Waitress warns of each request that waits for a thread: with more clients than threads that is a line a request.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
BUFFER_BYTES = 128 * 1024  # of a body that arrives; the rest of a larger one waits in a temporary file
SEND_BYTES = 18_000  # a larger answer is sent on the way; Waitress's own figure, a multiple of 9,000 fills packets
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class AddressInUse(Exception):
    """Another program listens where we should."""


class Server:
    """One listening address, served by threads."""

    def __init__(self, app: Wsgi, settings: Settings) -> None:
        self._app = app
        self._closing = False
        self._inside: set[int] = set()  # the threads that answer
        web = settings.web
        options: dict[str, Any] = {}
        if web.trusted_proxy:
            options = {
                "trusted_proxy": web.trusted_proxy, "trusted_proxy_count": 1,
                "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
            }  # fmt: skip
        adj = Adjustments(
            host=web.host, port=web.port, threads=web.threads, url_prefix=web.url_prefix,
            clear_untrusted_proxy_headers=True, expose_tracebacks=False, ident=None, asyncore_use_poll=True,
            max_request_body_size=FRAMING * web.max_body_kb * 1024, max_request_header_size=64 * 1024,
            inbuf_overflow=BUFFER_BYTES, connection_limit=2 * MOST,  # its own limit is never met: it lets nobody in
            channel_request_lookahead=1,  # so that a long-poll notices that its client is gone
            **options,
        )  # fmt: skip
        adj.send_bytes = SEND_BYTES
        self._sockets: dict[int, Any] = {}
        self._dispatcher = ThreadedTaskDispatcher()
        # A name such as localhost may stand for several addresses, each of which has a socket.
        self._listening: list[Listener] = []
        try:
            for where in adj.listen:
                self._listening.append(
                    Listener(self._counted, map=self._sockets, dispatcher=self._dispatcher, adj=adj, sockinfo=where)
                )
        except OSError as exc:
            wasyncore.close_all(self._sockets, ignore_all=True)
            raise AddressInUse(
                f"port {web.port} on {web.host} cannot be listened on ({exc.strerror}): is Duey running already? "
                "Stop it, or set another [web] port"
            ) from None
        for each in self._listening:
            each.trusted_proxy, each.max_body_bytes = web.trusted_proxy, web.max_body_kb * 1024
        self._dispatcher.set_thread_count(adj.threads)
        self._thread = threading.Thread(target=self._run, name="Web", daemon=True)

    @property
    def port(self) -> int:
        """The port that is really listened on (for `port = 0`)."""
        return int(self._listening[0].effective_port)

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def _run(self) -> None:
        try:
            wasyncore.loop(timeout=1, use_poll=True, map=self._sockets)
        except OSError as exc:
            if not self._closing:
                logger.error("the web server ended: %s", exc)

    def _counted(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        here = threading.get_ident()
        self._inside.add(here)  # before the look at `_closing`: whoever closes sees it, or is seen
        try:
            if not self._closing:
                return self._app(environ, start_response)
        finally:
            self._inside.discard(here)
        start_response("503 Service Unavailable", [("Retry-After", "5"), ("Content-Type", "text/plain")])
        return [b"The service is stopping: try again in a few seconds.\n"]

    def stop(self, timeout_s: float) -> bool:
        """End; True when every request in flight was answered."""
        self._closing = True
        deadline = time.monotonic() + timeout_s
        while True:
            done = not self._inside
            # What the threads have answered may still stand in Waitress's buffers.
            if (done and not self._unsent()) or time.monotonic() >= deadline:
                break
            time.sleep(0.01)
        for each in self._listening:
            each.close()
        self._dispatcher.shutdown(timeout=1)
        return done

    def _unsent(self) -> bool:
        channels = [channel for each in self._listening for channel in list(each.active_channels.values())]
        return any(channel.total_outbufs_len or channel.requests for channel in channels)
