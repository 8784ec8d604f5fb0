"""The lease: one recorder at a time writes the history, whatever number of processes would.

It is a lock that the kernel holds for an open file (`NAME.recorder` beside the history) and drops when its process
ends, however it ends: so another takes over at its next try, and no clock is involved. A forked child does not keep it.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from duey import files as config_files


class Lease:
    """For one holder at a time among all processes. `take` and `let_go` are for one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        _leases.add(self)

    @property
    def is_held(self) -> bool:
        """Whether it is held here, and its file is still the one that others would lock."""
        if self._file is None:
            return False
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._file), os.stat(self.path)):
                return True
        self.let_go()  # the file was taken away: who takes the lease now would lock another
        return False

    def take(self) -> bool:
        """Take it if nobody holds it; False if somebody does. Raises OSError where the file cannot be."""
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

    def let_go(self) -> None:
        """End it; nothing happens where it is not held."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        self.let_go()


# A child that kept the open file would keep the lock after its parent's death.
_leases: weakref.WeakSet[Lease] = weakref.WeakSet()


def _let_all_go() -> None:
    for lease in list(_leases):
        lease.let_go()


os.register_at_fork(after_in_child=_let_all_go)
