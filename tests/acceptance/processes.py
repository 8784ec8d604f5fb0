"""Real processes of Duey, started, signalled and killed by the tests, and all that descend from them.

Every process has a session of its own, and a mark in its environment for what has another one, which its children
inherit: so an orphan is found whatever its parent is now, and nothing but what a test has started is ever signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.acceptance import fork_server
from tests.acceptance.fork_server import MARK
from tests.support import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


class Process:
    """A program of Duey. `out` and `err` are files: what it says is there also after a kill. `become`: called in the
    new process before it becomes the program."""

    def __init__(
        self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, *, forked: bool = False,
        become: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.mark = uuid.uuid4().hex
        self.folder = folder
        self._before = frozenset(os.listdir("/proc"))
        environ, out, err = {**environ, MARK: self.mark}, folder / f"{self.mark}.out", folder / f"{self.mark}.err"
        self.popen: subprocess.Popen[bytes] | fork_server.Fork
        if forked:
            self.popen = fork_server.start(arguments, environ, out, err)
        else:
            with out.open("wb") as to_out, err.open("wb") as to_err:
                self.popen = subprocess.Popen(
                    [sys.executable, *arguments], cwd=ROOT, env=environ,
                    stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_err, start_new_session=True, preexec_fn=become,
                )  # fmt: skip
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def out(self) -> str:
        return (self.folder / f"{self.mark}.out").read_text(errors="replace")

    @property
    def err(self) -> str:
        return (self.folder / f"{self.mark}.err").read_text(errors="replace")

    def pids(self) -> list[int]:
        """Every living process that descends from this one, and itself; zombies are dead."""
        return marked(self.mark, self.pid, self._before)

    def children(self) -> list[int]:
        return [pid for pid in self.pids() if pid != self.pid]

    def signal(self, signum: int) -> None:
        self.popen.send_signal(signum)

    def kill(self) -> None:
        """kill -9 of this process alone."""
        self.popen.kill()
        self.popen.wait(30)

    def kill_tree(self) -> None:
        """kill -9 of this process and of all that descend from it, at once."""
        for pid in self.pids():
            kill(pid)
        self.popen.kill()  # it carries its mark only once it has become the program
        self.popen.wait(30)
        wait_until(lambda: not self.pids(), 30, "all killed processes are gone")

    def wait(self, timeout_s: float) -> int:
        """The exit code. AssertionError with what it said where it does not end in time."""
        try:
            return self.popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {timeout_s:g} s; it said: {self.err[-2000:]}") from None

    def says(self, text: str, timeout_s: float = 60) -> None:
        """Wait until it has said this on either stream."""

        def said() -> bool:
            found = text in self.out or text in self.err
            assert found or self.popen.poll() is None, f"it ended without saying {text!r}: {self.out}{self.err}"
            return found

        wait_until(said, timeout_s, f"the process says {text!r}")


def kill(pid: int) -> None:
    """kill -9; somebody else may have been faster."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def stat_of(pid: int) -> tuple[str, int, int]:
    """State, parent and session of a process; of one that is gone, that of a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            state, parent, _, session = stat.read().rpartition(")")[2].split()[:4]
            return state, int(parent), int(session)
    except OSError:
        return "Z", 0, 0


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    return stat_of(pid)[0] != "Z"


def marked(mark: str, session: int, others: frozenset[str] = frozenset()) -> list[int]:
    """The living processes of a session, and those that carry a mark. `others` cannot: to look at each costs more than
    what is waited for."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and name not in others:
            state, _, its_session = stat_of(int(name))
            if state != "Z" and its_session == session:
                found.append(int(name))
                continue
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as environ_:
                if wanted in environ_.read():  # empty for a zombie
                    found.append(int(name))
    return sorted(found)
