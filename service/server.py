"""The HTTP server: Waitress with safe settings, and an end that drops no request.

Ending: `stop` refuses new requests with 503 and Retry-After, waits for those in flight, then closes the sockets.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import waitress.server

from config import Settings

logger = logging.getLogger("dewey.web")
# Waitress warns of each request that waits for a thread: with more clients than threads that is a line a request.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)
MB = 1024 * 1024
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class AddressInUse(Exception):
    """Another program listens where we should."""


class Server:
    """One listening socket, served by threads."""

    def __init__(self, app: Wsgi, settings: Settings) -> None:
        self._app = app
        self._closing = False
        self._inside = 0
        self._count = threading.Condition()
        web = settings.web
        options: dict[str, Any] = {}
        if web.trusted_proxy:
            options = {
                "trusted_proxy": web.trusted_proxy, "trusted_proxy_count": 1,
                "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"},
            }  # fmt: skip
        try:
            self._server = waitress.server.create_server(
                self._counted, host=web.host, port=web.port, threads=web.threads, url_prefix=web.url_prefix,
                clear_untrusted_proxy_headers=True, expose_tracebacks=False, ident=None,
                # Waitress answers its own 413 in plain text: the app checks sizes and says it as a problem.
                max_request_body_size=max(64 * MB, 4 * web.max_body_kb * 1024), max_request_header_size=64 * 1024,
                connection_limit=512, channel_timeout=60, cleanup_interval=10,
                channel_request_lookahead=1,  # so that a long-poll notices that its client is gone
                **options,
            )  # fmt: skip
        except OSError as exc:
            raise AddressInUse(
                f"port {web.port} on {web.host} cannot be listened on ({exc.strerror}): is Dewey running already? "
                "Stop it, or set another [web] port"
            ) from None
        self._thread = threading.Thread(target=self._run, name="Web", daemon=True)

    @property
    def port(self) -> int:
        """The port that is really listened on (for `port = 0`)."""
        return int(self._server.effective_port)

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._server.run()
        except OSError as exc:
            if not self._closing:
                logger.error("the web server ended: %s", exc)

    def _counted(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._closing:
            start_response("503 Service Unavailable", [("Retry-After", "5"), ("Content-Type", "text/plain")])
            return [b"The service is stopping: try again in a few seconds.\n"]
        with self._count:
            self._inside += 1
        try:
            return self._app(environ, start_response)
        finally:
            with self._count:
                self._inside -= 1
                self._count.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """End; True when every request in flight was answered."""
        self._closing = True
        deadline = time.monotonic() + timeout_s
        with self._count:
            done = self._count.wait_for(lambda: self._inside == 0, max(0.0, timeout_s))
        # What the threads have answered may still stand in Waitress's buffers.
        while time.monotonic() < deadline and self._unsent():
            time.sleep(0.01)
        self._server.close()
        self._server.task_dispatcher.shutdown(timeout=1)
        return done

    def _unsent(self) -> bool:
        channels = list(getattr(self._server, "active_channels", {}).values())
        return any(channel.total_outbufs_len or channel.requests for channel in channels)
