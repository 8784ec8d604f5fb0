"""What was typed into the fields of inputs.py, as JSON values for a call.

Whether the values fit the task is for the engine to say; here is only told what is no JSON at all, and what is hidden
and therefore not known. Problems carry the path by which the engine calls a place, so that each is shown at its field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from duey.errors import FieldError
from duey.model.job import Edit, TaskInfo
from duey.monitor.web.form import Fields
from duey.monitor.web.inputs import EXTRA_ARGS, EXTRA_KWARGS, FIXED, TEXT, Input


def as_typed(fields: Sequence[Input], form: Fields) -> list[Input]:
    """The fields with what was typed into them, for a form that is shown again."""
    return [replace(each, text=form.get(each.name, each.text)) if each.kind != FIXED else each for each in fields]


def read_call(fields: Sequence[Input], form: Fields) -> tuple[list[Any], dict[str, Any], list[FieldError]]:
    """The values of a run form, all by name: (args, kwargs, what is no JSON)."""
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
    """Values for *args can only stand behind those by place, which then must be given by place as well."""
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
    """What was changed in the fields of a job's call, and what is no JSON. What is hidden stays with the engine."""
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
    """The value that was typed, or what is wrong with it."""
    if field.kind == TEXT:
        return text.replace("\r\n", "\n"), ""
    try:
        return json.loads(text), ""
    except (ValueError, RecursionError):
        if re.search(r"\b(str|Any|Path|datetime|date|UUID|Decimal|Enum)\b", field.hint) or not field.hint:
            return text.replace("\r\n", "\n"), ""
        return None, f"expected JSON for {field.hint}, such as 12, true or [1, 2]; text stands in quotes"


def with_problems(fields: Sequence[Input], problems: Sequence[FieldError]) -> tuple[list[Input], list[str]]:
    """The fields, each with its problem, and the sentences that belong to none of them."""
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
    """The engine names values by place as `args[0]`; the form knows parameters."""
    named = []
    for problem in problems:
        match = re.match(r"args\[(\d+)\](.*)", problem.path)
        if match and int(match[1]) < len(task.parameters):
            named.append(FieldError(f"kwargs.{task.parameters[int(match[1])].name}{match[2]}", problem.message))
        else:
            named.append(problem)
    return named
