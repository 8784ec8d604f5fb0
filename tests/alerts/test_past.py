"""How often a rule would have told something, by a real history."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from duey import config
from duey.alerts.past import would_have_told
from duey.monitor.history import History
from tests.support import rows

HOUR, DAY, SINCE = 3600, 86400, 1_799_000_000 // 3600 * 3600


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(f"sqlite:///{tmp_path / 'monitor.db'}", config.load(environ={}).monitor)


def counted(
    history: History, table: str, values: Sequence[tuple[object, ...]], rate: int | None = None
) -> dict[str, int]:
    with history.database.writing() as db:
        for table_ in ("slots", "error_hours"):
            db.execute_sql(f"DELETE FROM {table_}")
        for row in values:
            db.execute_sql(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        return would_have_told(db, SINCE, rate)


@rows(
    ("hours", "found"),
    [
        ({}, 0), ({"a": [0]}, 1), ({"a": [0, 1, 2]}, 1), ({"a": [0, 2]}, 2), ({"a": [0, 1], "b": [1, 2]}, 2),
        ({"a": [-1, 0]}, 1), ({"a": [-1]}, 0),
    ],
)  # fmt: skip
def test_what_goes_on_from_hour_to_hour_is_told_once(history: History, hours: dict[str, list[int]], found: int) -> None:
    seen = [(name, SINCE + hour * HOUR, 6) for name, each in hours.items() for hour in each]
    assert counted(history, "error_hours", seen, 5)["error_rate"] == found
    assert counted(history, "error_hours", seen, 6)["error_rate"] == 0
    assert "error_rate" not in counted(history, "error_hours", seen)


@rows(
    ("outcomes", "missed", "failed"),
    [
        ("", 0, 0), ("on_time late", 0, 0), ("missed missed missed", 1, 0), ("missed on_time missed", 2, 0),
        ("failed expired missed", 0, 1), ("failed skipped failed", 0, 1),
        ("failed running failed on_time failed", 0, 2), ("missed on_time failed late expired", 1, 2),
    ],
)  # fmt: skip
def test_a_schedule_that_goes_wrong_several_times_in_a_row_is_told_once(
    history: History, outcomes: str, missed: int, failed: int
) -> None:
    seen = [("nightly", SINCE + n * DAY, outcome, None, None, None) for n, outcome in enumerate(outcomes.split())]
    for slots, times in ((seen, 1), ([*seen, *(("other", *each[1:]) for each in seen)], 2)):
        told = counted(history, "slots", slots)
        assert (told["schedule_missed"], told["schedule_failed"]) == (times * missed, times * failed)
