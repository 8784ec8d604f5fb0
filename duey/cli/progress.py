"""Progress of a long command: one line on standard error, drawn anew at most ten times a second, and gone at the end.

    with Progress("move") as progress:
        for done in ...:
            progress(done, total, "jobs copied")

Nothing is written where standard error is no terminal, so that logs and pipes hold only what a command prints.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType

EVERY_S = 0.1
BAR = 24  # characters
CLEAR = "\r\x1b[K"


class Line:
    """A line on standard error that is drawn anew, if that is a terminal."""

    def __init__(self) -> None:
        self.is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._is_drawn = False

    def draw(self, text: str) -> None:
        """Show this text instead of the one before."""
        if self.is_terminal:
            sys.stderr.write(CLEAR + text[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()
            self._is_drawn = True

    def clear(self) -> None:
        """Remove the line, so that something else can be printed."""
        if self._is_drawn:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()
            self._is_drawn = False


class Progress:
    """The line of one command. It can be passed wherever a function of `done`, `total` and `note` is expected."""

    def __init__(self, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._label, self._clock, self._shown = label, clock, Line()
        self._began_at, self._drawn_at = clock(), -EVERY_S

    def __call__(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how much is done, of how much if that is known. Cheap enough for each item of a loop."""
        now = self._clock()
        if self._shown.is_terminal and now - self._drawn_at >= EVERY_S:
            self._drawn_at = now
            self._shown.draw(self._line(done, total, note, now - self._began_at))

    def step(self, label: str) -> None:
        """Name the part that begins now."""
        self._label, self._drawn_at = label, -EVERY_S
        self(0)

    def _line(self, done: float, total: float | None, note: str, elapsed_s: float) -> str:
        if not total:
            return " ".join(filter(None, [self._label, f"{done:,.0f}" if done else "", note, clock_of(elapsed_s)]))
        share = min(1.0, done / total)
        bar = ("#" * int(share * BAR)).ljust(BAR, ".")
        left = f", {clock_of(elapsed_s / share - elapsed_s)} left" if share and elapsed_s > 1 else ""
        return f"{self._label} [{bar}] {share:4.0%}  {done:,.0f} of {total:,.0f} {note}{left}"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._shown.clear()


def clock_of(seconds: float) -> str:
    """A length of time as `1:05` or `2:00:00`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
