"""Cheap exhaustion, tried on the running service."""

from __future__ import annotations

import contextlib
import socket

from tests.acceptance.deployment import Deployment
from tests.acceptance.http_client import Client
from tests.acceptance.variants import sqlite_only

MB = 1024 * 1024


@sqlite_only
def test_sockets_that_hardly_send_keep_nobody_out(deployment: Deployment) -> None:
    deployment.app("--web")
    with contextlib.ExitStack() as stack:
        for _ in range(520):
            each = stack.enter_context(socket.create_connection(("127.0.0.1", deployment.port), 30))
            each.sendall(b"G")
        for path in ("/healthz", "/monitor/login"):
            assert Client(deployment.port).get(path).status == 200


@sqlite_only
def test_bodies_that_are_too_large_are_refused_unread(deployment: Deployment) -> None:
    """A stranger's is not waited for, so it fills neither memory nor the folder of temporary files."""
    deployment.app("--web")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", deployment.port), 30)) for _ in range(6)]
        for each in sockets:
            head = "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            each.sendall(f"{head}\r\nContent-Length: {64 * MB}\r\n\r\n".encode() + b"x" * 8 * MB)
        for each in sockets:
            assert each.recv(64).startswith(b"HTTP/1.1 401 ")
    answer = deployment.client().post("/api/jobs", {"task": "note", "args": ["x" * 2 * MB]})
    assert answer.status == 413 and answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close" and answer.body["type"] == "urn:duey:too-large"
