"""Servers on hosts of a test: Redis, Sentinel, nginx and PostgreSQL, each with its files in a folder of the test's."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.hosts.network import Host
from tests.deploy.conftest import DEPLOY
from tests.support.nginx import AROUND
from tests.support.postgres_server import PostgresServer
from tests.support.waiting import wait_until

REDIS_PORT, SENTINEL_PORT, HTTP_PORT, WEB_PORT = 6379, 26379, 80, 8080
MASTER = "duey"  # the name by which the Sentinels know the primary


class Daemon:
    """Listens at its port once it is started. It dies with the test, and with its host."""

    def __init__(self, host: Host, command: Sequence[str], folder: Path, port: int) -> None:
        self.host, self.port = host, port
        self._command, self._log = list(command), folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self.host.become
            )
        wait_until(self._listens, 30, f"{self._command[0]} on {self.host.name} listens")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self.signal(signal.SIGKILL)
        self._process.wait(30)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"it ended at once: {self._log.read_text(errors='replace')[-1000:]}"
        return self.host.reaches(self.host, self.port)


class Database:
    """PostgreSQL on a host, with one empty database, until the block ends."""

    def __init__(self, host: Host, binaries: Path) -> None:
        self._host, self._server = host, PostgresServer(binaries, address=host.address)

    def __enter__(self) -> Database:
        with self._host.inside():
            self._server.__enter__()
            self.url = self._server.url(self._server.new_database())
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.__exit__(*exc)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stopped while the block runs."""
        self._server.stop()
        yield
        with self._host.inside():
            self._server.start()


def redis_on(host: Host, binary: str, folder: Path, primary: Host | None = None) -> Daemon:
    """One that writes each change to its log, and syncs that once a second; a replica if `primary` is given."""
    folder.mkdir()
    lines = [f"port {REDIS_PORT}", "bind 0.0.0.0", "protected-mode no", f"dir {folder}", 'save ""', "appendonly yes"]
    lines += ["appendfsync everysec", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1"]
    lines += [f"replicaof {primary.address} {REDIS_PORT}"] if primary else []
    (folder / "redis.conf").write_text("\n".join(lines))
    return Daemon(host, [binary, str(folder / "redis.conf")], folder, REDIS_PORT)


def sentinel_on(host: Host, binary: str, folder: Path, primary: Host) -> Daemon:
    """One of three that watch the primary."""
    folder.mkdir()
    lines = [f"port {SENTINEL_PORT}", "bind 0.0.0.0", "protected-mode no", f"dir {folder}"]
    lines += [f"sentinel monitor {MASTER} {primary.address} {REDIS_PORT} 2"]
    lines += [f"sentinel down-after-milliseconds {MASTER} 5000", f"sentinel failover-timeout {MASTER} 8000"]
    (folder / "sentinel.conf").write_text("\n".join(lines))
    return Daemon(host, [binary, str(folder / "sentinel.conf"), "--sentinel"], folder, SENTINEL_PORT)


def nginx_on(host: Host, binary: str, folder: Path, webs: Sequence[Host]) -> Daemon:
    """That of deploy/proxy for two webs, without TLS."""
    folder.mkdir()
    text = (DEPLOY / "proxy" / "two-webs.nginx.conf").read_text()
    for each, web in zip(("10.0.0.11:8080", "10.0.0.12:8080"), webs, strict=True):
        text = text.replace(each, f"{web.address}:{WEB_PORT}")
    upstream, location = text.partition("\nserver {")[0], text.rpartition("    location / ")[2]
    server = f"{upstream}\nserver {{\n    listen {HTTP_PORT};\n    location / {location}"
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, server=server))
    command = [binary, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    return Daemon(host, command, folder, HTTP_PORT)
