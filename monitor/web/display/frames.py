"""Reads a traceback from its text: the error, the frames of the user's code, and the number of library frames.

The text may be hostile. If it does not look like a traceback, it is shown as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from duey.monitor.history import is_own

_FRAME = re.compile(r'^  File "([^\n]*)", line (\d+)(?:, in ([^\n]*))?\n((?:    [^\n]*\n?)*)', re.MULTILINE)
_CHAINED = re.compile(
    r"\n(?:The above exception was the direct cause of|During handling of the above exception, another) [^\n]*\n"
)
SHOWN_CHARS = 20_000
SHOWN_FRAMES = 30


@dataclass(frozen=True)
class Frame:
    """A frame of the stack. `code` is its source line, if the file was available."""

    file: str
    line: int
    function: str
    code: str

    @property
    def is_own(self) -> bool:
        return is_own(self.file)


@dataclass(frozen=True)
class Traceback:
    """A traceback. `own` frames are in the order of the calls (the error in the last); `text` is the whole."""

    own: tuple[Frame, ...]
    frames: int
    text: str
    cut: int  # number of characters that are not shown


def read_traceback(text: str) -> Traceback:
    """Return the last exception of a chain, with the whole text."""
    last = _CHAINED.split(text)[-1]
    frames = [
        Frame(file, int(line[:9]), function or "", code.strip("\n")[4:300].split("\n")[0].strip())
        for file, line, function, code in _FRAME.findall(last)
    ]
    own = tuple(frame for frame in frames if frame.is_own)[-SHOWN_FRAMES:]
    if len(text) <= SHOWN_CHARS:
        return Traceback(own, len(frames), text, 0)
    half = SHOWN_CHARS // 2
    cut = len(text) - 2 * half
    return Traceback(own, len(frames), f"{text[:half]}\n… {cut} characters are left out here …\n{text[-half:]}", cut)
