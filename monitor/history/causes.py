"""Why an attempt failed, and which failures are one group.

The rule: attempts are of one group when the exception's type is the same and it came along the same own functions.
A frame counts as its file's name and function (`tasks.py:send`), without folder and line number, so that neither a
deployment to another folder nor an edit above it makes a new group; each frame counts once, so that the depth of a
recursion does not. Library frames (below site-packages, dist-packages, lib/pythonX.Y, or without a file) are left
out. Only the last traceback of a chain counts: that of the exception that was raised in the end. Where no own frame
remains, the task's name stands for them.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple

_FRAME = re.compile(r'^[ |+]*File "([^"\n]{1,4096})", line \d+, in ([^\n]{1,500})$', re.MULTILINE)
_LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|lib[/\\]python\d[^/\\]*)[/\\]|^<", re.IGNORECASE)
_START = "Traceback (most recent call last):"
MAX_FRAMES = 50


class Cause(NamedTuple):
    """What a group is made of. `frames` are outermost first."""

    fingerprint: str
    frames: tuple[str, ...]


@lru_cache(maxsize=512)  # the same failure comes again and again
def cause_of(type_name: str, traceback: str, task: str) -> Cause:
    """The group of a failed attempt."""
    frames = own_frames(traceback)
    parts = [type_name, *(frames or (task,))]
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
    return Cause(digest[:16], frames)


def own_frames(traceback: str) -> tuple[str, ...]:
    """`file:function` of each own frame of the last traceback in the text, outermost first, at most the last 50."""
    last = traceback[traceback.rfind(_START) + 1 :]
    found = (f"{_file_name(path)}:{function}" for path, function in _FRAME.findall(last) if not _LIBRARY.search(path))
    return tuple(dict.fromkeys(found))[-MAX_FRAMES:]


def _file_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
