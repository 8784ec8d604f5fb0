"""A request to defer: from decoded JSON to values of duey.model.job, each field checked and named when refused.

A field that is not in the table is refused with the nearest name, for a misspelt `prioriy` that is silently
ignored is found a week later. What only the engine can know (is there such a task, do the arguments fit its
signature) is left to the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duey.api.fields import ARGUMENTS, FIELDS, Field, found
from duey.api.problem import ERRORS_SHOWN, refused_fields
from duey.api.query import unknown
from duey.model.job import JobRequest

MAX_BATCH = 1000

Refused = list[tuple[str, str]]  # path and sentence of each refused field


def single(value: Any) -> JobRequest:
    """One request. Raises Refusal 422."""
    refused: Refused = []
    request = _request(value, "", refused)
    if request is None:
        raise refused_fields(refused)
    return request


def batch(value: Any) -> list[JobRequest]:
    """1 to 1,000 requests; paths of refused fields begin with `[3].`. Raises Refusal 422."""
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
            break  # nobody reads more, and each costs a search for the nearest name
    if refused:
        raise refused_fields(refused)
    return [request for request in requests if request is not None]


def arguments(value: Any) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """The new `args` and `kwargs` of a retry, None for what is not given. Raises Refusal 422."""
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
    """The fields of an object by their attributes, each checked; what is refused is added to `refused`."""
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
