"""One core for the threads of the web: they take turns anyway, and taking turns across cores costs more than the work.

Python runs one thread of a process at a time. With the threads of the web on several cores, nearly every turn that is
handed over wakes another core first: measured with 8 clients that defer, 20 such waits a request instead of 4, and half
as many requests. What holds no turn (SQLite's part, the disk's) is short here; consumers are processes of their own
and keep all cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def one_core() -> Iterator[None]:
    """Threads that are started meanwhile keep to one core of those that this process may use."""
    if not hasattr(os, "sched_setaffinity"):  # macOS
        yield
        return
    allowed = os.sched_getaffinity(0)  # 0 is the thread that calls
    with suppress(OSError):  # where that is forbidden, it is only slower
        os.sched_setaffinity(0, {sorted(allowed)[os.getpid() % len(allowed)]})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, allowed)
