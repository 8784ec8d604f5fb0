"""The lease: only one recorder among all processes writes the history.

It is a kernel lock (flock) on the file `NAME.recorder` beside the history. The kernel releases it when the process
ends, and another recorder takes it at its next try. No clock is involved. A forked child does not inherit it.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from duey import files as config_files


class Lease:
    """A lock that one process holds at a time. Call `take` and `release` in one thread only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        _leases.add(self)

    @property
    def is_held(self) -> bool:
        """Return whether this process holds the lock, and the locked file is still the one at the path."""
        if self._file is None:
            return False
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._file), os.stat(self.path)):
                return True
        self.release()  # the file was replaced, so another process may hold a lock on the new one
        return False

    def take(self) -> bool:
        """Take the lease. Return False if another process holds it. Raises OSError if the file cannot be opened."""
        if self.is_held:
            return True
        config_files.make_folder(self.path.parent)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException as error:
            os.close(file)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._file = file
        return self.is_held

    def release(self) -> None:
        """Release the lease, if it is held."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        self.release()


# A forked child closes the file. Otherwise it would keep the lock after its parent has died.
_leases: weakref.WeakSet[Lease] = weakref.WeakSet()


def _release_all() -> None:
    for lease in list(_leases):
        lease.release()


os.register_at_fork(after_in_child=_release_all)
