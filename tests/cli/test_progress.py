"""The line of progress, on a terminal and elsewhere."""

from __future__ import annotations

import io
import itertools

from duey.cli.progress import CLEAR, Progress
from tests.support import rows


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(monkeypatch, stream: io.StringIO, *calls: tuple[float, float | None, str]) -> str:
    """What is written when each call comes a second after the one before."""
    monkeypatch.setattr("sys.stderr", stream)
    seconds = itertools.count()
    with Progress("move", clock=lambda: next(seconds)) as progress:
        for call in calls:
            progress(*call)
    return stream.getvalue()


@rows("calls, lines", [
    ([(5, 10, "jobs copied")], ["move [############............]  50%  5 of 10 jobs copied"]),
    (
        [(0, 10, "x"), (1, 4, "x")],
        [f"move [{'.' * 24}]   0%  0 of 10 x", f"move [######{'.' * 18}]  25%  1 of 4 x, 0:06 left"],
    ),
    ([(1200, None, "jobs removed")], ["move 1,200 jobs removed 0:01"]),
])  # fmt: skip
def test_on_a_terminal_the_line_is_drawn_anew_and_gone_at_the_end(monkeypatch, calls, lines):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    assert drawn(monkeypatch, Terminal(), *calls) == "".join(f"{CLEAR}{line}" for line in lines) + CLEAR


def test_a_line_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm")
    assert len(drawn(monkeypatch, Terminal(), (1, 2, "jobs copied")).split(CLEAR)[1]) == 19


@rows("stream, term", [(io.StringIO(), "xterm"), (Terminal(), "dumb")])
def test_elsewhere_nothing_is_written(monkeypatch, stream, term):
    monkeypatch.setenv("TERM", term)
    assert drawn(monkeypatch, stream, (1, 2, "jobs")) == ""
