"""A real HTTP server for the tests: it records each request and answers as the test says."""

import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

Behaviour = Callable[[BaseHTTPRequestHandler], None]


class Received(NamedTuple):
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, body: bytes = b"", **headers: str) -> Behaviour:
    """A plain answer; `headers` have _ for -."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def raw(*pieces: bytes) -> Behaviour:
    """These bytes, whatever they mean, then the end of the connection."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        for piece in pieces:
            handler.wfile.write(piece)

    return behave


class HttpPeer:
    """Use with `with`. `.behave` may be replaced at any time; `.closing` is set when the test is over."""

    def __init__(self, behave: Behaviour | None = None, context: ssl.SSLContext | None = None) -> None:
        self.behave = behave or answer(200)
        self.received: list[Received] = []
        self.closing = threading.Event()
        self.scheme = "https" if context else "http"
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                peer.received.append(Received(self.command, self.path, headers, body))
                peer.behave(self)
                self.close_connection = True

            do_GET = do_POST

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # that the client hangs up is what some tests want

            def get_request(self) -> tuple[socket.socket, object]:
                sock, address = super().get_request()
                return (context.wrap_socket(sock, server_side=True) if context else sock), address

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def url(self, host: str = "127.0.0.1", path: str = "/hook") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def __enter__(self) -> "HttpPeer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
