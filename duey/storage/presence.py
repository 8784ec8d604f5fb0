"""How a worker process on this host shows that it lives, what it runs, and how it is woken.

Each worker process n owns two files in a folder beside the queue:

    n.life   locked (flock) for as long as the process lives: the kernel drops the lock at any death. Mapped into
             memory, it also holds one slot a thread: the token of the job that the thread handles, how far it is with
             it, since when its body runs, and until when it may. A job stands there from when it leaves the prefetcher
             until its outcome is handed back, so a death in whatever code runs in between is known to be in it. A
             few bytes written there cost no system call and survive kill -9. At its end stand the queues that the
             worker serves.
    n.bell   a FIFO. A worker that sleeps waits for a byte in it. One bell per process, because a FIFO that is shared
             by all is drained by one.

Both belong to one process: a forked child closes its copies at once, since flock follows the open file.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import mmap
import os
import socket
import struct
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from duey.storage.wakeup import ASLEEP_AT, LIFE_BYTES, QUEUES_AT, Bell, queues_text

HEADER = struct.Struct("<8sqB")  # magic, pid, asleep
SLOT = struct.Struct("<qBdd")  # token (0: idle), phase, started_at (0: the body has not begun), deadline (0: none)
TOKEN = struct.Struct("<q")
MAGIC = b"duey\x00\x00\x00\x02"
SLOTS_AT = 64
MAX_SLOTS = 120
SIZE = LIFE_BYTES
assert SLOTS_AT + SLOT.size * MAX_SLOTS <= QUEUES_AT

TAKEN, IN_BODY, BODY_ENDED = 1, 2, 3  # phases: before the body (decoding, hooks), the body, after it (hooks, receivers)


class Slot(NamedTuple):
    """The job that one thread of a worker handles."""

    token: int
    phase: int
    started_at: float
    deadline: float


_ours: weakref.WeakSet[Life] = weakref.WeakSet()


class Life:
    """This process's proof of life as worker `n`."""

    def __init__(self, folder: Path, n: int, queues: Sequence[str] = ()) -> None:
        self.n = n
        self.path = folder / f"{n}.life"
        self.bell = Bell(folder / f"{n}.bell")
        # Locked before it has its name: nobody ever sees a life file that nobody lives by.
        unnamed = folder / f"{n}.{os.getpid()}.unborn"
        self._fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            # Written, not only lengthened: the first touch of a hole on a full disk ends a process by SIGBUS.
            os.write(self._fd, bytes(SIZE))
        except OSError:
            unnamed.unlink()
            os.close(self._fd)
            raise
        self._stat = os.fstat(self._fd)
        self._map = mmap.mmap(self._fd, SIZE)
        HEADER.pack_into(self._map, 0, MAGIC, os.getpid(), 0)
        text = queues_text(queues)
        self._map[QUEUES_AT : QUEUES_AT + len(text)] = text
        os.rename(unnamed, self.path)
        self._here = threading.local()
        self._slots = itertools.count()
        _ours.add(self)

    def _at(self) -> int:
        """Where this thread's slot begins."""
        try:
            at: int = self._here.at
        except AttributeError:
            at = self._here.at = SLOTS_AT + SLOT.size * min(next(self._slots), MAX_SLOTS - 1)
        return at

    def take(self, token: int) -> None:
        """This thread handles a job from now on: a death is charged to it."""
        SLOT.pack_into(self._map, self._at(), token, TAKEN, 0.0, 0.0)

    def begin(self, token: int, started_at: float, deadline: float = 0.0) -> None:
        """The body of its job starts."""
        SLOT.pack_into(self._map, self._at(), token, IN_BODY, started_at, deadline)

    def body_ended(self, token: int, started_at: float) -> None:
        """The body has ended; what follows it runs without a deadline."""
        SLOT.pack_into(self._map, self._at(), token, BODY_ENDED, started_at, 0.0)

    def finish(self) -> None:
        """This thread handles no job."""
        TOKEN.pack_into(self._map, self._at(), 0)

    def sync(self) -> None:
        """Let the marks survive a power cut."""
        self._map.flush()

    def asleep(self, yes: bool) -> None:
        """Whether a ring would be heard at once."""
        self._map[ASLEEP_AT] = yes

    def holds_its_files(self) -> bool:
        """Whether its descriptor is still its own: a body that closed all there are took the lock with them, and every
        connection."""
        try:
            return os.path.samestat(os.fstat(self._fd), self._stat)
        except OSError:
            return False

    def beat(self) -> None:
        """Show that the process is not only alive but looked after."""
        os.utime(self._fd)

    def close(self) -> None:
        """The end: the files go, the lock with them."""
        _ours.discard(self)
        self.bell.close()
        for path in (self.path, self.bell.path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        self.abandon()

    def abandon(self) -> None:
        """In a forked child: let go without touching what belongs to the parent."""
        self._map.close()  # it holds a duplicate of the file, and with it the lock
        fd, self._fd = self._fd, -1
        if fd >= 0:  # once: the number may soon be another file's
            os.close(fd)


def _after_fork() -> None:
    for life in list(_ours):
        life.abandon()
        life.bell.abandon()
    _ours.clear()


os.register_at_fork(after_in_child=_after_fork)


# what others can see of a worker


def slots_of(folder: Path, n: int) -> list[Slot]:
    """What the worker handles, or handled when it died."""
    try:
        data = (folder / f"{n}.life").read_bytes()
    except OSError:
        return []
    if len(data) < SIZE or data[:8] != MAGIC:
        return []
    return read_slots(data)


def read_slots(data: bytes) -> list[Slot]:
    """The jobs that are handled, by the bytes of a life file."""
    used = len(data[SLOTS_AT : SLOTS_AT + SLOT.size * MAX_SLOTS].rstrip(b"\0"))  # mostly few are in use
    slots = (Slot(*SLOT.unpack_from(data, at)) for at in range(SLOTS_AT, SLOTS_AT + used, SLOT.size))
    return [slot for slot in slots if slot.token]


def heartbeat_of(folder: Path, n: int) -> float | None:
    """When the worker was last looked after (epoch s)."""
    try:
        return os.stat(folder / f"{n}.life").st_mtime
    except OSError:
        return None


class Corpse:
    """A dead worker's file, locked by the one rescuer that won it."""

    def __init__(self, folder: Path, n: int) -> None:
        self._path = folder / f"{n}.life"
        self._bell = folder / f"{n}.bell"
        self._fd: int | None = None

    def seize(self) -> bool:
        """True when the worker is dead and nobody else buries it."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True  # no file, no life; the claims' rows decide who wins
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def bury(self) -> None:
        """Remove the files, once the claims have been returned."""
        for path in (self._path, self._bell):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        self.leave()

    def leave(self) -> None:
        """Let go without burying."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def numbers(folder: Path) -> list[int]:
    """The worker numbers that have a file here."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(int(name[:-5]) for name in names if name.endswith(".life") and name[:-5].isdigit())


def is_alive(folder: Path, n: int) -> bool:
    """Whether the worker's process lives (its lock is held)."""
    try:
        fd = os.open(folder / f"{n}.life", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


HOST = socket.gethostname()


def rss_of(pid: int) -> int | None:
    """Resident memory of a process on this host."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096
    except (OSError, IndexError, ValueError):
        return None
