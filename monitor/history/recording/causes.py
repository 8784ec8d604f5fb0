"""The cause of a failed attempt, by which failures are grouped.

Two attempts have the same cause if the type of the exception and the frames of the user's own code are the same. A
frame is compared by file name and function (`tasks.py:send`), without folder and line number, so that a deployment
or an edit makes no new group. Each frame counts once, so that the depth of a recursion does not matter. Frames of
libraries (in site-packages, dist-packages, lib/pythonX.Y, or without a file) and of Duey are ignored. Of chained
exceptions only the last traceback counts. If no own frame is left, the name of the task is used instead.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_FRAME = re.compile(r'^[ |+]*File "([^"\n]{1,4096})", line \d+, in ([^\n]{1,500})$', re.MULTILINE)
_LIBRARY = re.compile(r"[/\\](site-packages|dist-packages|lib(?:64)?[/\\]python\d[^/\\]*)[/\\]|^<", re.IGNORECASE)
_START = "Traceback (most recent call last):"
MAX_FRAMES = 50
DUEY = str(Path(__file__).parents[3]) + os.sep  # where it is not in site-packages
RECIPES = DUEY + "recipes" + os.sep


class Cause(NamedTuple):
    """The cause of a failure. `frames` are outermost first."""

    fingerprint: str
    frames: tuple[str, ...]


@lru_cache(maxsize=512)  # the same failure often repeats
def cause_of(type_name: str, traceback: str, task: str) -> Cause:
    """Return the cause of a failed attempt."""
    frames = own_frames(traceback)
    parts = [type_name, *(frames or (task,))]
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
    return Cause(digest[:16], frames)


def own_frames(traceback: str) -> tuple[str, ...]:
    """Return the own frames of the last traceback as `file:function`, outermost first, at most the last 50."""
    last = traceback[traceback.rfind(_START) + 1 :]
    found = (f"{_file_name(path)}:{function}" for path, function in _FRAME.findall(last) if is_own(path))
    return tuple(dict.fromkeys(found))[-MAX_FRAMES:]


def is_own(path: str) -> bool:
    """Return whether a file is the user's: neither of a library nor of Duey (whose recipes count as the user's)."""
    return not _LIBRARY.search(path) and not (path.startswith(DUEY) and not path.startswith(RECIPES))


def _file_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


@dataclass
class GroupTally:
    """Failed attempts of one error group. `hours`: how many in each hour."""

    type: str
    message: str
    task: str
    frames: tuple[str, ...]
    first_seen: float
    last_seen: float
    last_job_id: str
    count: int = 0
    hours: dict[int, int] = field(default_factory=dict)

    def add(self, at: float, message: str, job_id: str) -> None:
        self.count += 1
        hour = int(at // 3600) * 3600
        self.hours[hour] = self.hours.get(hour, 0) + 1
        self.first_seen = min(self.first_seen, at)
        if at >= self.last_seen:
            self.last_seen, self.message, self.last_job_id = at, message, job_id
