"""Wake-up pipes: how a sleeping process is woken.

A wake-up pipe is a FIFO with one reader. A worker process has one beside its lock file, in which it says
whether it sleeps. A process that waits for a job to end has one as long as it waits (`*.wait`). Waking writes one byte.
If the FIFO is full, its reader has been woken already.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import select
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ParamSpec

from duey import files as config_files
from duey.model.queues import serves

LOCK_FILE, PIPE_FILE = ".life", ".bell"  # endings of the two files of a worker: see duey.storage.presence
ASLEEP_AT = 16  # offset in the lock file
QUEUES_AT = 64 + 24 * 126  # offset of the queues that the worker serves, as text
LOCK_FILE_BYTES = 4096
logger = logging.getLogger("duey.storage")
P = ParamSpec("P")


def queues_text(queues: Sequence[str]) -> bytes:
    """The queues of a worker as stored in its lock file. Empty, which means any queue, if they do not fit."""
    text = ",".join(queues).encode()
    return text if len(text) <= LOCK_FILE_BYTES - QUEUES_AT else b""


class WakeupPipe:
    """The reading end of a wake-up pipe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Opened for writing too, so that there is no end of file when the last writer closes it.
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def wait(self, timeout_s: float) -> bool:
        """Sleep until woken. False if that did not happen within `timeout_s`."""
        if not self._poll.poll(max(0.0, timeout_s) * 1000):
            return False
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 65536)
        return True

    def notify(self) -> None:
        """Wake this process itself."""
        with contextlib.suppress(OSError):
            os.write(self._fd, b"x")

    def close(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        fd, self._fd = self._fd, -1  # a late write must not go to another file that gets the same number
        with contextlib.suppress(OSError):
            os.close(fd)


class Waiter:
    """A wake-up pipe that exists while a process waits for the end of a job."""

    def __init__(self, folder: Path) -> None:
        config_files.make_folder(folder)
        self.pipe = WakeupPipe(folder / f"{uuid.uuid4().hex}.wait")

    def __enter__(self) -> Waiter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.pipe.path.unlink(missing_ok=True)
        self.pipe.close()


def wait_until(folder: Path, ready: Callable[[], bool], timeout_s: float) -> bool:
    """Sleep until `ready()` is true. It is called after each wake-up, and every second. False after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    with Waiter(folder) as waiter:
        while not ready():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            waiter.pipe.wait(min(left, 1.0))
    return True


class Notifier:
    """The writing ends of all wake-up pipes in a folder, for one process.

    It never raises, because it is used after a commit whose answer must not be lost. A pipe that cannot be written is
    logged. One thread at a time: a descriptor that another thread closes could be reused for another file.
    """

    RESCAN_S = 1.0  # the time stamp of a folder is coarse: list it again even if it seems unchanged

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._complaint = ""
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] = (0, 0)
        self._scanned_at = 0.0
        self._workers: dict[str, tuple[int, mmap.mmap, tuple[str, ...]]] = {}
        self._waiters: dict[str, int] = {}

    def close(self) -> None:
        """Close the writing ends. If it is used again, it opens them again."""
        if self._pid != os.getpid():
            return
        with self._lock:
            for name in list(self._workers):
                self._forget(name)
            while self._waiters:
                os.close(self._waiters.popitem()[1])
            self._stamp, self._scanned_at = (0, 0), 0.0

    def notify_for(self, queues: Iterable[str]) -> None:
        """Wake one worker for each job. `queues`: the queue of each job."""
        if isinstance(queues, tuple) and len(queues) == 1:
            self.notify_workers(1, queues)
            return
        counts: dict[str, int] = {}
        for queue in queues:  # creating a Counter takes longer than the loop
            counts[queue] = counts.get(queue, 0) + 1
        for queue, count in counts.items():
            self.notify_workers(count, (queue,))

    def notify_workers(self, count: int, queues: Sequence[str] = ()) -> None:
        """Wake up to `count` sleeping workers that serve one of these queues.

        Without queues it is not known which queue has jobs. Then all are woken, unless they all serve the same queues.
        """
        self._safely(self._notify_workers, count, queues)

    def notify_waiters(self) -> None:
        """Wake every process that waits for the end of a job."""
        self._safely(self._notify_waiters)

    def _notify_waiters(self) -> None:
        self._refresh()
        for name, fd in list(self._waiters.items()):
            if not self._notify(fd):
                os.close(self._waiters.pop(name))

    def _safely(self, notify: Callable[P, None], *args: P.args, **named: P.kwargs) -> None:
        if self._pid != os.getpid():  # forked: a thread of the parent may have held the lock at that moment
            self._fresh()
        with self._lock:
            try:
                notify(*args, **named)
            except OSError as exc:
                if str(exc) != self._complaint:
                    logger.warning("sleeping workers could not be woken; they check for jobs within 2 s: %s", exc)
                self._complaint = str(exc)

    def _notify_workers(self, count: int, queues: Sequence[str]) -> None:
        self._refresh()
        if not self._workers:
            return
        if count > 0 and not queues and len({served for _, _, served in self._workers.values()}) > 1:
            count = len(self._workers)
        for name, (fd, presence, served) in list(self._workers.items()):
            if count <= 0:
                break
            if presence[ASLEEP_AT] and (not queues or not served or any(serves(served, queue) for queue in queues)):
                presence[ASLEEP_AT] = 0  # so that the next wake-up goes to another worker
                if self._notify(fd):
                    count -= 1
                else:
                    self._forget(name)

    def _notify(self, fd: int) -> bool:
        try:
            os.write(fd, b"x")
        except BlockingIOError:
            return True  # the FIFO is full: the reader has been woken already
        except OSError:
            return False
        return True

    def _forget(self, name: str) -> None:
        fd, presence, _ = self._workers.pop(name)
        os.close(fd)
        presence.close()

    def _refresh(self) -> None:
        if not self._scanned_at and not os.access(self._folder, os.F_OK):
            return  # no worker ever ran: an exception at each enqueue would cost more than the rest of this
        try:
            stat = os.stat(self._folder)
        except FileNotFoundError:
            return
        now = time.monotonic()
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp == self._stamp and now - self._scanned_at < self.RESCAN_S:
            return
        self._stamp, self._scanned_at = stamp, now
        names = os.listdir(self._folder)
        for name in names:
            if name.endswith(PIPE_FILE) and name not in self._workers:
                self._open_worker(name)
            elif name.endswith(".wait") and name not in self._waiters:
                with contextlib.suppress(OSError):
                    self._waiters[name] = self._open(name)
        for name in [n for n in self._workers if n not in names]:
            self._forget(name)
        for name in [n for n in self._waiters if n not in names]:
            os.close(self._waiters.pop(name))

    def _open(self, name: str) -> int:
        return os.open(os.path.join(self._folder, name), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def _open_worker(self, name: str) -> None:
        try:
            fd = self._open(name)
        except OSError as exc:  # ENXIO: no process reads it
            if exc.errno not in (errno.ENXIO, errno.ENOENT):
                raise
            return
        try:
            with open(os.path.join(self._folder, name.removesuffix(PIPE_FILE) + LOCK_FILE), "r+b") as lock_file:
                mapped = mmap.mmap(lock_file.fileno(), LOCK_FILE_BYTES)
            text = mapped[QUEUES_AT:].rstrip(b"\0").decode()
            self._workers[name] = (fd, mapped, tuple(text.split(",")) if text else ())
        except (OSError, ValueError):
            os.close(fd)
