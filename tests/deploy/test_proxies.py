"""nginx and Caddy with the files of deploy/proxy in front of a service: over TLS, for a host and below a path."""

from __future__ import annotations

import http.client
import json
import logging
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from duey.cli.checks import OK, reach
from tests.deploy.conftest import DEPLOY, served
from tests.support import free_port, needs, wait_until
from tests.support.nginx import Nginx, make_certificate
from tests.support.redis_server import die_with_parent

UNCHECKED = ssl._create_unverified_context()
NGINX, CADDY = DEPLOY / "proxy" / "nginx.conf", DEPLOY / "proxy" / "Caddyfile"


def here(file: Path, changes: dict[str, str]) -> str:
    """The text of the file with what is this machine's; each change must apply once."""
    text = file.read_text()
    for shown, ours in changes.items():
        assert text.count(shown) == 1, (file.name, shown)
        text = text.replace(shown, ours)
    return text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = needs(shutil.which("openssl"), "expected openssl on PATH, found none; install it.")
    return make_certificate(openssl, tmp_path_factory.mktemp("certificate"))


@contextmanager
def caddy_in_front(caddy: str, folder: Path, text: str, port: int) -> Iterator[None]:
    """A Caddy with these settings, which listens once the block begins."""
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    environ = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    words = ["--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with (folder / "caddy.err").open("wb") as err:
        process = subprocess.Popen([caddy, "run", *words], env=environ, stderr=err, preexec_fn=die_with_parent)
    try:
        wait_until(lambda: process.poll() is not None or answers(port), 30, "Caddy listens")
        assert process.poll() is None, (folder / "caddy.err").read_text()
        yield
    finally:
        process.terminate()
        process.wait(15)


def answers(port: int) -> bool:
    try:
        return asked(port, "/healthz")[0] > 0
    except OSError:
        return False


def asked(port: int, path: str, value: Any = None, plain: bool = False, **headers: str) -> tuple[int, Any, str]:
    """The status, the JSON and the Location of an answer."""
    connection: Any = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    if not plain:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=40, context=UNCHECKED)
    body = None if value is None else json.dumps(value)
    headers = {name.replace("_", "-"): text for name, text in headers.items()} | {"Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    is_json = "json" in answer.headers.get("Content-Type", "")
    return answer.status, json.loads(data) if is_json else data, answer.headers.get("Location", "")


@pytest.mark.parametrize("prefix", ["", "/duey"])
@pytest.mark.parametrize("proxy", ["nginx", "caddy"])
def test_the_service_works_behind_it(
    proxy: str, prefix: str, nginx: str, caddy: str, certificate: tuple[Path, Path], tmp_path: Path,
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    port, plain_port = free_port(), free_port()
    public = f"https://127.0.0.1:{port}"
    monkeypatch.setattr(ssl, "_create_default_https_context", lambda: UNCHECKED)
    with served(tmp_path, web_public_url=public, web_trusted_proxy="127.0.0.1", web_url_prefix=prefix) as service:
        service.huey.task(name="add")(lambda a, b: a + b)
        backend = f"127.0.0.1:{service.settings.web.port}"
        if proxy == "nginx":
            text = here(NGINX, {
                "listen 80;": f"listen 127.0.0.1:{plain_port};", "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
                "/etc/ssl/jobs.example.org.pem": str(certificate[0]), "http://127.0.0.1:8080": f"http://{backend}",
                "/etc/ssl/private/jobs.example.org.key": str(certificate[1]),
                "    location / {": f"location {prefix}/ {{",
            })  # fmt: skip
            running: Any = Nginx(nginx, tmp_path, text)
            words = [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
            checked = subprocess.run(words, capture_output=True, text=True)
            assert checked.returncode == 0 and "warn" not in checked.stderr, checked.stderr
        else:
            own = {"\njobs.example.org {": f"\nhttps://127.0.0.1:{port} {{\n\ttls {certificate[0]} {certificate[1]}"}
            below = {"\treverse_proxy 127.0.0.1:8080": f"\treverse_proxy {prefix and prefix + '/*'} {backend}"}
            running = caddy_in_front(caddy, tmp_path, here(CADDY, own | below), port)
        with running:
            bearer = f"Bearer {service.access.tokens.create('t', ('admin',))[1]}"
            status, job, _ = asked(port, f"{prefix}/api/jobs", {"task": "add", "args": [1, 2]}, Authorization=bearer)
            assert (status, job["url"]) == (202, f"{public}{prefix}/api/jobs/{job['id']}")
            # A long poll holds through the proxy, and its answer comes when the job has ended.
            since = time.monotonic()
            status, found, _ = asked(port, f"{prefix}/api/jobs/{job['id']}?wait=0.5", Authorization=bearer)
            assert (status, found["state"]) == (200, "queued") and time.monotonic() - since >= 0.5
            # What is too large is refused by Duey, in its words.
            large = {"task": "add", "args": ["x" * 2_000_000, 1]}
            status, found, _ = asked(port, f"{prefix}/api/jobs", large, Authorization=bearer)
            assert (status, found["status"]) == (413, 413)
            # The address is the visitor's, whatever the visitor says.
            with caplog.at_level(logging.WARNING, "duey.security"):
                asked(port, f"{prefix}/api/jobs", Authorization="Bearer no", X_Forwarded_For="203.0.113.9")
            assert "bad-token address=127.0.0.1" in caplog.text and "203.0.113.9" not in caplog.text
            (found,) = reach.proxy_headers(service.settings.web, public + prefix)
            assert found.level == OK, found
            # Pages lead on below the prefix, and to https.
            assert asked(port, f"{prefix}/monitor/")[2].startswith(f"{prefix}/monitor/login")
            if proxy == "nginx":
                assert asked(plain_port, "/x?y=1", plain=True)[::2] == (301, "https://127.0.0.1/x?y=1")


def test_caddy_accepts_the_file_as_it_is(caddy: str, tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    words = [caddy, "validate", "--config", str(CADDY), "--adapter", "caddyfile"]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Valid configuration" in done.stdout, done.stderr
