"""Numbers that make no sense are refused with a sentence, by every door; nothing is stored."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from duey import Retry, errors
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.model.job import JobRequest
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])
SENSELESS: dict[str, tuple[Any, ...]] = {
    "retries": (-1, "3", 1.5, math.nan, math.inf, True, [2]),
    "retry_delay": (-5, "10", math.nan, math.inf),
    "retry_backoff": (-1, "2", math.nan, math.inf),
    "priority": ("high", math.nan, math.inf, -math.inf, None.__class__),
    "expires": ("soon", math.nan, math.inf),
    "timeout": (0, -1, "10", math.nan, math.inf),
}
SOUND: dict[str, tuple[Any, ...]] = {
    "retries": (0, 3), "retry_delay": (0, 0.5), "retry_backoff": (0, 1.5), "priority": (-3, 0.5, 100),
    "expires": (5, -1, timedelta(seconds=5)), "timeout": (0.1, 60),
}  # fmt: skip
PAIRS = [(name, value) for name, values in SENSELESS.items() for value in values]
SOUND_PAIRS = [(name, value) for name, values in SOUND.items() for value in values]


def body() -> None:
    """Nothing."""


def test_the_decorator(huey: DurableHuey):
    for name, value in PAIRS:
        for made in (huey.task(**{name: value}), huey.periodic_task(lambda at: False, **{name: value})):
            with pytest.raises(errors.Misconfigured, match=rf"^task body: {name} is .*, not "):
                made(body)
    for n, (name, value) in enumerate(SOUND_PAIRS):
        huey.task(name=f"sound_{n}", **{name: value})(body)
    for wrong, right in (("retrys", "retries"), ("time_out", "timeout"), ("prio", "priority"), ("expire", "expires")):
        with pytest.raises(errors.Misconfigured, match=f"no option '{wrong}'; did you mean '{right}'"):
            huey.task(**{wrong: 1})(body)
    for value in ("why", math.nan, math.inf):
        with pytest.raises(ValueError, match=r"^Retry: expected the seconds until the next attempt, found "):
            Retry(value)  # type: ignore[arg-type]


def test_a_call(huey: DurableHuey):
    task = huey.task()(body)
    for door in (task, task.s, lambda **options: task.schedule(delay=1, **options)):
        for name, value in PAIRS:
            with pytest.raises(errors.InvalidArguments, match=f"{name}: expected .*, found "):
                door(**{name: value})
    for value in ("soon", math.nan, math.inf, 1e300):
        for late in (lambda **options: task.schedule(**options), task):
            with pytest.raises(errors.BadRequest, match=r"^delay is a number of seconds or a timedelta, not "):
                late(delay=value)
    assert (huey.pending_count(), huey.scheduled_count()) == (0, 0)
    for name, value in SOUND_PAIRS:
        task(**{name: value})
    task(delay=-1)
    assert huey.pending_count() == 1 + len(SOUND_PAIRS)


def test_what_a_program_or_a_person_asks_for(huey: DurableHuey):
    huey.task(name="asked")(body)
    fields = {"delay": ("delay_s", (math.nan, math.inf)), "eta": ("eta", (math.nan, math.inf))}
    fields |= {name: (name, SENSELESS[name]) for name in ("retries", "priority")}
    fields["expires"] = ("expires_s", (math.inf, math.nan))
    for name, (field, values) in fields.items():
        for value in values:
            request: Any = {field: value}
            with pytest.raises(errors.InvalidArguments) as refused:
                Control(huey).enqueue([JobRequest("asked", **request)])
            assert [each.path for each in refused.value.errors] == [name], (field, value)
    assert (huey.pending_count(), huey.scheduled_count()) == (0, 0)
