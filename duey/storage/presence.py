"""Presence of a worker process on this host: a lock file that shows that it is alive and what it runs.

Each worker process n owns two files in a folder beside the queue. They are named `n.life` (the lock file) and `n.bell`
(the wake-up pipe) because consumers of an older version, which may serve the same queue, look for these names: to them
a worker without them is dead, and they would run its jobs again.

    lock     Locked (flock) while the process lives: the kernel releases the lock at any death. The file is mapped into
             memory and has one slot for each thread: the token of its job, the phase, when the body began and when it
             must have ended. A job is in its slot from when it leaves the prefetcher until its outcome is handed back,
             so that any death in between can be charged to it. Writing a few bytes there takes no system call, and they
             survive kill -9. The end of the file names the queues that the worker serves.
    pipe     A FIFO, on which a sleeping worker waits for a byte. Each process has its own, because the first process
             that reads a shared one would drain it.

A forked child closes its copies of both at once: a lock (flock) lasts as long as any copy of the descriptor is open.
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from duey.os_process import OwnDescriptor
from duey.storage.wakeup import ASLEEP_AT, LOCK_FILE, LOCK_FILE_BYTES, PIPE_FILE, QUEUES_AT, WakeupPipe, queues_text

HEADER = struct.Struct("<8sqB7xq")  # magic, pid, asleep, parent
# token (0: idle), phase, started_at (0: the body has not begun), deadline (0: none)
SLOT = struct.Struct("<qBdd")
TOKEN = struct.Struct("<q")
MAGIC = b"duey\x00\x00\x00\x02"
SLOTS_AT = 64
MAX_SLOTS = 120
SIZE = LOCK_FILE_BYTES
assert SLOTS_AT + SLOT.size * MAX_SLOTS <= QUEUES_AT

TAKEN, IN_BODY, BODY_ENDED = 1, 2, 3  # phases: before the body (decoding, hooks), the body, after it (hooks, receivers)


class Slot(NamedTuple):
    """The job that one thread of a worker handles."""

    token: int
    phase: int
    started_at: float
    deadline: float


class _Here(threading.local):
    at = 0  # the offset of the slot of this thread


def dump_file(folder: Path, n: int) -> Path:
    """The path of the file to which worker n writes where it stands (duey.execution.body.stacks)."""
    return folder / f"{n}.dump"


def lock_file(folder: Path, n: int) -> Path:
    """The path of the lock file of worker n."""
    return folder / f"{n}{LOCK_FILE}"


_ours: weakref.WeakSet[Presence] = weakref.WeakSet()


class Presence:
    """The lock file and wake-up pipe of this process, as worker `n`."""

    def __init__(self, folder: Path, n: int, queues: Sequence[str] = ()) -> None:
        self.n = n
        self.path = lock_file(folder, n)
        self.pipe = self.make_pipe(folder / f"{n}{PIPE_FILE}")
        # Locked before it gets its name: other processes never see an unlocked file of a living worker.
        unnamed = folder / f"{n}.{os.getpid()}.unborn"
        self._fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            # Written, not only extended: on a full disk the first access to a hole in a mapped file raises SIGBUS.
            os.write(self._fd, bytes(SIZE))
        except OSError:
            unnamed.unlink()
            os.close(self._fd)
            raise
        self._own = OwnDescriptor(self._fd)
        self._map = mmap.mmap(self._fd, SIZE)
        HEADER.pack_into(self._map, 0, MAGIC, os.getpid(), 0, os.getppid())
        text = queues_text(queues)
        self._map[QUEUES_AT : QUEUES_AT + len(text)] = text
        os.rename(unnamed, self.path)
        self._here = _Here()
        self._slots = itertools.count()
        _ours.add(self)

    def make_pipe(self, path: Path) -> WakeupPipe:
        """The wake-up pipe."""
        return WakeupPipe(path)

    def _at(self) -> int:
        """The offset of this thread's slot, which it does not have yet."""
        self._here.at = SLOTS_AT + SLOT.size * min(next(self._slots), MAX_SLOTS - 1)
        return self._here.at

    def take(self, token: int) -> None:
        """This thread handles a job from now on. A death is charged to it."""
        SLOT.pack_into(self._map, self._here.at or self._at(), token, TAKEN, 0.0, 0.0)

    def begin(self, token: int, started_at: float, deadline: float = 0.0) -> None:
        """The body of this thread's job starts. `deadline`: 0 for none; by CLOCK_MONOTONIC,
        which nobody sets, and which stands still while the machine sleeps."""
        SLOT.pack_into(self._map, self._here.at or self._at(), token, IN_BODY, started_at, deadline)

    def body_ended(self, token: int, started_at: float) -> None:
        """The body has ended. What follows it has no deadline."""
        SLOT.pack_into(self._map, self._here.at or self._at(), token, BODY_ENDED, started_at, 0.0)

    def finish(self) -> None:
        """This thread handles no job any more."""
        TOKEN.pack_into(self._map, self._here.at or self._at(), 0)

    def sync(self) -> None:
        """Write the slots to the disk, so that they survive a power cut."""
        self._map.flush()

    def asleep(self, yes: bool) -> None:
        """Say whether the process sleeps and can be woken."""
        self._map[ASLEEP_AT] = yes

    def holds_its_files(self) -> bool:
        """Whether the descriptor is still open. A body that closes all descriptors closes the lock file, and with it
        the lock, and every connection."""
        return self._own.is_open()

    def beat(self) -> None:
        """Renew the heartbeat: the supervisor works, and not only the process."""
        os.utime(self._fd)

    def close(self) -> None:
        """Remove the files and release the lock."""
        _ours.discard(self)
        self.pipe.close()
        for path in (self.path, self.pipe.path, dump_file(self.path.parent, self.n)):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        self.abandon()

    def abandon(self) -> None:
        """Close this process's copies without changing anything for others. For a forked child."""
        self._map.close()  # it holds a duplicate of the descriptor, and with it the lock
        fd, self._fd = self._fd, -1
        if fd >= 0:  # only once: the number may be reused for another file
            os.close(fd)


def _after_fork() -> None:
    for presence in list(_ours):
        presence.abandon()
        presence.pipe.abandon()
    _ours.clear()


os.register_at_fork(after_in_child=_after_fork)


# what other processes see of a worker


def slots_of(folder: Path, n: int) -> list[Slot]:
    """What the threads of the worker handle, or handled when it died. Empty if there is no valid file."""
    try:
        data = lock_file(folder, n).read_bytes()
    except OSError:
        return []
    if len(data) < SIZE or data[:8] != MAGIC:
        return []
    return read_slots(data)


def read_slots(data: bytes) -> list[Slot]:
    """The used slots in the bytes of a lock file."""
    used = len(data[SLOTS_AT : SLOTS_AT + SLOT.size * MAX_SLOTS].rstrip(b"\0"))  # mostly few are in use
    slots = (Slot(*SLOT.unpack_from(data, at)) for at in range(SLOTS_AT, SLOTS_AT + used, SLOT.size))
    return [slot for slot in slots if slot.token]


def touch(folder: Path, workers: Sequence[int]) -> None:
    """Renew the heartbeat of these workers on this host."""
    for n in workers:
        with contextlib.suppress(FileNotFoundError):
            os.utime(lock_file(folder, n))


def heartbeat_of(folder: Path, n: int) -> float | None:
    """The last heartbeat of the worker in epoch seconds, None if it has no file."""
    try:
        return os.stat(lock_file(folder, n)).st_mtime
    except OSError:
        return None


class DeadPresence:
    """The lock file of a dead worker, locked by the one rescuer that handles it."""

    def __init__(self, folder: Path, n: int) -> None:
        self._path = lock_file(folder, n)
        self._files = (self._path, folder / f"{n}{PIPE_FILE}", dump_file(folder, n))
        self._fd: int | None = None

    def seize(self) -> bool:
        """Lock the file. True if the worker is dead and no other rescuer handles it."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True  # it is dead; of several rescuers the one that deletes the claims wins
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def reap(self) -> None:
        """Remove the files, after the claims have been returned."""
        for path in self._files:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        self.leave()

    def leave(self) -> None:
        """Release the lock without removing the files."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class NoPresence(DeadPresence):
    """In place of the lock file of a worker that may run on another host."""

    def __init__(self) -> None:
        super().__init__(Path(), 0)

    def reap(self) -> None:
        """There is no file to remove."""


@contextlib.contextmanager
def seized(folder: Path, n: int) -> Iterator[DeadPresence | None]:
    """The lock file of a dead worker while this process holds it; None if the worker is alive or another rescuer
    handles it."""
    dead = DeadPresence(folder, n)
    try:
        yield dead if dead.seize() else None
    finally:
        dead.leave()


def numbers(folder: Path) -> list[int]:
    """The numbers of the workers that have a lock file in the folder, in order."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    found = (name.removesuffix(LOCK_FILE) for name in names if name.endswith(LOCK_FILE))
    return sorted(int(n) for n in found if n.isdigit())


def is_alive(folder: Path, n: int) -> bool:
    """Whether the worker's process is alive, that is, holds its lock."""
    try:
        fd = os.open(lock_file(folder, n), os.O_RDWR | os.O_CLOEXEC)
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
    """Resident memory of a process on this host in bytes, None if it cannot be read."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096
    except (OSError, IndexError, ValueError):
        return None
