"""A forked child, to see what it inherits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def idle_child() -> Iterator[None]:
    """A child that does nothing until the block is over."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    try:
        os.close(reader)
        yield
    finally:
        os.close(writer)
        os.waitpid(child, 0)
