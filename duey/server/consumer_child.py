"""The consumer process that the web process starts and supervises: the stock `huey_consumer consumer.huey`.

Its output is printed with a prefix, unless the log is JSON. When it dies, it is started again after a delay. When this
process dies, the consumer stops too (consumer.py asks the kernel for a signal). It is stopped with STOP, which never
counts as a second request, because the consumer may also have received a TERM. A TERM then ends its running jobs, and a
KILL the process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from duey.os_process import NOTIFY_VARIABLE

logger = logging.getLogger("duey.server")
HOME = Path(__file__).absolute().parents[2]  # the folder of the package
PARENT_VARIABLE = "CONSUMER_PARENT_PID"
STOP = signal.SIGUSR1  # duey.os_process.PARENT_STOPS
BACK_OFF_S = (0.5, 30.0)
STEADY_S = 30.0  # after running for this long, the restart delay starts from its minimum again


def environment() -> dict[str, str]:
    """Return the environment for a program of ours that runs in the folder of config.ini. In a checkout, where Duey is
    not installed, it adds the package to PYTHONPATH."""
    if not (HOME / "pyproject.toml").exists():
        return dict(os.environ)
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(HOME))))
    return {**os.environ, "PYTHONPATH": path}


class ConsumerChild:
    """One supervised consumer process."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder  # the folder of config.ini
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0
        self._next_start = 0.0

    def start(self) -> None:
        """Start the process. Call this in the main thread: the consumer stops when the thread that forked it ends."""
        environ = {**environment(), PARENT_VARIABLE: str(os.getpid())}
        environ.pop(NOTIFY_VARIABLE, None)  # systemd hears of the service from this process alone
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "huey.bin.huey_consumer", "duey.consumer.huey"], cwd=self._folder, env=environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C must reach only this process, which then stops the consumer
        )  # fmt: skip
        self._started_at = time.monotonic()
        threading.Thread(target=self._pass_on, args=(self._process,), daemon=True).start()

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(self._prefix + line.decode("utf-8", "replace"))
            sys.stderr.flush()

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while the process runs."""
        return self._process.poll() if self._process else 0

    def tend(self) -> None:
        """Start the process again if it has died and the delay is over."""
        code = self.exit_code
        now = time.monotonic()
        if code is None:
            return
        if self._next_start == 0.0:
            steady = now - self._started_at > STEADY_S
            self._failures = 0 if steady else self._failures + 1
            delay = min(BACK_OFF_S[1], BACK_OFF_S[0] * 2 ** max(0, self._failures - 1))
            self._next_start = now + delay
            logger.error("the consumer ended with exit code %s: it is restarted in %g s", code, delay)
        if now >= self._next_start:
            self._next_start = 0.0
            self.start()

    def stop(self, timeout_s: float, now: Callable[[], bool]) -> None:
        """Stop it. Running jobs have `timeout_s` seconds to end; once `now()` returns true, they are ended at once."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(STOP)
        deadline, cut_off = time.monotonic() + timeout_s, False
        while process.poll() is None:
            if now() and not cut_off:
                process.terminate()
                cut_off = True
            if time.monotonic() > deadline:
                process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
