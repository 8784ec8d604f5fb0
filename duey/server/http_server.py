"""The HTTP server: Waitress with safe settings, small answers sent in one piece, and a stop that completes requests.

`stop` refuses new requests with 503 and Retry-After, waits for the running ones, then closes the sockets.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from duey.config import Settings
from duey.config.table import Web
from duey.server.connections import FRAMING, MOST, Listener
from duey.server.identity import ProxyIdentity, ambiguous

logger = logging.getLogger("duey.web")
# Waitress warns about each request that waits for a thread. With many clients that is one log line per request.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
BUFFER_BYTES = 128 * 1024  # of a request body in memory; a larger body goes to a temporary file
LOOPS_WITHIN_S = 15.0
SEND_BYTES = 18_000  # larger answers are sent in parts; Waitress's default, a multiple of 9,000 to fill packets
ADVICE = {
    errno.EADDRINUSE: "is Duey running already? Stop it, or set another [web] port",
    errno.EADDRNOTAVAIL: "this machine has no such address: set [web] host to one of its own, or 0.0.0.0 for all",
    errno.EACCES: "only root may use it: set a [web] port above 1023, and let a proxy serve this one",
}
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class CannotListen(Exception):
    """The address cannot be listened on. The message says why, and what to do."""

    def __init__(self, web: Web, error: OSError | ValueError) -> None:
        why, what = getattr(error, "strerror", None) or "unknown host", ADVICE.get(getattr(error, "errno", 0) or 0)
        what = what or "set [web] host to an address of this machine"  # ValueError: Waitress does not know the name
        super().__init__(f"port {web.port} on {web.host} cannot be listened on ({why}): {what}")


class Server:
    """One listening address, served by threads."""

    def __init__(self, app: Wsgi, settings: Settings) -> None:
        self._app = app
        self._closing = False
        self._inside: set[int] = set()  # ids of the threads that are handling a request
        web = settings.web
        options: dict[str, Any] = {}
        if web.trusted_proxy:
            options = {
                "trusted_proxy": web.trusted_proxy, "trusted_proxy_count": 1,
                "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
            }  # fmt: skip
        options |= dict(
            host=web.host, port=web.port, threads=web.threads, url_prefix=web.url_prefix,
            clear_untrusted_proxy_headers=True, expose_tracebacks=False, ident=None, asyncore_use_poll=True,
            max_request_body_size=FRAMING * web.max_body_kb * 1024, max_request_header_size=64 * 1024,
            inbuf_overflow=BUFFER_BYTES, connection_limit=2 * MOST,  # never reached: there Waitress stops accepting
            channel_request_lookahead=1,  # lets a long-poll detect that its client has disconnected
        )  # fmt: skip
        try:
            adj = Adjustments(**options)
        except ValueError as exc:
            raise CannotListen(web, exc) from None
        adj.send_bytes = SEND_BYTES
        self._sockets: dict[int, Any] = {}
        self._dispatcher = ThreadedTaskDispatcher()
        # A name such as localhost can have several addresses. Each gets its own socket.
        self._listening: list[Listener] = []
        try:
            for where in adj.listen:
                self._listening.append(
                    Listener(self._counted, map=self._sockets, dispatcher=self._dispatcher, adj=adj, sockinfo=where)
                )
        except OSError as exc:
            wasyncore.close_all(self._sockets, ignore_all=True)
            raise CannotListen(web, exc) from None
        refuses = ambiguous(settings.auth.identity_headers)
        for each in self._listening:
            each.trusted_proxy, each.max_body_bytes = web.trusted_proxy, web.max_body_kb * 1024
            each.refuses = refuses
            # Around Waitress's own wrapper, which replaces the address of the proxy by the visitor's.
            each.application = ProxyIdentity(each.application, settings.auth, web.trusted_proxy)
        self._dispatcher.set_thread_count(adj.threads)
        self._thread = threading.Thread(target=self._run, name="Web", daemon=True)

    @property
    def port(self) -> int:
        """The actual port, also where the setting is `port = 0`."""
        return int(self._listening[0].effective_port)

    @property
    def is_looping(self) -> bool:
        """Whether the thread that waits for requests is alive. It checks the connections each second."""
        return all(time.monotonic() - each.checked_at < LOOPS_WITHIN_S for each in self._listening)

    def start(self) -> None:
        """Start to serve in a background thread."""
        self._thread.start()

    def _run(self) -> None:
        try:
            wasyncore.loop(timeout=1, use_poll=True, map=self._sockets)
        except OSError as exc:
            if not self._closing:
                logger.error("the web server ended: %s", exc)

    def _counted(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        here = threading.get_ident()
        self._inside.add(here)  # before the check of `_closing`, so that `stop` cannot miss this request
        try:
            if not self._closing:
                return self._app(environ, start_response)
        finally:
            self._inside.discard(here)
        start_response("503 Service Unavailable", [("Retry-After", "5"), ("Content-Type", "text/plain")])
        return [b"The service is stopping: try again in a few seconds.\n"]

    def stop(self, timeout_s: float) -> bool:
        """Stop, waiting at most `timeout_s` seconds. Return whether all running requests were completed."""
        self._closing = True
        deadline = time.monotonic() + timeout_s
        while True:
            done = not self._inside
            # Answers can still be in Waitress's buffers.
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
