"""Single sign-on with the files of deploy/proxy: a real nginx or Caddy asks a stand-in of the identity provider.

The stand-in answers as Authelia, Authentik and oauth2-proxy do: 200 with headers that name the user, or a refusal with
the address of its log-in.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import DEPLOY, served
from tests.deploy.test_proxies import NGINX, UNCHECKED, caddy_in_front, certificate, here
from tests.support import free_port
from tests.support.nginx import Nginx

assert certificate  # the fixture
PROXY = DEPLOY / "proxy"
GUIDE = DEPLOY.parent / "docs" / "single-sign-on.md"
LOGIN = "https://login.example.org/"
SECRET = "c2VjcmV0+/="


class Provider(BaseHTTPRequestHandler):
    """The cookie `who=NAME:GROUPS` is a session of NAME."""

    def do_GET(self) -> None:
        name, _, groups = (re.findall("who=([^;]*)", self.headers.get("Cookie", "")) or [""])[0].partition(":")
        caddy = "goauthentik" in self.path
        self.send_response(200 if name else 302 if caddy else 401)
        for header, value in (
            ("Remote-User", name), ("X-Auth-Request-Email", name), ("X-Authentik-Username", name),
            ("Remote-Groups", groups), ("X-Auth-Request-Groups", groups), ("X-Authentik-Groups", groups),
            ("Location", "" if name else LOGIN), ("Content-Length", "0"),
        ):  # fmt: skip
            if value:
                self.send_header(header, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def provider() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def ask(port: int, path: str, *headers: tuple[str, str], tls: bool = True, source: str = "") -> tuple[int, Any, str]:
    """The status, the JSON (or text) and the Location of an answer; headers are sent as they are, twice if given so."""
    where = (source, 0) if source else None
    connection: Any = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=where)
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=UNCHECKED)
    connection.putrequest("GET", path)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    is_json = "json" in answer.headers.get("Content-Type", "")
    return answer.status, json.loads(text) if is_json else text, answer.headers.get("Location", "")


def put_through(text: str, service: int, provider: int) -> str:
    return re.sub(r"127\.0\.0\.1:(9091|4180|9000)", f"127.0.0.1:{provider}", text).replace(
        "127.0.0.1:8080", f"127.0.0.1:{service}"
    )


@contextmanager
def in_front(
    proxy: str, binaries: dict[str, str], folder: Path, files: tuple[Path, Path], service: int, provider: int
) -> Iterator[int]:
    """The port of the proxy that runs with the file."""
    port, text = free_port(), put_through((PROXY / proxy).read_text(), service, provider)
    start = "@people" if proxy.endswith("Caddyfile") else "location"
    (line,) = re.findall(rf"`({start} [^`]*shared[^`]*)`", GUIDE.read_text())  # links that share a job are open
    (before,) = re.findall(rf"^\s*({start} .*healthz.*)$", text, re.MULTILINE)
    text = text.replace(before, line)
    if proxy.endswith("Caddyfile"):
        text = text.replace("\njobs.example.org {", f"\nhttps://127.0.0.1:{port} {{\n\ttls {files[0]} {files[1]}")
        with caddy_in_front(binaries["caddy"], folder, text, port):
            yield port
        return
    server = here(NGINX, {
        "listen 80;": f"listen 127.0.0.1:{free_port()};", "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/jobs.example.org.pem": str(files[0]), "/etc/ssl/private/jobs.example.org.key": str(files[1]),
    })  # fmt: skip
    # As docs/single-sign-on.md says.
    (folder / "secret.conf").write_text(f'proxy_set_header X-Duey-Proxy-Secret "{SECRET}";')
    text = text.replace("    proxy_set_header", f"    include {folder}/secret.conf;\n    proxy_set_header", 1)
    (folder / "snippet.conf").write_text(text)
    server, replaced = re.subn(r"    location / \{.*?\n    \}", f"include {folder}/snippet.conf;", server, flags=re.S)
    assert replaced == 1
    with Nginx(binaries["nginx"], folder, server):
        yield port


HEADERS = {
    "authelia.nginx.conf": ("Remote-User", "Remote-Groups"),
    "oauth2-proxy.nginx.conf": ("X-Auth-Request-Email", "X-Auth-Request-Groups"),
    "authentik.Caddyfile": ("X-Authentik-Username", "X-Authentik-Groups"),
}


@pytest.mark.parametrize("proxy", HEADERS)
def test_the_proxy_logs_people_in_and_nobody_else_does(
    proxy: str, nginx: str, caddy: str, certificate: tuple[Path, Path], provider: int, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    user, groups = HEADERS[proxy]
    settings = {
        "web_public_url": "https://127.0.0.1", "web_trusted_proxy": "127.0.0.1", "auth_remote_user_header": user,
        "auth_remote_groups_header": groups, "auth_admin_groups": "ops", "auth_viewer_groups": "staff",
        "auth_logout_url": "/logout",
    }  # fmt: skip
    if proxy.startswith("authelia"):
        settings["auth_proxy_secret"] = SECRET
    binaries = {"nginx": nginx, "caddy": caddy}
    with (
        served(tmp_path, **settings) as service,
        in_front(proxy, binaries, tmp_path, certificate, service.settings.web.port, provider) as port,
    ):

        def who(*headers: tuple[str, str]) -> tuple[str, str]:
            status, found, _ = ask(port, "/monitor/account.json", *headers)
            assert status == 200, found
            return found["account"]["name"], found["account"]["role"]

        eva, spoof = ("Cookie", "who=eva@example.org:staff"), (user, "root")
        assert who(eva) == ("eva@example.org", "viewer")
        assert who(("Cookie", "who=eva@example.org:staff,ops")) == ("eva@example.org", "admin")
        status, text, _ = ask(port, "/monitor/account", eva)
        assert status == 200 and 'href="/logout"' in text and "Present password" not in text
        assert ask(port, "/monitor/", ("Cookie", "who=eva@example.org:others"))[0] == 403
        assert ask(port, "/monitor/", ("Cookie", "who=ana:ops"))[0] == 403, "a local account has this name"
        # Who is not logged in is led to the log-in, whatever is sent.
        for headers in ((), (spoof,), (spoof, spoof), ((user.lower(), "root"), (groups, "ops"))):
            for path in ("/monitor/", "/monitor", "//monitor/", "/monitor/account.json", "/x/../monitor/"):
                assert ask(port, path, *headers)[0] == 302, (path, headers)
        # Who is logged in stays who it is, or is refused.
        for headers in (
            (spoof,), (spoof, (groups, "ops")), ((groups, "ops"),), ((groups, "ops"), (groups, "ops")),
            ((user.replace("-", "_"), "root"),), ((groups.replace("-", "_"), "ops"),), ((user.upper(), "root"),),
        ):  # fmt: skip
            for asked in ((eva, *headers), (*headers, eva)):
                status, found, _ = ask(port, "/monitor/account.json", *asked)
                names = (found["account"]["name"], found["account"]["role"]) if status == 200 else ()
                assert status == 400 or names == ("eva@example.org", "viewer"), (headers, found)
        # A link that shares a job is open, nothing beside it is, and no name counts there.
        for path, expected in (
            ("/monitor/shared/x.json", 404), ("/monitor/shared/../account.json", 302), ("/monitor/shared", 302),
            ("/monitor/shared/%2e%2e/account.json", 302), ("/monitor/static/../account.json", 302),
            ("/monitor/shared/x/../../account.json", 302),
        ):  # fmt: skip
            for headers in ((), (spoof, (groups, "ops"))):
                assert ask(port, path, *headers)[0] == expected, (path, headers)
        # The API has tokens; a name opens nothing there.
        assert ask(port, "/api/jobs", eva, spoof)[0] == 401
        token = service.access.tokens.create("t", ("read",))[1]
        assert ask(port, "/api/jobs", spoof, ("Authorization", f"Bearer {token}"))[0] == 200
        assert {each.name for each in service.access.accounts.list()} == {"ana", "eva@example.org"}
        # Beside the proxy: from another address the header is ignored, and that is noted once.
        direct = service.settings.web.port
        caplog.clear()
        for _ in range(3):
            found = ask(direct, "/monitor/", spoof, tls=False, source="127.0.0.2")
            assert found[0] == 303 and "/login" in found[2]
        assert caplog.text.count("identity-ignored address=127.0.0.2") == 1
        if "auth_proxy_secret" in settings:
            assert ask(direct, "/monitor/", spoof, (groups, "ops"), tls=False)[0] == 303, "not from the proxy itself"
        # From the proxy's address, what is ambiguous is refused, also at the API.
        for headers in ((spoof, spoof), ((user.replace("-", "_"), "root"),), ((groups, "a"), (groups.lower(), "ops"))):
            for path in ("/monitor/", "/api/jobs"):
                assert ask(direct, path, *headers, tls=False)[0] == 400, headers


def test_a_break_glass_account_logs_in_beside_the_proxy_unless_that_is_closed(tmp_path: Path) -> None:
    more = {"web_trusted_proxy": "127.0.0.2", "auth_remote_user_header": "Remote-User"}
    with served(tmp_path, **more) as service:
        browser = service.browser()
        assert browser.get("/monitor/").status == 200, "ana, with her password"
    (tmp_path / "b").mkdir()
    with served(tmp_path / "b", **more, auth_local_login="no") as service:
        status, text, _ = ask(service.settings.web.port, "/monitor/login", tls=False)
        assert status == 403 and "eople log in at the proxy" in text
        status, found, _ = ask(
            service.settings.web.port, "/monitor/account.json", ("Remote-User", "eva"),
            tls=False, source="127.0.0.2",
        )  # fmt: skip
        assert (status, found["account"]["role"]) == (200, "viewer")


def test_a_secret_tells_the_proxy_from_other_programs_at_its_address(tmp_path: Path) -> None:
    more = {"web_trusted_proxy": "127.0.0.1", "auth_remote_user_header": "Remote-User", "auth_proxy_secret": "s3cret é"}
    user, name = ("Remote-User", "eva"), "X-Duey-Proxy-Secret"
    right = "s3cret é".encode().decode("latin-1")
    with served(tmp_path, **more) as service:
        for headers, expected in (
            ((user, (name, right)), 200), ((user,), 401), ((user, (name, "")), 401), ((user, (name, "wrong")), 401),
            (((name, right),), 401), ((user, (name, right), (name, right)), 400),
        ):  # fmt: skip
            found = ask(service.settings.web.port, "/monitor/account.json", *headers, tls=False)
            assert found[0] == expected, headers
