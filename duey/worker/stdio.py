"""Keeps a job from failing because nobody reads the output of its worker process any more.

The reader (the web process that passes it on, a pager, a terminal) may have died. From the first write that fails for
that reason on, the stream is redirected to /dev/null.
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
    """Standard output or error without a buffer. A buffer has a lock, for which a process that a task forks while
    another thread prints would wait for ever."""

    def write(self, data: Any, /) -> int:
        rest = memoryview(data)
        try:
            while rest:
                count: int | None = super().write(rest)
                if count is None:  # another process has made it non-blocking, and it is full
                    select.select([], [self], [])
                else:
                    rest = rest[count:]
        except OSError as exc:
            if exc.errno not in (errno.EPIPE, errno.EIO):
                raise
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())  # also for programs that a task starts
        return len(data)


def install() -> None:
    """Replace `sys.stdout` and `sys.stderr` of this process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        with contextlib.suppress(OSError, AttributeError):  # closed, or not a file (in tests)
            stream.flush()
            outlet: Any = Outlet(stream.fileno(), "w", closefd=False)
            setattr(sys, name, io.TextIOWrapper(outlet, stream.encoding, stream.errors, line_buffering=True))
