"""Reads a crontab: what of it becomes a schedule, and what does not, with the number of the line.

A schedule runs a task that is given the command line as text. Its name is made of the command and a hash of the line,
so that a second import of the same file finds it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from duey.errors import Misconfigured
from duey.scheduling.timetable import Cron, heeded
from duey.scheduling.timezones import zone

VARIABLE = re.compile(r"\s*[\"']?([A-Za-z_]\w*)[\"']?\s*=\s*(.*?)\s*")
NAME_CHARS = 60
ZONE_FILE = Path("/etc/localtime")
WORDS_OF = {
    "MAILTO": "nobody is sent the output: name channels in [alerts], which tell of failures",
    "SHELL": "the task decides which shell runs the command",
    "RANDOM_DELAY": "jobs begin at their time",
}


class CronLine(NamedTuple):
    """A line that becomes a schedule."""

    number: int
    expression: str  # five fields, or a macro such as @daily
    command: str
    tz: str | None  # of CRON_TZ above it

    @property
    def name(self) -> str:
        """The name of its schedule."""
        words = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(self.command.split()[0]).name or "job").strip("-") or "job"
        text = "\0".join((self.expression, self.command, self.tz or ""))
        return f"cron:{words[:NAME_CHARS]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


class Crontab(NamedTuple):
    """What a crontab holds. `left`: a sentence for each line that is not, or not quite, taken over."""

    lines: list[CronLine]
    left: list[str]


def read(texts: Iterable[str], user_column: bool = False) -> Crontab:
    """Read the lines of a crontab. `user_column`: each names a user before the command, as in /etc/crontab."""
    lines: list[CronLine] = []
    left: list[str] = []
    tz: str | None = None
    for number, text in enumerate(texts, 1):
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        if variable := VARIABLE.fullmatch(text):
            name, value = variable[1], variable[2].strip("\"'")
            if name in ("CRON_TZ", "TZ"):
                try:
                    tz = str(zone(value)) if value else None
                except Misconfigured as exc:
                    left.append(f"line {number}: {exc}")
            else:
                why = WORDS_OF.get(name, "jobs have the environment of the service: set it there, or in the command")
                left.append(f"line {number}: {name} is not kept: {why}")
            continue
        try:
            lines.append(parsed(number, text, tz, user_column, left))
        except Misconfigured as exc:
            left.append(f"line {number}: {exc}")
    return Crontab(lines, left)


def parsed(number: int, text: str, tz: str | None, user_column: bool, left: list[str]) -> CronLine:
    """One line of a job. Appends to `left` what is not kept of it. Raises Misconfigured for one that is not taken."""
    fields = 1 if text.startswith("@") else 5
    parts = text.split(maxsplit=fields + user_column)
    if len(parts) <= fields + user_column:
        user = ", a user" if user_column else ""
        raise Misconfigured(f"expected five fields or @daily{user} and a command, found {text[:60]!r}")
    expression, command = " ".join(parts[:fields]), parts[-1]
    if expression == "@reboot":
        raise Misconfigured("@reboot has no time: start it as a service of the system")
    stdin = re.split(r"(?<!\\)%", command, maxsplit=1)
    if len(stdin) > 1:
        raise Misconfigured("a % ends the command and gives it input, which a task does not: write the input into it")
    heeded(Cron(expression=expression))
    if user_column:
        left.append(f"line {number}: the user {parts[fields]} is not kept: jobs run as the user of the service")
    return CronLine(number, expression, command.replace("\\%", "%"), tz)


def system_zone(file: Path = ZONE_FILE) -> str | None:
    """The time zone of this machine, by which cron runs; None if its name is not known."""
    _, sign, name = str(file.resolve()).partition("/zoneinfo/")
    try:
        return str(zone(re.sub("^(posix|right)/", "", name))) if sign else None
    except Misconfigured:
        return None
