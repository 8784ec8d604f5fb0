"""A job's call: short for a list, and as a call in Python, on the command line, or with curl.

All are made from shown values, so that a redacted value is `[redacted]` here, too.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from duey.model.job import Job
from duey.monitor.web.display.text import clip

REDACTED = "[redacted]"  # the mark that duey.payload.redact uses
SHORT_TEXT, SHORT_ITEMS, SHORT_DEPTH = 48, 4, 3
SHOWN_CHARS = 6_000


def preview(args: Sequence[Any], kwargs: Mapping[str, Any], most: int = 96) -> str:
    """Return the arguments on one line."""
    shown = [_short(value) for value in args[:8]]
    shown += [f"{clip(str(name), 40)}={_short(value)}" for name, value in list(kwargs.items())[:8]]
    if len(args) > 8 or len(kwargs) > 8:
        shown.append("…")
    return clip(", ".join(shown), most)


def _short(value: Any, depth: int = 0) -> str:
    # Only the beginning of a large value, because rendering all of it would be slow.
    if isinstance(value, str):
        return json.dumps(clip(value, SHORT_TEXT), ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        if depth >= SHORT_DEPTH:
            return "[…]" if value else "[]"
        items = [_short(each, depth + 1) for each in value[:SHORT_ITEMS]] + ["…"] * (len(value) > SHORT_ITEMS)
        return f"[{', '.join(items)}]"
    if isinstance(value, dict):
        if depth >= SHORT_DEPTH:
            return "{…}" if value else "{}"
        pairs = [f"{clip(str(key), 24)}: {_short(each, depth + 1)}" for key, each in list(value.items())[:SHORT_ITEMS]]
        return f"{{{', '.join(pairs + ['…'] * (len(value) > SHORT_ITEMS))}}}"
    return clip(str(value) if not isinstance(value, bool) and value is not None else repr(value), 40)


def as_python(job: Job) -> str:
    """Return the call for a Python shell of the project. It enqueues a new job."""
    module, _, function = job.qualname.rpartition(".")
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", job.qualname):
        return f"# {clip(job.qualname, 200)!r} is not a name that Python knows"
    given = [repr(value) for value in job.args]
    positional = {name: value for name, value in job.kwargs.items() if name.isidentifier()}
    given += [f"{name}={value!r}" for name, value in positional.items()]
    if len(positional) < len(job.kwargs):
        rest = {name: value for name, value in job.kwargs.items() if name not in positional}
        given.append(f"**{rest!r}")
    line = f"{function}({', '.join(given)})"
    if len(line) > 100 and given:
        line = f"{function}(\n" + "".join(f"    {each},\n" for each in given) + ")"
    return _bounded(f"from {module} import {function}\n\n{line}" if module else line)


def as_command(job: Job) -> str:
    """Return the command of the command line that makes the call."""
    words = [_argument(value) for value in job.args]
    words += [shlex.quote(f"{name}={_json(value)}") for name, value in job.kwargs.items()]
    return _bounded(" ".join(["duey enqueue", shlex.quote(job.task), *words]))


def as_curl(job: Job, base: str) -> str:
    """Return the curl command that makes the call. `base` is scheme, host and prefix of the service."""
    body: dict[str, Any] = {"task": job.task}
    if job.args:
        body["args"] = job.args
    if job.kwargs:
        body["kwargs"] = job.kwargs
    return _bounded(
        f"curl -X POST {shlex.quote(base + '/api/jobs')} \\\n"
        "  -H 'Authorization: Bearer TOKEN' -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(_json(body))}"
    )


def holds_redacted(value: Any) -> bool:
    """Return whether a value or a part of it is redacted."""
    if isinstance(value, str):
        return REDACTED in value
    if isinstance(value, dict):
        return any(map(holds_redacted, value.values()))
    return isinstance(value, (list, tuple)) and any(map(holds_redacted, value))


def _argument(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./:@-]*", value) and value not in ("true", "false", "null"):
        return value  # not JSON, so that the command takes it as text
    return shlex.quote(_json(value))


def _json(value: Any) -> str:
    return json.dumps(value, default=str)


def _bounded(text: str) -> str:
    return (
        text
        if len(text) <= SHOWN_CHARS
        else f"{text[:SHOWN_CHARS]}\n… {len(text) - SHOWN_CHARS} more characters: see JSON"
    )
