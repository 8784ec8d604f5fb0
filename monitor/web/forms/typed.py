"""Reads the fields of inputs.py as JSON values for a call.

The engine decides whether the values fit the task. This module only reports text that is not JSON, and redacted
values, which are unknown here. Problems have the engine's path of a value, so that each is shown at its field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from duey.errors import FieldError
from duey.model.job import Edit, TaskInfo
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.forms.inputs import EXTRA_ARGS, EXTRA_KWARGS, FIXED, TEXT, TEXTS, Input
from duey.payload.plain import MAX_HOLDERS


def as_typed(fields: Sequence[Input], form: Fields) -> list[Input]:
    """Return the fields with the typed text, for a form that is shown again."""
    return [replace(each, text=form.get(each.name, each.text)) if each.kind != FIXED else each for each in fields]


def read_call(fields: Sequence[Input], form: Fields) -> tuple[list[Any], dict[str, Any], list[FieldError]]:
    """Return (args, kwargs, problems) of a form that runs a task, with all values by name."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    problems: list[FieldError] = []
    for each in fields:
        text = form.get(each.name)
        if not text.strip() and not (each.kind == TEXT and each.required):
            continue
        value, problem = _value(each, text)
        if not problem and each.name == "p:" + EXTRA_ARGS:
            args, problem = (value, "") if isinstance(value, list) else ([], "expected a JSON list")
        elif not problem and each.name == "p:" + EXTRA_KWARGS:
            problem = "" if isinstance(value, dict) else "expected a JSON object"
            kwargs.update(value if not problem else {})
        elif not problem:
            kwargs[each.label] = value
        if problem:
            problems.append(FieldError(each.path or each.name, problem))
    return _in_order(fields, args, kwargs), kwargs, problems


def _in_order(fields: Sequence[Input], extra: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Values for *args can only follow values by position, so those must be given by position, too."""
    if not extra:
        return []
    placed = []
    for each in fields:
        if each.name == "p:" + EXTRA_ARGS:
            break
        if each.label in kwargs:
            placed.append(kwargs.pop(each.label))
    return placed + extra


def read_edit(fields: Sequence[Input], form: Fields) -> tuple[Edit, list[FieldError]]:
    """Return the changes of a job's call, and problems. Redacted values are not changed."""
    args: dict[int, Any] = {}
    kwargs: dict[str, Any] = {}
    without: list[str] = []
    problems: list[FieldError] = []
    for each in fields:
        text = form.get(each.name, each.text)
        if each.kind == FIXED or _same(text, each.text):
            continue
        part, _, key = each.name.partition(":")
        if part == "k" and not text.strip() and not (each.given and each.kind == TEXT):
            without.append(key)
            continue
        value, problem = _value(each, text)
        if problem:
            problems.append(FieldError(each.path, problem))
        elif part == "a":
            args[int(key)] = value
        else:
            kwargs[key] = value
    return Edit(args, kwargs, tuple(without)), problems


def _same(typed_text: str, text: str) -> bool:
    return typed_text.replace("\r\n", "\n") == text  # browsers send line ends as CR LF


def _value(field: Input, text: str) -> tuple[Any, str]:
    """Return the typed value, or a problem."""
    if field.kind in TEXTS:
        return text.replace("\r\n", "\n"), ""
    if text.count("[") + text.count("{") > MAX_HOLDERS:
        return None, f"expected at most {MAX_HOLDERS:,} lists and objects"
    try:
        return json.loads(text), ""
    except (ValueError, RecursionError):
        if field.takes_text:
            return text.replace("\r\n", "\n"), ""
        return None, f"expected JSON for {field.hint}, such as 12, true or [1, 2]; text stands in quotes"


def with_problems(fields: Sequence[Input], problems: Sequence[FieldError]) -> tuple[list[Input], list[str]]:
    """Return the fields with their problems, and the messages that belong to no field."""
    found, left = [], list(problems)
    for each in fields:
        label = each.name.partition(":")[2]
        own = {each.path, f"kwargs.{label}", each.name} - {""}
        mine = [
            p for p in left if p.path in own or p.path.startswith(tuple(f"{path}{c}" for path in own for c in ".["))
        ]
        left = [p for p in left if p not in mine]
        found.append(replace(each, problem="; ".join(p.message for p in mine)))
    return found, [f"{p.path}: {p.message}" for p in left]


def by_name(problems: Sequence[FieldError], task: TaskInfo) -> list[FieldError]:
    """Return paths by parameter name, where the engine has a position (`args[0]`)."""
    named = []
    for problem in problems:
        match = re.match(r"args\[(\d+)\](.*)", problem.path)
        if match and int(match[1]) < len(task.parameters):
            named.append(FieldError(f"kwargs.{task.parameters[int(match[1])].name}{match[2]}", problem.message))
        else:
            named.append(problem)
    return named
