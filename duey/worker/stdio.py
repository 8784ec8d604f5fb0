"""What a worker process prints, once nobody reads it any more.

A job must not fail because whoever read the service's output has died: the web process that passed it on, a pager, a
terminal. From the first write that finds no reader on, the stream leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import Any


class Outlet(io.FileIO):
    """Standard output or error, as a file without a buffer: a buffer has a lock, and a process that a task forks while
    another thread prints would wait for that lock for ever."""

    def write(self, data: Any, /) -> int:
        rest = memoryview(data)
        try:
            while rest:
                count: int | None = super().write(rest)
                if count is None:  # whoever shares it has made it non-blocking, and it is full
                    select.select([], [self], [])
                else:
                    rest = rest[count:]
        except OSError as exc:
            if exc.errno not in (errno.EPIPE, errno.EIO):
                raise
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())  # for the programs that a task starts, too
        return len(data)


def install() -> None:
    """Let `sys.stdout` and `sys.stderr` of this process lead through an outlet."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with contextlib.suppress(OSError, AttributeError):  # it is no file: closed, or a test's
            stream.flush()
            outlet: Any = Outlet(stream.fileno(), "w", closefd=False)
            setattr(sys, name, io.TextIOWrapper(outlet, stream.encoding, stream.errors, line_buffering=True))
