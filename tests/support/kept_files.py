"""Files that earlier versions wrote, as if they had been written just now: what they hold would expire otherwise."""

from __future__ import annotations

import re
import time
from pathlib import Path

_EPOCH_S = re.compile(r"\b1(79|8[01])\d{7}(\.\d+)?")  # every time in them, and no other number


def as_if_new(path: Path, made_at: float) -> str:
    """The text of the file with its epoch times moved on by its age. `made_at`: when it was written, epoch seconds."""
    age = time.time() - made_at
    return _EPOCH_S.sub(lambda found: repr(float(found[0]) + age), path.read_text())
