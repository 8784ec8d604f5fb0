"""By which names the service may be called: as a table, and through the real server with and without a proxy."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from duey import config
from duey.server.http_policy import HttpPolicy
from tests.server.conftest import Serve, connect

NONE: dict[str, str] = {}
LISTED = {"allow_hosts": "jobs.lan, *.Example.org", "public_url": "https://Duey.example.net:8443", "host": "box.local"}


def policy(folder: Path, **web: str) -> HttpPolicy:
    (folder / "config.ini").touch()
    environ = {f"DUEY_WEB_{name.upper()}": value for name, value in web.items()}
    return HttpPolicy(lambda environ, start: [], config.load(folder / "config.ini", environ).web)


def test_which_names_are_known(tmp_path: Path) -> None:
    for host, plain, listed in (
        ("127.0.0.1:8080", True, True),
        ("127.0.0.1", True, True),
        ("192.168.1.7:8080", True, True),  # a container's published port, a probe by IP
        ("0.0.0.0:8080", True, True),
        ("[::1]:8080", True, True),
        ("[2001:db8::1]", True, True),
        ("localhost:8080", True, True),
        ("LOCALHOST.", True, True),
        ("duey.localhost:8080", True, True),
        ("jobs.lan", False, True),
        ("JOBS.lan.:80", False, True),
        ("a.example.org", False, True),
        ("a.b.example.org:1", False, True),
        ("duey.example.net", False, True),
        ("box.local", False, True),
        ("example.org", False, False),
        ("evilexample.org", False, False),
        ("jobs.lan.evil.test", False, False),
        ("evil.test:8080", False, False),
        ("localhost.evil.test", False, False),
        ("127.0.0.1.evil.test", False, False),
        ("evillocalhost", False, False),
        ("localhost:80:80", False, False),
        ("localhost, evil.test", False, False),
        ("evil.test@localhost", False, False),
        ("[::1", False, False),
        ("[evil.test]", False, False),
        ("2130706433", False, False),
        ("0x7f.1", False, False),
        ("l\xf6calhost", False, False),
        ("localhost\x00", False, False),
        (".", False, False),
        ("x" * 70_000, False, False),
    ):
        assert policy(tmp_path).allows(host) is plain, host[:80]
        assert policy(tmp_path, **LISTED).allows(host) is listed, host[:80]


def status(serve: Serve, headers: str, **web: str) -> str:
    server = serve(**web)
    server._app = HttpPolicy(server._app, server_settings(web))
    with connect(server) as connection:
        connection.sendall(f"GET /x HTTP/1.0\r\n{headers}\r\n".encode())
        return connection.recv(64).decode().split()[1]


def server_settings(web: dict[str, str]) -> Any:
    return config.load(environ={f"DUEY_WEB_{name.upper()}": value for name, value in web.items()}).web


def test_a_forwarded_name_counts_from_the_trusted_proxy_alone(serve: Serve) -> None:
    trusted = {"trusted_proxy": "127.0.0.1", "public_url": "https://jobs.example.org"}
    stranger = {"trusted_proxy": "192.0.2.1", "public_url": "https://jobs.example.org"}
    for web, host, forwarded, expected in (
        (NONE, "localhost", "", "200"),
        (NONE, "", "", "200"),  # no browser
        (NONE, "evil.test", "", "421"),
        (NONE, "a." * 30_000 + "localhost", "", "421"),  # would cost seconds
        (NONE, "evil.test", "localhost", "421"),
        (NONE, "localhost", "evil.test", "200"),
        (stranger, "evil.test", "jobs.example.org", "421"),
        (trusted, "evil.test", "", "421"),
        (trusted, "duey-backend", "jobs.example.org", "200"),
        (trusted, "127.0.0.1:8080", "jobs.example.org", "200"),
        (trusted, "127.0.0.1:8080", "evil.test", "421"),
        (trusted, "127.0.0.1:8080", "jobs.example.org, evil.test", "421"),  # the last one is what the proxy has added
    ):
        lines = (f"Host: {host}\r\n" if host else "") + (f"X-Forwarded-Host: {forwarded}\r\n" if forwarded else "")
        assert status(serve, lines, **web) == expected, (web, host, forwarded)


def test_a_refused_name_is_in_the_security_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "duey.security")
    environ = {
        "REQUEST_METHOD": "HEAD", "PATH_INFO": "/monitor/", "REMOTE_ADDR": "192.0.2.7", "wsgi.url_scheme": "http",
        "HTTP_HOST": "evil.test who=admin\r\n",
    }  # fmt: skip
    assert list(policy(tmp_path)(environ, lambda *_: None)) == []
    line = caplog.records[-1].getMessage()
    assert line == "host-refused address=192.0.2.7 who=- host=evil.test_who_admin_ path=/monitor/"
