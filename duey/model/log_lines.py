"""Lines of a job's log, and how their number is bounded: the first and the last ones are kept.

A stored line is (at, level, text), with the instant in epoch seconds. A mark (at, "", count) with a number in place of
the text stands where lines were left out. While its body runs, a line also has its number in the attempt, from 0: what
is missing between two numbers was left out. Within an attempt every line is later than the one before it, by at least a
microsecond, so that a reader can ask for what came after an instant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Line = tuple[float, str, "str | int"]
Numbered = tuple[int, float, str, str]  # a line while its body runs: its number comes first

HALF_LINES = 500  # of one attempt: so many of the first lines are kept, and as many of the last ones
HALF_CHARS = 64 * 1024  # and no more text than this in each half


@dataclass(frozen=True)
class LogLine:
    """A line as it is shown. `left_out`: it stands for so many lines that are not kept."""

    at: float
    level: str  # PRINT: it was printed
    text: str
    left_out: int = 0


def shown(line: Sequence[Any]) -> LogLine:
    """A stored line as it is shown."""
    at, level, text = line
    return LogLine(at, "", f"{text:,} lines left out", text) if type(text) is int else LogLine(at, level, text)


def count_of(line: Sequence[Any]) -> int:
    """How many lines a stored line stands for."""
    return line[2] if type(line[2]) is int else 1


def with_marks(numbered: Iterable[Sequence[Any]]) -> list[Line]:
    """The lines in their stored form, with a mark for each gap in their numbers."""
    lines: list[Line] = []
    expected = 0
    for n, at, level, text in numbered:
        if n > expected:
            lines.append((at - 1e-6, "", n - expected))
        lines.append((at, level, text))
        expected = n + 1
    return lines


def shortened(lines: Sequence[Sequence[Any]], half_lines: int, half_chars: int) -> list[Sequence[Any]]:
    """The first and the last lines, at most `half_lines` and about `half_chars` of each, with a mark between them."""
    if len(lines) <= 2 * half_lines and sum(map(_size, lines)) <= half_chars:
        return list(lines)
    head = _taken(lines, half_lines, half_chars)
    tail = _taken(list(reversed(lines[len(head) :])), half_lines, half_chars)
    out = lines[len(head) : len(lines) - len(tail)]
    mark = [(out[-1][0], "", sum(map(count_of, out)))] if out else []
    return [*head, *mark, *reversed(tail)]


def _taken(lines: Sequence[Sequence[Any]], most: int, chars: int) -> list[Sequence[Any]]:
    taken: list[Sequence[Any]] = []
    for line in lines[:most]:
        chars -= _size(line)
        if chars < 0:
            break
        taken.append(line)
    return taken


def _size(line: Sequence[Any]) -> int:
    return len(str(line[2])) + 1


class AttemptLog:
    """The lines of one attempt while its body runs. The body's thread adds lines, and the thread that shows them
    elsewhere takes what is new. Neither takes a lock, because a finalizer or a signal handler may log anywhere: each
    container is changed by one thread, or by single operations that are atomic."""

    __slots__ = (
        "_at", "_chars", "_count", "_fresh", "_head", "_open", "_tail", "_taken", "ended", "queued", "shown", "token",
    )  # fmt: skip

    def __init__(self, token: int) -> None:
        self.token = token
        self.queued = self.ended = False  # it waits for the other thread; its body has ended
        self.shown = False  # lines of it were written while the body ran
        self._head: list[Numbered] = []
        self._tail: deque[Numbered] = deque()
        self._fresh: deque[Numbered] = deque(maxlen=HALF_LINES)  # of the tail, not yet taken
        self._open = True  # whether the head still grows
        self._at, self._count, self._chars, self._taken = 0.0, 0, 0, 0

    def add(self, at: float, level: str, text: str) -> None:
        """Add a line."""
        self._at = max(round(at, 6), self._at + 1e-6)
        line = (self._count, self._at, level, text)
        self._count += 1
        self._chars += len(text)
        if self._open:
            self._head.append(line)
            if len(self._head) >= HALF_LINES or self._chars >= HALF_CHARS:
                self._open, self._chars = False, 0
            return
        self._tail.append(line)
        self._fresh.append(line)
        while len(self._tail) > HALF_LINES or self._chars > HALF_CHARS:
            self._chars -= len(self._tail.popleft()[3])

    def lines(self) -> list[Line]:
        """The kept lines in their stored form."""
        return with_marks([*self._head, *self._tail])

    def take(self) -> list[Numbered]:
        """What was added since the last call. For the other thread."""
        taken = self._head[self._taken :]
        self._taken += len(taken)
        while self._fresh:
            taken.append(self._fresh.popleft())
        return taken
