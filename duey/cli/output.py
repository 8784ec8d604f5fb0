"""What commands show: one JSON object with --json, CSV with --csv, otherwise text.

JSON and CSV have the field names of the HTTP API. JSON has only ASCII, so that no text of a job acts on the terminal; a
value of a CSV that is a list or an object is JSON, and a line end within one is written as \\n. A table on a terminal
has a header and fits the window; elsewhere it has a line for each row, its fields separated by tabs, for programs.
Times are those of the operator's clock (the zone of the system, or of the variable TZ), with the zone's name.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from duey.cli.context import Refused, echo

T = TypeVar("T")
GAP = "  "
LEAST = 12  # characters that a column with `cut` keeps
COLOURS = {
    "failed": 31, "open": 31, "retrying": 33, "blocked": 33, "paused": 33, "done": 32, "running": 36, "expired": 35,
    "canceled": 35, "muted": 2, "dead": 31,
}  # fmt: skip
NO_TIME = "a time outside the calendar"


class Column(NamedTuple):
    """A column of a table. `cut`: its values may be cut to fit the window. `drop`: it is left out where the window is
    too narrow, the highest number first; 0 stays."""

    title: str
    cut: bool = False
    drop: int = 0


def show(
    options: argparse.Namespace, key: str, items: Iterable[T], view: Callable[[T], dict[str, Any]],
    columns: Sequence[Column], row: Callable[[T], Sequence[object]], **more: Any,
) -> None:  # fmt: skip
    """Print a list in the form that the options ask for. `key` is its name in JSON, beside `more`; `view` makes JSON of
    an item, `row` the fields of its line."""
    if options.json:
        print_json({key: [view(each) for each in items], **more})
    elif options.csv:
        print_csv([view(each) for each in items])
    else:
        table(columns, [row(each) for each in items])


def print_csv(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as CSV, with the names above them."""
    from duey.monitor.access.export import csv_row

    flat = [_flat(row) for row in rows]
    names = [list(flat[0])] if flat else []
    for values in (*names, *(row.values() for row in flat)):
        fields = [json.dumps(each) if isinstance(each, (list, dict)) else each for each in values]
        echo(csv_row(fields).removesuffix("\r\n"))


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the parts of its error as fields, as in the CSV of the monitor."""
    if "error" not in row:
        return row
    error = row["error"] or {}
    parts = {"error_type": error.get("type"), "error_message": error.get("message")}
    return {name: each for name, each in row.items() if name != "error"} | parts


def print_json(value: Any) -> None:
    """Print one value as JSON."""
    print(json.dumps(value, indent=1, default=str), flush=True)


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print rows of fields. A row may lack the last ones."""
    if not sys.stdout.isatty():
        for row in rows:
            echo(*row)
        return
    texts = [[_line(field) for field in (*row, *[""] * (len(columns) - len(row)))] for row in rows]
    widths = [max(map(len, (column.title, *(row[n] for row in texts)))) for n, column in enumerate(columns)]
    shown = fit(columns, widths, shutil.get_terminal_size().columns)
    _print([columns[n].title for n in shown], shown)
    for row in texts:
        _print([row[n] for n in shown], shown)


def fit(columns: Sequence[Column], widths: Sequence[int], window: int) -> dict[int, int]:
    """The columns that are shown, by number, with their widths."""
    shown = dict(enumerate(widths))
    while True:
        over = sum(shown.values()) + len(GAP) * (len(shown) - 1) - window
        for n in sorted((n for n in shown if columns[n].cut), key=lambda n: -shown[n]):
            less = min(max(over, 0), max(0, shown[n] - LEAST))
            shown[n] -= less
            over -= less
        droppable = [n for n in shown if columns[n].drop]
        if over <= 0 or not droppable:
            return shown
        del shown[max(droppable, key=lambda n: columns[n].drop)]
        shown = {n: widths[n] for n in shown}


def facts(values: Mapping[str, Any]) -> Iterator[str]:
    """Lines with a name and its value, which may have several lines. Empty values are left out."""
    for name, value in values.items():
        for n, line in enumerate(str(value).splitlines() if value else ()):
            yield f"{'' if n else name:<10}  {line}"


def _print(fields: Sequence[str], shown: dict[int, int]) -> None:
    cells = []
    for field, width in zip(fields, shown.values(), strict=True):
        cell = field if len(field) <= width else f"{field[: width - 1]}…"
        cells.append(painted(cell) + " " * (width - len(cell)))
    print(GAP.join(cells).rstrip(), flush=True)


def _line(field: object) -> str:
    from duey.payload.masking import escaped

    return escaped(str(field))


def painted(word: str) -> str:
    """A state in its colour, on a terminal that shows colours."""
    code = COLOURS.get(word)
    return f"\x1b[{code}m{word}\x1b[0m" if code and has_colours() else word


def has_colours() -> bool:
    """Whether standard output shows colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def when(at: float | None) -> str:
    """A time as `2030-01-31 14:02:11 CET`; `never` for None."""
    if at is None:
        return "never"
    moment = _local(at)
    return NO_TIME if moment is None else f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def when_short(at: float | None, now: float) -> str:
    """A time for a column: without the day if it is today, without the year if it is this year's. In full where
    standard output is no terminal."""
    moment, today = None if at is None else _local(at), _local(now)
    if moment is None or today is None or not sys.stdout.isatty():
        return when(at)
    if moment.date() == today.date():
        return f"{moment:%H:%M:%S %Z}"
    return f"{moment:%d %b %H:%M %Z}" if moment.year == today.year else f"{moment:%Y-%m-%d %H:%M %Z}"


def _local(at: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(at).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def confirmed(question: str, yes: bool) -> bool:
    """Whether the operator wants it: asked on a terminal, unless --yes says so. Raises Refused where nobody can be
    asked."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"{question} Nobody can be asked here, nothing was changed: add --yes if you mean it")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
