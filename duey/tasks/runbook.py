"""The runbook of a task: the section `When it fails:` of its docstring."""

from __future__ import annotations

import inspect
import re
from itertools import takewhile

_HEADING = re.compile(r"^([ \t]*)when it fails:[ \t]*(.*)$", re.IGNORECASE)


def runbook_of(doc: str | None) -> str:
    """Return the text of the section `When it fails:`, or '' if the docstring has none.

    It is what follows on the same line, and the lines below that are indented deeper than the heading; where none is,
    the lines up to the next empty one.
    """
    lines = inspect.cleandoc(doc or "").splitlines()
    found = next(((n, heading) for n, line in enumerate(lines) if (heading := _HEADING.match(line))), None)
    if found is None:
        return ""
    number, heading = found
    indent, below = len(heading[1]), lines[number + 1 :]
    if below and _indent(below[0]) > indent:
        own = takewhile(lambda line: not line.strip() or _indent(line) > indent, below)
    else:
        own = takewhile(str.strip, below)
    return inspect.cleandoc("\n".join([heading[2], *own])).strip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
