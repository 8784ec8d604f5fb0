"""Starts programs of Duey as forks of a process that has imported what they import, which is most of a start.

The program itself runs from its first line on, with streams, environment, session and signals of its own. What is about
the start (test_start, `duey run` of a wheel, a reload, a consumer that app.py starts again) is started by the system.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parents[2]
MARK = "DUEY_TEST_MARK"
NO_MARK = f"{MARK}={'0' * 32}".encode()
IMPORTED = (
    "asyncio", "huey.consumer", "huey.consumer_options", "duey.execution.huey", "duey.worker.consumer_options",
    "duey.worker.supervisor", "duey.control.service", "duey.server.main", "duey.cli.main",
    "duey.monitor.web.site", "duey.monitor.history", "duey.monitor.history.recording.recorder", "duey.api",
    "duey.server.http_server", "playhouse.migrate",
)  # fmt: skip


class Fork:
    """What tests use of a subprocess.Popen, of a child of the server."""

    def __init__(self, server: Server, pid: int) -> None:
        self._server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        until = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.005)
        return self.returncode  # type: ignore[return-value]

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:  # not waited for yet: the number is no other's
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Server:
    """One for each PYTHONPATH, since that decides what can be imported. The processes of a run of tests share it: who
    needs it first starts it, and waits for its end at the end: it comes when none of them is connected."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, path: str) -> None:
        address = f"duey-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}-{zlib.crc32(path.encode())}"
        name, _, none = NO_MARK.decode().partition("=")
        environ = {**os.environ, "PYTHONPATH": path, name: none}
        self._connection, started = socket.socket(socket.AF_UNIX), False
        until = time.monotonic() + 60
        while self._connection.connect_ex(f"\0{address}"):
            assert time.monotonic() < until, "no process that starts programs can be reached"
            if not started:
                self.started.append(subprocess.Popen([sys.executable, __file__, address], cwd=ROOT, env=environ))
                started = True
            time.sleep(0.02)
        self._answers = self._connection.makefile("rb")
        atexit.register(self._connection.shutdown, socket.SHUT_RDWR)

    def ask(self, request: Any) -> Any:
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(self._answers.readline())


@atexit.register
def wait_for_servers() -> None:
    """Called after all connections were closed, because it was registered before they were made."""
    for each in Server.started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            each.wait(60)


server = cache(Server)


def start(arguments: Sequence[str], environ: Mapping[str, str], out: Path, err: Path) -> Fork:
    found = server(environ["PYTHONPATH"])
    return Fork(found, found.ask([list(arguments), dict(environ), str(out), str(err)]))


def serve(listener: socket.socket) -> tuple[list[str], dict[str, str], str, str]:
    """Answer requests: for a pid its exit code or None, else the pid of a new child, where the request is returned."""
    buffers: dict[socket.socket, bytes] = {}
    while True:
        for ready in select.select([listener, *buffers], [], [])[0]:
            if ready is listener:
                buffers[listener.accept()[0]] = b""
                continue
            buffers[ready] += (read := ready.recv(65536))
            if not read:
                del buffers[ready]
                if not buffers:
                    os._exit(0)
            elif read.endswith(b"\n"):  # who asks waits for the answer
                request, buffers[ready] = json.loads(buffers[ready]), b""
                if isinstance(request, int):
                    pid, status = os.waitpid(request, os.WNOHANG)
                    answer = os.waitstatus_to_exitcode(status) if pid else None
                else:
                    begun, tell = os.pipe()
                    answer = os.fork()
                    if answer == 0:
                        for each in (listener, *buffers):
                            each.close()
                        return become(request, tell)
                    os.close(tell)
                    os.read(begun, 1)
                    os.close(begun)
                ready.sendall(json.dumps(answer).encode() + b"\n")


def become(request: Any, tell: int) -> Any:
    """Let this process be as if the system had started it for the request."""
    _, environ, out, err = request
    os.setsid()
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None
    carry(environ[MARK])
    for fd, name in enumerate((os.devnull, out, err)):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(opened, fd)
        os.close(opened)
    os.closerange(tell, tell + 1)
    return request


def carry(mark: str) -> None:
    """Let /proc/PID/environ, which shows what this process was started with, show the mark of the program."""
    begin, end = map(int, Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[47:49])
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(begin)
        at = memory.read(end - begin).index(NO_MARK)
        memory.seek(begin + at)
        memory.write(f"{MARK}={mark}".encode())


def fork_consumer() -> list[str] | None:
    """Fork the first consumer of app.py before there are threads, connections or settings. It waits for its start.

    Returns None in app.py, and in the consumer the arguments that app.py starts it with.
    """
    from duey.server import consumer_child

    ours, theirs = socket.socketpair()
    if pid := os.fork():
        theirs.close()

        def start(arguments: list[str], cwd: Path, env: dict[str, str], **_: Any) -> subprocess.Popen[bytes]:
            consumer_child.subprocess = subprocess  # type: ignore[attr-defined]
            out, to_out = os.pipe()
            socket.send_fds(ours, [json.dumps([arguments[2:], str(cwd), env]).encode()], [to_out])
            os.close(to_out)
            ours.close()
            child: Any = subprocess.Popen.__new__(subprocess.Popen)  # of a process that runs already
            child.args, child.pid, child.returncode, child._child_created = arguments, pid, None, True
            child.stdout, child._waitpid_lock = os.fdopen(out, "rb"), threading.Lock()
            child.stdin = child.stderr = None
            return child

        consumer_child.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": start})  # type: ignore[attr-defined]
        return None
    ours.close()
    request, fds, _, _ = socket.recv_fds(theirs, 1 << 20, 1)
    theirs.close()
    if not request:
        os._exit(0)  # app.py has ended without a consumer
    arguments, cwd, environ = json.loads(request)
    os.setsid()
    os.chdir(cwd)
    sys.path.insert(0, cwd)
    os.environ.clear()
    os.environ.update(environ)
    for fd in (1, 2):
        os.dup2(fds[0], fd)
    os.close(fds[0])
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    return arguments


def run(arguments: Sequence[str]) -> None:
    """As `python ARGUMENTS`."""
    sys.orig_argv = [sys.executable, *arguments]
    if arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        exec(arguments[1], {"__name__": "__main__"})
    elif arguments[0] == "-m":
        sys.argv = list(arguments[1:])
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    at = socket.socket(socket.AF_UNIX)
    try:
        at.bind(f"\0{sys.argv[1]}")
    except OSError:
        sys.exit()  # another process was faster
    at.listen(64)
    for each in IMPORTED:
        importlib.import_module(each)
    gc.collect()
    gc.freeze()  # else a collection in a child copies all this memory
    program = serve(at)[0]
    if program == ["app.py"]:
        program = fork_consumer() or program
    run(program)
