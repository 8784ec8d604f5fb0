"""Peers for the recipes: an HTTP server and a certificate authority that only these tests trust."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.recipes.http_peer import HttpPeer

if TYPE_CHECKING:  # it takes half a second, and each process of a run collects this folder
    import trustme


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """On a disk: what stands below /dev, where other tests have their files, is refused by the tasks."""
    with tempfile.TemporaryDirectory(prefix="duey-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def peer() -> Iterator[HttpPeer]:
    with HttpPeer() as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A new certificate authority, which ssl.create_default_context trusts during this test."""
    import trustme

    ca = trustme.CA()
    file = tmp_path / "authority.pem"
    ca.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return ca


@pytest.fixture
def stranger() -> trustme.CA:
    """A certificate authority that nobody trusts."""
    import trustme

    return trustme.CA()


def server_context(ca: trustme.CA, name: str) -> ssl.SSLContext:
    """What a server needs to show a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """names(host=[addresses of the first look-up], ...) makes a resolver of them; each is asked for once.

    Returns the list of the names that were looked up. An unknown name is one that does not exist.
    """

    def install(**hosts: list[list[str]]) -> list[str]:
        asked: list[str] = []
        left = {name.replace("_", "."): list(answers) for name, answers in hosts.items()}

        def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            asked.append(host)
            if not left.get(host):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            found = []
            for address in left[host].pop(0):
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                sockaddr = (address, port, 0, 0) if ":" in address else (address, port)
                found.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", sockaddr))
            return found

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return install
