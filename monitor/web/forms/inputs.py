"""Arguments as fields of a form, from a task's signature or with the values of a job.

A `str` parameter takes text as it is, bool is a choice, and all others take JSON, or text that is not JSON if the
hint allows str. An empty field means the default. typed.py reads the fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from duey.model.job import Job, TaskInfo
from duey.monitor.web.display.calls import holds_redacted
from duey.monitor.web.display.text import as_json, editable_json, is_line
from duey.payload.plain import is_cut

EDITABLE_CHARS = 20_000
MOST_FIELDS = 100
TEXT, CHOICE, JSON, FIXED = "text", "choice", "json", "fixed"
LONG_CHARS = 60
EXTRA_ARGS, EXTRA_KWARGS = "*", "**"


@dataclass(frozen=True)
class Input:
    """A field. `name` is its name in the form, `path` the engine's name for the place (`args[0]`, `kwargs.to`)."""

    name: str
    label: str
    hint: str
    kind: str
    text: str = ""
    required: bool = False
    placeholder: str = ""
    path: str = ""
    given: bool = False  # it is part of the job's call
    problem: str = ""
    help: str = ""

    @property
    def long(self) -> bool:
        return self.kind == JSON and (
            len(self.text) > LONG_CHARS or "\n" in self.text or bool(_COLLECTION.search(self.hint))
        )


_COLLECTION = re.compile(r"\b(dict|list|tuple|set|Any|Mapping|Sequence)\b")


def inputs_of(task: TaskInfo) -> list[Input]:
    """Return empty fields for a new job."""
    found = []
    for each in task.parameters:
        if each.kind == "var_positional":
            found.append(
                Input("p:" + EXTRA_ARGS, f"*{each.name}", each.type, JSON, placeholder="[]", help="a JSON list")
            )
        elif each.kind == "var_keyword":
            found.append(
                Input("p:" + EXTRA_KWARGS, f"**{each.name}", each.type, JSON, placeholder="{}", help="a JSON object")
            )
        else:
            default = "" if each.required else as_json(each.default)
            found.append(
                Input(
                    f"p:{each.name}",
                    each.name,
                    each.type,
                    _kind(each.type),
                    "",
                    each.required,
                    default,
                    f"kwargs.{each.name}",
                    help=_help(task.doc, each.name),
                )
            )
    return found


def inputs_of_job(job: Job, task: TaskInfo | None) -> list[Input]:
    """Return fields with a job's values: first by position, then by name."""
    parameters = {each.name: each for each in task.parameters} if task else {}
    by_place = [each for each in task.parameters if each.kind == "positional"] if task else []
    found = []
    for n, value in enumerate(job.args[:MOST_FIELDS]):
        label = by_place[n].name if n < len(by_place) else f"argument {n + 1}"
        hint = by_place[n].type if n < len(by_place) else ""
        found.append(_filled(Input(f"a:{n}", label, hint, "", path=f"args[{n}]", given=True), value))
    for name, value in islice(job.kwargs.items(), MOST_FIELDS):
        hint = parameters[name].type if name in parameters else ""
        found.append(_filled(Input(f"k:{name}", name, hint, "", path=f"kwargs.{name}", given=True), value))
    left = len(job.args) + len(job.kwargs) - len(found)
    if left:
        found.append(Input("", f"{left} more", "", FIXED, "too many to edit here; they are kept as they are"))
    taken = {*(each.label for each in found), *job.kwargs}
    for name, each in parameters.items():
        if name not in taken and each.kind in ("positional", "keyword"):
            found.append(
                Input(
                    f"k:{name}",
                    name,
                    each.type,
                    _kind(each.type),
                    "",
                    False,
                    as_json(each.default),
                    f"kwargs.{name}",
                )
            )
    return found


def _filled(field: Input, value: Any) -> Input:
    if isinstance(value, str) and _kind(field.hint) == TEXT and is_line(value):
        kind, text = TEXT, value
    else:
        kind, text = JSON, editable_json(value, 2 if isinstance(value, (dict, list)) and value else None)
    if len(text) > EDITABLE_CHARS or is_cut({field.label: value}):
        return replace(field, kind=FIXED, text="too large to edit here; it is kept as it is")
    return replace(
        field,
        kind=kind,
        text=text,
        help="what is [redacted] here is kept where it stays" if holds_redacted(value) else "",
    )


def _kind(hint: str) -> str:
    bare = hint.replace(" ", "").replace("|None", "")
    return TEXT if bare == "str" else CHOICE if bare == "bool" else JSON


def _help(doc: str, name: str) -> str:
    """Return what the docstring says about a parameter, in lines such as `url: http or https`."""
    match = re.search(rf"^\s*(?:\w+, )*{re.escape(name)}(?:, \w+)*: (.+)$", doc, re.MULTILINE)
    return match[1][:200] if match else ""


def options_of(task: TaskInfo) -> Mapping[str, Any]:
    """Return the task's options, the most important first."""
    first = (
        "queue",
        "retries",
        "retry_delay",
        "retry_backoff",
        "backoff",
        "priority",
        "timeout",
        "expires",
        "limit",
        "rate",
        "unique",
    )
    return {**{name: task.options[name] for name in first if name in task.options}, **task.options}
