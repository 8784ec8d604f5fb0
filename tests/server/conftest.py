"""A server of our own over a small application."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from duey import config
from duey.server.http_server import Server

SOON_S = 30.0
GO = threading.Event()
Serve = Callable[..., Server]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answers with the path; `/wait` when the test says so, `/large` with a megabyte, `/body` with what it was sent."""
    path = environ["PATH_INFO"]
    if path == "/wait":
        assert GO.wait(SOON_S)
    body = {"/large": b"x" * 2**20, "/huge": b"x" * 2**25}.get(path) or path.encode()
    if path == "/body":
        body = f"{environ.get('CONTENT_LENGTH')} declared, {len(environ['wsgi.input'].read())} here".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts a server with these settings of [web]; all are stopped at the end."""
    GO.clear()
    started: list[Server] = []

    def start(**web: str) -> Server:
        environ = {f"DUEY_WEB_{key.upper()}": value for key, value in ({"port": "0"} | web).items()}
        (tmp_path / "config.ini").touch()
        server = Server(app, config.load(tmp_path / "config.ini", environ))
        server.start()
        started.append(server)
        return server

    yield start
    GO.set()
    for server in started:
        server.stop(1.0)


def ask(connection: socket.socket, *paths: str) -> None:
    connection.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths))


def answer(connection: socket.socket) -> bytes:
    """The next answer's body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = b""
    while len(body) < size:
        body += connection.recv(size - len(body))
    return body


def connect(server: Server, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, server.port), SOON_S)
