"""Requests for a schedule: from decoded JSON to a ScheduleRequest. Each field is checked, and named if refused.

The engine checks the rest: whether the task and the time zone exist and whether the cron expression is valid.
"""

from __future__ import annotations

import time
from typing import Any

from duey.api.fields import FIELDS, TEN_YEARS_S, Field, instant, number, text
from duey.api.problem import refused_fields
from duey.api.requests import Refused, checked
from duey.control.schedules import CATCH_UP, NAME_PATTERN, OVERLAP, ScheduleRequest

KINDS = ("cron", "every", "at")


def _to_come(value: Any) -> float:
    at = instant(value)
    if not 0 < at - time.time() <= TEN_YEARS_S:
        raise ValueError(f"expected a time to come, within ten years, found {value!r}")
    return at


def _one_of(attribute: str, choices: tuple[str, ...], description: str) -> Field:
    def check(value: Any) -> str:
        if value not in choices or value.__class__ is not str:
            raise ValueError(f"expected one of {', '.join(choices)}, found {str(value)[:40]!r}")
        return str(value)

    return Field(attribute, check, {"enum": list(choices), "description": description})


SCHEDULE_FIELDS: dict[str, Field] = {
    "task": FIELDS["task"],
    "args": FIELDS["args"],
    "kwargs": FIELDS["kwargs"],
    "cron": text("cron", 300, "five fields, or a macro such as @daily"),
    "every": number("every_s", 1, TEN_YEARS_S, "seconds from one run to the next"),
    "at": Field("at", _to_come, {"type": "string", "format": "date-time", "description": "once, with a zone"}),
    "timezone": text("tz", 64, "an IANA zone such as Europe/Zagreb; without it the service's"),
    "catch_up": _one_of("catch_up", CATCH_UP, "what runs of that which was missed; without it the service's"),
    "overlap": _one_of("overlap", OVERLAP, "what a slot does while the run before it goes on; skip without it"),
    "window": number("window_s", 0, TEN_YEARS_S, "seconds: what was missed before is not caught up"),
}
CREATION_FIELDS = {"name": text("name", 80, f"{NAME_PATTERN}, in which it is told from others"), **SCHEDULE_FIELDS}
CHANGE_FIELDS = {
    **SCHEDULE_FIELDS,
    "version": text("version", 64, "of the schedule as it was seen: where it was changed since, the answer is a 409"),
}
SLOT_FIELDS = {
    "at": Field("at", instant, {"type": "string", "format": "date-time", "description": "a slot that did not run"})
}


def creation_of(value: Any) -> tuple[str, ScheduleRequest]:
    """Return the name and the schedule of a POST. Raises Refusal 422."""
    refused: Refused = []
    given = checked(value, "", refused, CREATION_FIELDS)
    if not refused and "name" not in given:
        refused.append(("name", "it is missing: a name for the schedule is expected"))
    name = given.pop("name", "")
    return name, _request(value, given, refused)


def change_of(value: Any) -> ScheduleRequest:
    """Return the schedule of a PUT. Raises Refusal 422."""
    refused: Refused = []
    return _request(value, checked(value, "", refused, CHANGE_FIELDS), refused)


def slot_of(value: Any) -> float | None:
    """Return the slot to run as epoch seconds, None if the body names none. Raises Refusal 422."""
    refused: Refused = []
    given = checked(value, "", refused, SLOT_FIELDS)
    if refused:
        raise refused_fields(refused)
    return given.get("at")


def _request(value: Any, given: dict[str, Any], refused: Refused) -> ScheduleRequest:
    if not refused:
        if "task" not in given:
            refused.append(("task", "it is missing: the name of a task is expected"))
        named = [kind for kind in KINDS if kind in value]
        if len(named) != 1:
            refused.append(("cron", f"expected one of cron, every and at, found {' and '.join(named) or 'none'}"))
    if refused:
        raise refused_fields(refused)
    return ScheduleRequest(**given)
