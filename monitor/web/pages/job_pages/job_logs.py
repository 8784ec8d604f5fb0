"""The log lines of a job on its page: of the running body, of an ended attempt, and all of them as a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from duey.control.job_log import read_log
from duey.model.log_lines import LogLine
from duey.monitor.web.display.formats import plural, rfc3339
from duey.monitor.web.display.text import clip, visible
from duey.monitor.web.route import File
from duey.monitor.web.services import Services

LINES, CHARS = 200, 500


def last_of(lines: Sequence[LogLine]) -> list[LogLine]:
    """Return the last lines, after one that says how many there are before them."""
    hidden = lines[:-LINES]
    return [*([_hidden(hidden)] if hidden else []), *map(_clipped, lines[-LINES:])]


def of_attempt(lines: Sequence[LogLine]) -> list[LogLine]:
    """Return the lines, or the first and last ones with a line that says how many others there are."""
    if len(lines) <= LINES:
        return [_clipped(line) for line in lines]
    half = LINES // 2
    return [*map(_clipped, lines[:half]), _hidden(lines[half:-half]), *map(_clipped, lines[-half:])]


def download(services: Services, job_id: str) -> File:
    """Return all lines that are kept, of all attempts. Raises UnknownJob."""
    page = read_log(services.control, services.history, job_id)
    lines = list(page.lines)
    while page.more:
        page = read_log(services.control, services.history, job_id, page.next)
        lines += page.lines
    text = "".join(f"{rfc3339(line.at)} {line.level or '-'} {visible(line.text)}\n" for line in lines)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", job_id)[:80]
    return File(f"{name}.log", "text/plain; charset=utf-8", text.encode("utf-8", "replace"))


def _hidden(lines: Sequence[LogLine]) -> LogLine:
    count = sum(line.left_out or 1 for line in lines)
    return LogLine(lines[-1].at, "", f"{plural(count, 'line')} not shown here", count)


def _clipped(line: LogLine) -> LogLine:
    if line.left_out:
        return replace(line, text=f"{plural(line.left_out, 'line')} left out")
    return replace(line, text=clip(line.text, CHARS))
