"""Process control: stop signals, functions that run at the start of a worker, and children that a task forks.

A signal handler can run at any point of the main thread, even while that thread holds a lock. So handlers take no
locks: they only record the request and wake the waiting threads through a pipe.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

SAME_REQUEST_S = 2.0
PR_SET_PDEATHSIG = 1
# The web process sends this signal to its consumer; the kernel sends it when the web process dies, once for each of its
# threads. The consumer stops as after a first TERM. This signal never counts as a second request.
PARENT_STOPS = signal.SIGUSR1
NOTIFY_VARIABLE = "NOTIFY_SOCKET"
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
R = TypeVar("R")
logger = logging.getLogger("duey.consumer")
_handlers: list[Callable[[int, Any], None]] = []


class StopFlag(threading.Event):
    """An Event that a signal handler can set: it uses no lock. Any number of threads can wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False
        self._r, self._w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self) -> None:
        self._is_set = True
        with suppress(BlockingIOError):  # a full pipe wakes the waiting threads too
            os.write(self._w, b"x")

    def clear(self) -> None:
        self._is_set = False
        with suppress(BlockingIOError):
            os.read(self._r, 65536)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            poll = select.poll()  # one per call: threads must not share it
            poll.register(self._r, select.POLLIN)
            poll.poll(None if timeout is None else max(0.0, timeout) * 1000)
        return self._is_set

    def set_by(self, *signums: int, note: Callable[[int], None] | None = None) -> None:
        """Set the flag on these signals, and call `note` with the signal number. Call this in the main thread."""

        def handler(signum: int, frame: Any) -> None:
            if note is not None:
                note(signum)
            self.set()

        _handlers.append(handler)
        for signum in signums:
            signal.signal(signum, handler)


class Requests:
    """What signals have requested from this process: TERM and INT to stop, HUP to reload.

    One stop can send the same process several signals. So a repeated signal within SAME_REQUEST_S seconds counts as the
    same request; a later one sets `now`, which means to stop at once. A HUP because the terminal was closed asks to
    stop: no one would see what a reload prints.
    """

    def __init__(self) -> None:
        self.reload = self.now = False
        self.stop_at: float | None = None  # monotonic time of the first request
        self._terminals = [fd for fd in (0, 1, 2) if os.isatty(fd)]

    def note(self, signum: int) -> None:
        """Record a signal. Safe to call in a signal handler."""
        if signum == signal.SIGHUP and not self._hung_up():
            self.reload = True
        elif self.stop_at is None:
            self.stop_at = time.monotonic()
        elif signum != PARENT_STOPS and time.monotonic() - self.stop_at > SAME_REQUEST_S:
            self.now = True

    def _hung_up(self) -> bool:
        return bool(self._terminals) and not any(map(os.isatty, self._terminals))


def notify_manager(state: str) -> None:
    """Send READY=1, WATCHDOG=1 or STOPPING=1 to the service manager (sd_notify(3)), if one has asked for it."""
    address = os.environ.get(NOTIFY_VARIABLE, "")
    if address[:1] in ("/", "@"):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a manager that does not read must not hold the service up
            sender.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def drained(fd: int) -> list[int]:
    """Read the signal numbers from the wake-up pipe."""
    try:
        return list(os.read(fd, 4096))
    except BlockingIOError:
        return []


def die_with_parent(parent: int, signum: int = signal.SIGKILL) -> None:
    """Have the kernel send `signum` to this process when its parent dies. Exits if the parent is already dead."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def apart(function: Callable[[], object]) -> int:
    """Call a function in a child process, because it may run an author's code. Returns the number of the process, for
    which the caller waits. For processes without other threads, because it forks."""
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    pid = os.fork()
    if not pid:
        try:
            signal.set_wakeup_fd(-1)
            for signum in (*STOPPING, PARENT_STOPS, signal.SIGCHLD):
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            die_with_parent(parent)
            function()
        except BaseException:
            with suppress(BaseException):
                logger.exception("%r failed", function)
        finally:
            os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def execute_anew() -> NoReturn:
    """Replace this process by a new start of its program. A HUP in the meantime stays pending until `hear_hup`."""
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    os.execl(sys.executable, sys.executable, *sys.orig_argv[1:])


def hear_hup() -> None:
    """Unblock HUP after `execute_anew`. Install its handler first: a pending HUP arrives at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])


# workers: functions that run at their start, and children that a task forks

_at_start: list[Callable[[], Any]] = []
_detach: Callable[[], None] | None = None  # set in a worker process
_is_fork = False
_forking = threading.local()  # mask: the signals that were blocked in the forking thread


def on_worker_start(function: Callable[[], R]) -> Callable[[], R]:
    """Decorator: run the function once in each worker process, before the process takes its first job.

    Workers are forked after the task modules are imported: create threads, pools, event loops and connections here. A
    worker whose function raises is started again, after pauses of up to 5 s.
    """
    _at_start.append(function)
    return function


def run_at_start() -> bool:
    """Run the `on_worker_start` functions. If one raises, log the error, skip the others and return False."""
    for function in _at_start:
        try:
            call(function)
        except BaseException:
            logger.exception("%s.%s, an on_worker_start, failed", function.__module__, function.__qualname__)
            return False
    return True


def is_worker(detach: Callable[[], None]) -> None:
    """Mark this process as a worker: a child that a task forks gets default signal handlers and calls `detach`."""
    global _detach
    _detach = detach


def _before_fork() -> None:
    if _detach is not None:  # until the child has its own handlers, a signal to it must wait
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def _after_fork_in_parent() -> None:
    if _detach is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _after_fork() -> None:
    global _detach, _is_fork
    if _detach is None:
        return
    detach, _detach, _is_fork = _detach, None, True
    for signum in STOPPING:
        if signal.getsignal(signum) in _handlers:  # leave the task's own handlers alone
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    detach()
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)


def call(function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    """Call a body, hook or receiver and return its value. If it forks, the child exits here instead of returning."""
    try:
        value = function(*args, **kwargs)
    except BaseException as exc:
        if _is_fork:
            leave_fork(exc)
        raise
    if _is_fork:
        leave_fork()
    return value


def leave_fork(error: BaseException | None = None) -> None:
    """Exit if a task forked this process: the copy must not continue as a worker."""
    if not _is_fork:
        return
    code = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else bool(error.code)
    elif error is not None:
        with suppress(Exception):
            traceback.print_exception(error)
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


class OwnDescriptor:
    """An open descriptor that can be asked whether it is still the same file: a job may close all of its process."""

    def __init__(self, fd: int) -> None:
        self.fd, self._stat = fd, os.fstat(fd)

    def is_open(self) -> bool:
        """Whether nobody has closed it."""
        try:
            return os.path.samestat(os.fstat(self.fd), self._stat)
        except OSError:
            return False

    def close(self) -> None:
        """Close it, unless its number is that of another file now."""
        if self.is_open():
            os.close(self.fd)
