"""Ids of jobs: UUIDs of version 7 (RFC 9562), which are ordered by the time of their creation.

The first 60 bits are the time, to a quarter of a microsecond, so that new ids are added at the end of an index. Random
ids would each touch another page of it. The other 60 bits are random, so that no two processes or hosts create the same
id. Random bytes are read in pages, because a system call costs more than everything else. Each thread has a page of its
own, and so has a forked child.
"""

from __future__ import annotations

import os
import threading
import time

DIGITS = 15  # random hexadecimal digits in an id
PAGE_BYTES = 3840  # 512 ids


class _Page(threading.local):
    ends: list[str] = []  # the random ends of the next ids


_page = _Page()


def _forked() -> None:
    global _page
    _page = _Page()


os.register_at_fork(after_in_child=_forked)


def new_id() -> str:
    """A new, unique id."""
    ends = _page.ends
    if not ends:
        digits = os.urandom(PAGE_BYTES).hex()
        ends = _page.ends = [
            f"8{digits[at : at + 3]}-{digits[at + 3 : at + DIGITS]}" for at in range(0, len(digits), DIGITS)
        ]
    quarters = f"{(time.time_ns() << 12) // 1_000_000:015x}"
    return f"{quarters[:8]}-{quarters[8:12]}-7{quarters[12:]}-{ends.pop()}"
