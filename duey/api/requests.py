"""Requests to enqueue: from decoded JSON to values of duey.model.job. Each field is checked, and named if refused.

An unknown field is refused, with the nearest known name: a misspelt `prioriy` that is silently ignored might go
unnoticed for long. The engine checks what depends on the task: whether the task exists and whether the arguments
match its signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duey.api.fields import ARGUMENTS, FIELDS, Field, found
from duey.api.problem import ERRORS_SHOWN, refused_fields
from duey.api.query import unknown
from duey.model.job import JobRequest

MAX_BATCH = 1000

Refused = list[tuple[str, str]]  # path and message of each refused field


def single(value: Any) -> JobRequest:
    """Convert one request. Raises Refusal 422."""
    refused: Refused = []
    request = _request(value, "", refused)
    if request is None:
        raise refused_fields(refused)
    return request


def batch(value: Any) -> list[JobRequest]:
    """Convert 1 to 1,000 requests. Paths of refused fields begin with their index, as `[3].`. Raises Refusal 422."""
    if value.__class__ is not list:
        raise refused_fields([("", f"expected an array of 1 to {MAX_BATCH} jobs, found {found(value)}")])
    if not 1 <= len(value) <= MAX_BATCH:
        sentence = f"expected 1 to {MAX_BATCH} jobs, found {len(value)}: send more in several batches"
        raise refused_fields([("", sentence)])
    refused: Refused = []
    requests = []
    for index, each in enumerate(value):
        requests.append(_request(each, f"[{index}]", refused))
        if len(refused) >= ERRORS_SHOWN:
            break  # the answer shows no more, and each error costs a search for the nearest name
    if refused:
        raise refused_fields(refused)
    return [request for request in requests if request is not None]


def arguments(value: Any) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """Return the new `args` and `kwargs` for a retry, each None if not given. Raises Refusal 422."""
    refused: Refused = []
    given = checked(value, "", refused, ARGUMENTS)
    if refused:
        raise refused_fields(refused)
    return given.get("args"), given.get("kwargs")


def _request(value: Any, path: str, refused: Refused) -> JobRequest | None:
    before = len(refused)
    given = checked(value, path, refused, FIELDS)
    if len(refused) == before:
        if "task" not in given:
            refused.append((_below(path, "task"), "it is missing: the name of a task is expected"))
        if "delay" in value and "eta" in value:
            refused.append((_below(path, "delay"), "expected delay or eta, found both"))
    return None if len(refused) > before else JobRequest(**given)


def checked(value: Any, path: str, refused: Refused, table: Mapping[str, Field]) -> dict[str, Any]:
    """Check the fields of an object and return the values by attribute. Append the errors to `refused`."""
    given: dict[str, Any] = {}
    if value.__class__ is not dict:
        refused.append((path, f"expected an object, found {found(value)}"))
        return given
    for name, each in value.items():
        try:
            field = table.get(name)
            if field is None:
                raise ValueError(unknown(name, list(table), "field"))
            given[field.attribute] = field.check(each)
        except ValueError as error:
            refused.append((_below(path, name[:100]), str(error)))
            if len(refused) >= ERRORS_SHOWN:
                break
    return given


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
