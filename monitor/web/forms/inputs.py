"""Arguments as fields of a form, from a task's signature or with the values of a job.

The JSON schema of a parameter says how: text is taken as it is, bool, Enum and Literal are a choice, and all others
take JSON, or text that is not JSON if the hint allows text. An empty field means the default. typed.py reads the
fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from duey.control import schema
from duey.model.job import Job, Parameter, TaskInfo
from duey.monitor.web.display.calls import holds_redacted
from duey.monitor.web.display.text import as_json, editable_json, is_line
from duey.payload.plain import is_cut

EDITABLE_CHARS = 20_000
MOST_FIELDS = 100
TEXT, DATE, CHOICE, JSON, FIXED = "text", "date", "choice", "json", "fixed"
TEXTS = (TEXT, DATE)  # what is typed is the value
LONG_CHARS = 60
DAY = re.compile(r"\d{4}-\d\d-\d\d")
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
    choices: tuple[str, ...] = ()  # as JSON
    takes_text: bool = True  # what is no JSON is a text
    long: bool = False


def inputs_of(task: TaskInfo) -> list[Input]:
    """Return empty fields for a new job."""
    return [_empty(each, "p", task.doc) for each in task.parameters]


def _empty(parameter: Parameter, part: str, doc: str = "") -> Input:
    """A field for a parameter that has no value yet."""
    name, hint = parameter.name, parameter.type
    if parameter.kind == "var_positional":
        return Input("p:" + EXTRA_ARGS, f"*{name}", hint, JSON, placeholder="[]", help="a JSON list", takes_text=False)
    if parameter.kind == "var_keyword":
        return Input(
            "p:" + EXTRA_KWARGS, f"**{name}", hint, JSON, placeholder="{}", help="a JSON object", takes_text=False
        )
    found = _typed(Input(f"{part}:{name}", name, hint, JSON, path=f"kwargs.{name}"), parameter)
    if part == "p":
        hints = [_help(doc, name), "" if found.choices else schema.limits(parameter.schema)]
        found = replace(found, required=parameter.required, help="; ".join(filter(None, hints)))
    return found if parameter.required and part == "p" else replace(found, placeholder=as_json(parameter.default))


def _typed(field: Input, parameter: Parameter | None) -> Input:
    """The field as the schema of its parameter wants it: a text, a choice, or JSON."""
    if parameter is None:
        return field
    of = parameter.schema
    choices = tuple(as_json(each) for each in schema.choices(of))
    kind = CHOICE if choices else TEXT if schema.is_typed_as_text(of) else JSON
    if kind == TEXT and schema.is_date(of):
        kind = DATE
    long = kind == JSON and schema.takes_collection(of)
    return replace(field, hint=parameter.type, kind=kind, choices=choices, takes_text=schema.takes_text(of), long=long)


def inputs_of_job(job: Job, task: TaskInfo | None) -> list[Input]:
    """Return fields with a job's values: first by position, then by name."""
    parameters = {each.name: each for each in task.parameters} if task else {}
    by_place = [each for each in parameters.values() if each.kind == "positional"]
    found = []
    for n, value in enumerate(job.args[:MOST_FIELDS]):
        parameter = by_place[n] if n < len(by_place) else None
        label = parameter.name if parameter else f"argument {n + 1}"
        found.append(_filled(_typed(Input(f"a:{n}", label, "", JSON, path=f"args[{n}]", given=True), parameter), value))
    for name, value in islice(job.kwargs.items(), MOST_FIELDS):
        field = Input(f"k:{name}", name, "", JSON, path=f"kwargs.{name}", given=True)
        found.append(_filled(_typed(field, parameters.get(name)), value))
    left = len(job.args) + len(job.kwargs) - len(found)
    if left:
        found.append(Input("", f"{left} more", "", FIXED, "too many to edit here; they are kept as they are"))
    taken = {*(each.label for each in found), *job.kwargs}
    return found + [
        _empty(each, "k")
        for name, each in parameters.items()
        if name not in taken and each.kind in ("positional", "keyword")
    ]


def _filled(field: Input, value: Any) -> Input:
    if field.kind == CHOICE and as_json(value) in field.choices:
        kind, text = CHOICE, as_json(value)
    elif isinstance(value, str) and field.kind in TEXTS and is_line(value):
        kind, text = (TEXT if field.kind == DATE and not DAY.fullmatch(value) else field.kind), value
    else:
        kind, text = JSON, editable_json(value, 2 if isinstance(value, (dict, list)) and value else None)
    if len(text) > EDITABLE_CHARS or is_cut({field.label: value}):
        return replace(field, kind=FIXED, text="too large to edit here; it is kept as it is")
    return replace(
        field,
        kind=kind,
        text=text,
        long=kind == JSON and (field.long or len(text) > LONG_CHARS or "\n" in text),
        help="what is [redacted] here is kept where it stays" if holds_redacted(value) else "",
    )


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
