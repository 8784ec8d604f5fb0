"""The log lines of a job on its page: of the running body, of an ended attempt, and all of them as a file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from duey.control.job_log import live_log, read_log
from duey.errors import UnknownJob
from duey.model.job import RUNNING, Job
from duey.model.log_lines import LogLine
from duey.monitor.web.display.formats import plural, rfc3339
from duey.monitor.web.display.text import clip, visible
from duey.monitor.web.route import File, View
from duey.monitor.web.services import Services
from duey.payload.plain import IN_LIST

LINES, CHARS = 200, 500


def of_running(services: Services, job: Job) -> dict[str, Any]:
    """Return what the body of a running job has logged so far."""
    lines = live_log(services.control, job.id) if job.state == RUNNING else []
    hidden = lines[:-LINES]
    shown = [*([_hidden(hidden)] if hidden else []), *map(_clipped, lines[-LINES:])]
    return {"logs_now": job.state == RUNNING, "log_of": job.id, "log": shown}


def region(services: Services, job_id: str) -> View:
    """Return the live region with the log of the running body."""
    data: dict[str, Any] = {"logs_now": False}
    with contextlib.suppress(UnknownJob):  # the queue may have removed it: then it does not run
        data = of_running(services, services.control.job(job_id, IN_LIST))
    return View("job", "", data, regions=("log",), etag="" if data["logs_now"] else "it does not run")


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
