"""A PostgreSQL server of the tests' own, from Debian's packages or any other on PATH: never the developer's.

It listens on a free port of 127.0.0.1, or of another address that is given, keeps its files in a temporary folder,
syncs nothing, and ends with the process that started it, also when that is killed. As root it runs as another user,
because it refuses root. `stop` and `start` again keep port and folder, so that a test can take the server away and
bring it back.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

import psycopg

from tests.support.ports import free_port
from tests.support.waiting import wait_until

MISSING = "expected a PostgreSQL server, found no initdb on PATH or below /usr/lib/postgresql; install postgresql."
NOBODY = 65534
USER, PASSWORD = "duey", "pass word"  # a URL has to quote it
SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
    "shared_buffers": "16MB", "max_connections": "200",
    "max_wal_senders": "0", "wal_level": "minimal", "log_min_messages": "warning",
    "dynamic_shared_memory_type": "mmap",  # in its folder: nothing stays where it is killed
}  # fmt: skip

# Loaded here, since little is safe between fork and exec.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def postgres_binaries() -> Path | None:
    """The folder of initdb and postgres: of the newest version that Debian's packages have installed, else on PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda each: float(each.parts[-3]))
    found = installed[-1] if installed else shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """`binaries`: the folder of initdb and postgres. `settings`: of the server, instead of those of a test."""

    def __init__(self, binaries: Path, settings: Mapping[str, str] = SETTINGS, address: str = "127.0.0.1") -> None:
        self.binaries, self.settings, self.address = binaries, settings, address
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # pytest's own folders are closed to other users
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        """The URL of a database. `password` is written as it stands in a URL."""
        return f"postgresql://{user}:{password.replace(' ', '%20')}@{self.address}:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Execute a statement as the superuser; return its rows."""
        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """Make an empty database that belongs to USER; return its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE template0 STRATEGY file_copy")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and end all its connections."""
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def start(self, **more: str) -> None:
        """Start, with more settings, and return when it answers. AssertionError with its log where it does not."""
        assert self._process is None, "the server is running already"
        settings = [f"-c{name}={value}" for name, value in {**self.settings, **more}.items()]
        with open(self.folder / "postgres.log", "ab") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "data", f"-p{self.port}",
                 f"-clisten_addresses={self.address}", f"-cunix_socket_directories={self.folder}", *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent, **_other_user(),
            )  # fmt: skip
        wait_until(self._answers, 20, f"PostgreSQL on port {self.port} answers")

    def stop(self) -> None:
        """End it at once, with all its connections."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)
        self._process = None

    def own(self, name: str, content: bytes) -> str:
        """Write a file that the server alone may read; return its path."""
        path = self.folder / name
        path.touch(0o600)
        path.write_bytes(content)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        return str(path)

    def __enter__(self) -> "PostgresServer":
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        password = self.own("password", PASSWORD.encode())
        subprocess.run(
            [self.binaries / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "md5",
             f"--pwfile={password}", "--no-sync", "--no-locale", "-E", "UTF8"],
            check=True, stdout=subprocess.DEVNULL, **_other_user(),
        )  # fmt: skip
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet md5\n")
        self.start()
        self.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self.folder / "postgres.log").read_text(errors="replace")
            self._process = None
            raise AssertionError(f"PostgreSQL ended at once: {log[-1000:]}")
        with contextlib.suppress(psycopg.OperationalError):
            # Another server may have taken the port in between: only ours has our folder.
            return self.sql("SHOW data_directory") == [(str(self.folder / "data"),)]
        return False


def _other_user() -> dict[str, object]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _end_with_parent() -> None:
    if _LIBC:
        _LIBC.prctl(1, signal.SIGQUIT)  # 1: PR_SET_PDEATHSIG; so it removes its shared memory
