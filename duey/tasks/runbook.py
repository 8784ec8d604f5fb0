"""The runbook of a task: the section `When it fails:` of its docstring."""

from __future__ import annotations

import inspect
import re

_HEADING = re.compile(r"^([ \t]*)when it fails:[ \t]*(.*)$", re.IGNORECASE)


def runbook_of(doc: str | None) -> str:
    """Return the text of the section `When it fails:`, or '' if the docstring has none.

    It is what follows on the same line, and the lines below that are indented deeper than the heading; where none is,
    the lines up to the next empty one.
    """
    lines = inspect.cleandoc(doc or "").splitlines()
    for number, line in enumerate(lines):
        if (found := _HEADING.match(line)) is None:
            continue
        indent, below = len(found[1]), lines[number + 1 :]
        deeper = bool(below) and _indent(below[0]) > indent
        taken = [found[2]]
        for each in below:
            if (_indent(each) <= indent if deeper else False) and each.strip():
                break
            if not deeper and not each.strip():
                break
            taken.append(each)
        return inspect.cleandoc("\n".join(taken) if taken[0] else "\n" + "\n".join(taken[1:])).strip()
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
