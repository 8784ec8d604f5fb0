"""How often a rule would have told something."""

from duey.alerts.past import bursts, schedules
from tests.support import rows

HOUR = 3600.0


@rows(
    ("seen", "found"),
    [
        ([], 0), ([("a", 1.0)], 1), ([("a", 1.0), ("a", 2.0), ("a", HOUR + 2)], 1),
        ([("a", 1.0), ("a", HOUR + 1.5)], 2), ([("a", 1.0), ("b", 1.0), ("b", 2.0)], 2), ([("", 1.0), ("", 3601.0)], 1),
    ],
)  # fmt: skip
def test_what_happens_within_an_hour_is_told_once(seen: list[tuple[str, float]], found: int) -> None:
    assert bursts(seen) == found


@rows(
    ("outcomes", "missed", "failed"),
    [
        ("", 0, 0), ("on_time late", 0, 0), ("missed missed missed", 1, 0), ("missed on_time missed", 2, 0),
        ("failed expired missed", 0, 1), ("failed skipped failed", 0, 1),
        ("failed running failed on_time failed", 0, 2),
        ("missed on_time failed late expired", 1, 2),
    ],
)  # fmt: skip
def test_a_schedule_that_goes_wrong_several_times_in_a_row_is_told_once(
    outcomes: str, missed: int, failed: int
) -> None:
    seen = [("nightly", outcome) for outcome in outcomes.split()]
    assert schedules(seen) == {"schedule_missed": missed, "schedule_failed": failed}
    twice = [*seen, *(("other", outcome) for _, outcome in seen)]
    assert schedules(twice) == {"schedule_missed": 2 * missed, "schedule_failed": 2 * failed}
