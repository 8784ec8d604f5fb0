"""How often a rule would have told something, counted from history and readings."""

from __future__ import annotations

import pytest

from duey.alerts.past import COUNTERS, _of_schedule, counted_bursts, rule_views, runs_above
from duey.config.alerts import RULES
from duey.model.job import QueueInfo
from duey.monitor.history import HistoryUnavailable
from duey.monitor.history.database import Database
from tests.alerts.conftest import World, both_databases
from tests.alerts.test_rules import BOTH_WAYS, slow, unstarted_slot
from tests.support import rows

HOUR, DAY = 3600.0, 86400.0


def counted(world: World) -> dict[str, int | None]:
    """What the page shows, after the counters of an hour were asked."""
    for counter in COUNTERS:
        world.store.count_past(counter, world.options, world.clock())
    with world.history.database.reading() as db:
        views = rule_views(db, world.options, world.clock())
    assert [each.name for each in views] == list(RULES)
    assert all((each.would is None) == bool(each.why) for each in views), "a number, or words"
    return {each.name: each.would for each in views}


ENDS = (slow, unstarted_slot)  # counted once it has ended


@both_databases
@rows("rule, options, bad, well", [row for row in BOTH_WAYS if row[2] not in ENDS])
def test_what_a_rule_tells_is_counted(new_world, rule, options, bad, well) -> None:
    world: World = new_world()
    world.set(**options)
    assert counted(world)[rule] == int(rule == "disk_free"), "its threshold is above any disk"
    bad(world)
    world.turn()
    assert counted(world)[rule] in (1, 2), "twice where it had to happen before"
    well(world)
    world.clock.advance(31 * DAY)
    if rule != "backup":  # it is too old again
        world.turn()
        assert counted(world)[rule] == 0, "30 days are counted"


@both_databases
def test_a_slow_job_is_counted_when_it_has_ended(world: World) -> None:
    world.set(slow_factor=4)
    for n in range(100):
        world.story.plain_job(f"quick{n}", world.at, task="tasks.crunch")
    for n, run_s in enumerate((70.0, 59.0, 300.0)):
        world.story.enqueue(f"slow{n}", world.at, task="tasks.crunch")
        world.story.done(f"slow{n}", world.at, world.at + run_s, task="tasks.crunch")
        world.story.enqueue(f"rare{n}", world.at, task="tasks.rare")
        world.story.done(f"rare{n}", world.at, world.at + 10 * run_s, task="tasks.rare")
    world.turn()
    assert counted(world)["slow_job"] == 2, "longer than a minute, of a task that ran often enough"


@both_databases
def test_a_rule_without_a_threshold_is_not_counted(world: World) -> None:
    with world.history.database.reading() as db:
        before = {each.name: each.why for each in rule_views(db, world.options, world.clock())}
    assert before["error_new"] == "not counted yet"
    assert {before[rule] for rule in ("error_rate", "backup", "slow_job", "peer")} == {"not set"}
    assert sorted(rule for rule, would in counted(world).items() if would is None) == [
        "backup", "error_rate", "peer", "slow_job",
    ]  # fmt: skip


@both_databases
def test_values_are_kept_so_that_another_threshold_can_be_tried(world: World) -> None:
    """Also through an outage of the history and a restart, and as the worst of each hour."""
    world.clock.advance(61)
    waits_s = 700.0

    def wait(seconds: float) -> None:
        world.control.queue_infos = [QueueInfo("mails", 3, seconds, False), QueueInfo("paused", 3, 1e6, True)]
        world.turn()

    wait(waits_s)
    wait(10.0)
    world.set()
    wait(50.0)
    for limit, times in ((699, 1), (701, 0), (49, 1)):
        world.set(queue_age_s=limit)
        assert counted(world)["queue_age"] == times, limit
    world.set(queue_age_s=600)
    world.clock.advance(2 * HOUR)
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Database, "writing", unwritable)
        with pytest.raises(HistoryUnavailable):
            wait(waits_s)
    world.control.queue_infos = []
    world.turn(HOUR)
    assert counted(world)["queue_age"] == 1, "what could not be read while nothing could be written is unknown"
    rows_ = world.rows("SELECT subject, worst FROM readings WHERE subject NOT LIKE 'disk %'")
    assert rows_ == [("queue mails", waits_s)], "nothing is kept of what is well"
    assert world.rows("SELECT value FROM marks WHERE name = 'readings_since'") != []
    world.store.tidy(world.clock() + 60 * DAY)
    assert world.rows("SELECT * FROM readings") == []


def unwritable(database: object) -> None:
    raise HistoryUnavailable("monitor.db", "cannot grow because their disk is full")


@both_databases
def test_the_evaluator_counts_every_hour(world: World) -> None:
    for _ in range(len(COUNTERS) + 3):
        world.evaluator.turn()
    with world.history.database.reading() as db:
        assert {each.would for each in rule_views(db, world.options, world.clock())} == {0, None}


@rows(
    "hours, found",
    [
        ({}, 0), ({"a": [0]}, 1), ({"a": [0, 1, 2]}, 1), ({"a": [2, 0]}, 2), ({"a": [0, 1], "b": [1, 2]}, 2),
    ],
)  # fmt: skip
def test_what_goes_on_from_hour_to_hour_counts_once(hours, found) -> None:
    assert counted_bursts((name, hour * HOUR) for name, each in hours.items() for hour in each) == found


@rows(
    "outcomes, told",
    [
        ("", ""), ("ok ok", ""), ("late ok late late", "late late"), ("missed missed missed", "missed"),
        ("missed ok missed", "missed missed"), ("failed expired missed", "failed"),
        ("failed skipped failed", "failed"), ("failed running failed ok failed", "failed failed"),
        ("missed late expired", "missed late failed"), ("ok ok slow ok", "overdue"), ("ok ok waiting ok", ""),
        ("ok ok waiting waiting ok", "overdue"), ("ok", ""), ("ok ok running", ""),
    ],
)  # fmt: skip
def test_a_schedule_that_goes_wrong_several_times_in_a_row_is_told_once(outcomes, told) -> None:
    words = outcomes.split()
    slots = [
        (
            n * HOUR, "on time" if each in ("ok", "slow", "late") else each, n * HOUR + 301 * (each == "late"),
            n * HOUR + (2 * HOUR if each == "slow" else 1),
        )
        for n, each in enumerate(words)
    ]  # fmt: skip
    found = _of_schedule(slots, 300.0, len(words) * HOUR)
    assert [rule.removeprefix("schedule_") for rule in found] == told.split()


@rows(
    "limit_s, buckets, longest_s, found",
    [
        (60, "", 59.0, 0), (60, "10:5", 59.0, 0), (60, "16:4", 61.0, 1), (60, "16:4 17:2 18:1", 200.0, 4),
        (40, "16:8", 65.0, 6), (100_000_000, "25:3", 2e8, 2),
    ],
)  # fmt: skip
def test_about_as_many_runs_as_were_longer(limit_s, buckets, longest_s, found) -> None:
    assert runs_above(limit_s * 1000, buckets, longest_s * 1000) == found
