"""What would never run is refused when the task file is imported, with the sentence that mends it."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import huey as hueys
import pytest

from duey import at, cron, crontab, every
from duey.errors import Misconfigured
from duey.execution.huey import DurableHuey
from duey.scheduling.timetable import At
from tests.support.sqlite_huey import sqlite_huey

ROOT = Path(__file__).parents[2]


@pytest.fixture
def huey(tmp_path: Path) -> Iterator[DurableHuey]:
    with sqlite_huey(tmp_path) as made:
        yield made


async def later(moment: datetime) -> bool:
    return False


def nobody_asks() -> bool:
    return False


class Asked:
    def __call__(self, moment: datetime) -> bool:
        return False


FORGOTTEN: list[tuple[Any, str]] = [
    ("0 3 * * *", "write @huey.periodic_task(cron('0 3 * * *'))"),
    ("@daily", "write @huey.periodic_task(cron('@daily'))"),
    ("daily", "write @huey.periodic_task(cron('0 3 * * *'))"),
    (60, "write @huey.periodic_task(every(60))"),
    (1.5, "write @huey.periodic_task(every(1.5))"),
    (timedelta(minutes=5), "write @huey.periodic_task(every(300))"),
    (datetime(2030, 1, 1, tzinfo=timezone.utc), "write @huey.periodic_task(at(...) with this time in it)"),
    (None, "found None: write @huey.periodic_task(cron("),
    (True, "found True"),
    ({"minute": "0"}, "write @huey.periodic_task(cron("),
    (cron, "write @huey.periodic_task(cron('0 3 * * *'))"),
    (every, "write @huey.periodic_task(every(60))"),
    (at, "write @huey.periodic_task(at(...))"),
    (crontab, "write @huey.periodic_task(crontab(minute='0', hour='3'))"),
    (hueys.crontab, "write @huey.periodic_task(crontab(minute='0', hour='3'))"),
    (crontab.hourly, "write @huey.periodic_task(cron("),  # type: ignore[attr-defined]
    (nobody_asks, "found <function nobody_asks"),  # the decorator without parentheses
    (Asked, "found <class"),
    (later, "found <function later"),
]
TIMETABLES = (
    cron("0 3 * * *"), every(60), at(datetime(2030, 1, 1, tzinfo=timezone.utc)), crontab(minute="0"),
    hueys.crontab(minute="0"), crontab.hourly(), lambda moment: False, Asked(),  # type: ignore[attr-defined]
    functools.partial(lambda flag, moment: flag, False),
)  # fmt: skip


def test_what_is_no_timetable_is_refused_with_what_to_write_instead(huey: DurableHuey):
    for given, mend in FORGOTTEN:
        with pytest.raises(Misconfigured) as refused:
            huey.periodic_task(given)
        assert mend in str(refused.value), given
    for number, table in enumerate(TIMETABLES):
        huey.periodic_task(table, name=f"task{number}")(lambda: None)


def test_a_periodic_task_that_needs_arguments_is_refused(huey: DurableHuey):
    def needs(day: int) -> None: ...
    def has(day: int = 1, *rest: int, flag: bool = False, **more: int) -> None: ...
    def told(task: Any, day: int = 1) -> None: ...

    for options in ({}, {"context": True}):
        with pytest.raises(Misconfigured, match="task needs: missing a required argument: 'day': give that parameter"):
            huey.periodic_task(every(60), **options)(needs)
    with pytest.raises(Misconfigured, match="'task'"):
        huey.periodic_task(every(60))(told)
    huey.periodic_task(every(60))(has)
    huey.periodic_task(every(60), context=True)(told)
    huey.task()(needs)


def test_check_names_the_line(tmp_path: Path):
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = forgotten\n")
    (tmp_path / "forgotten.py").write_text(
        "from duey import huey\n\n\n@huey.periodic_task('0 3 * * *')\ndef nightly():\n    pass\n"
    )
    environ = {**os.environ, "DUEY_CONFIG": str(tmp_path / "config.ini")}
    check = [sys.executable, "manage.py", "check"]
    done = subprocess.run(check, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120)
    (said,) = done.stderr.splitlines()
    assert done.returncode == 1 and "forgotten.py, line 4: " in said and "cron('0 3 * * *')" in said


def test_a_time_that_cannot_be_is_named_as_a_day() -> None:
    for instant, found in ((253402300740.0, "9999-12-31"), (-1.0, "1969-12-31"), (float("nan"), "nan")):
        with pytest.raises(Misconfigured, match=f"a day or more before the year 10000, not {found}"):
            At(instant=instant)
