"""Who is told what, and how often: repeats, floods, flapping, quiet hours, failures of channels."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from duey.alerts.channels import ChannelFailed
from duey.alerts.incidents import CALM_S
from duey.alerts.message import digest_of
from duey.alerts.notifications import BACK_OFF_S
from duey.config.alerts import QuietHours
from duey.model.job import QueueInfo
from duey.monitor.history import HistoryUnavailable
from duey.monitor.history.database import Database
from tests.alerts.conftest import PLACE, WORKER, FakeChannel, World, both_databases
from tests.monitor.conftest import START
from tests.support import rows

HOUR, DAY = 3600.0, 86400.0
WAITS = QueueInfo("mails", 3, 601.0, False)
STATES = "SELECT kind, state, attempts, answer FROM notifications ORDER BY n"
NIGHT = QuietHours(22 * 60, 7 * 60)
TEN_PM = 1_800_000_000.0 - 1_800_000_000.0 % DAY + 22 * HOUR - START  # seconds after START


def wait_long(world: World, bad: bool = True) -> None:
    world.control.queue_infos = [WAITS] if bad else []


def test_ten_thousand_failures_of_one_cause_are_one_message_and_one_update(world: World) -> None:
    for _ in range(12):  # a minute
        for _ in range(833):
            world.fail()
        world.turn()
    for _ in range(13):
        world.turn()
    opened, updated = world.mail.sent
    assert (opened.kind, opened.count) == ("incident.opened", 833)
    assert (updated.kind, updated.count) == ("incident.updated", 12 * 833)
    assert opened.incident == updated.incident and opened.id != updated.id
    world.mail.sent.clear()
    world.turn(HOUR + 1)
    (closed,) = world.mail.sent
    assert (closed.kind, closed.count, closed.severity) == ("incident.closed", 12 * 833, "ok")


@both_databases
def test_three_hundred_causes_are_the_cap_and_one_digest(world: World) -> None:
    for n in range(300):
        world.fail(f"tasks.task{n}")
    world.turn()
    assert world.told() == [("opened", "error_new")] * 20
    world.turn(50)
    assert world.told() == []
    world.turn(11)
    (digest,) = world.mail.sent
    assert digest.kind == "digest" and digest.count == 280 and digest.title == "280 more incidents, 280 open"
    assert len(digest.lines) == 21 and digest.lines[-1] == "and 260 more"
    world.mail.sent.clear()
    for _ in range(3):
        world.turn(10 * 60)
    assert world.told() == []
    assert world.rows("SELECT COUNT(*) FROM notifications WHERE state = 'merged' AND digest IS NOT NULL") == [(280,)]
    world.turn(HOUR)  # all are over: what was told one by one is closed so, the rest in a digest
    assert world.told() == [("closed", "error_new")] * 20
    world.turn(61)
    (digest,) = world.mail.sent
    assert digest.title == "280 more incidents, 0 open" and digest.severity == "ok"


@both_databases
def test_a_digest_has_one_line_for_incidents_of_the_same_title(world: World) -> None:
    wait_long(world)
    world.turn()
    (one,) = world.store.open().values()
    made = [replace(one, title="add: no", count=n) for n in (1, 3)]
    made += [replace(one, title="add: no", closed_at=one.opened_at + 60), replace(one, title="mul: no", count=7)]
    made += [replace(one, title=f"task{n}: no") for n in range(20)]
    digest = digest_of(made, "id", world.clock(), PLACE)
    stamp = "2027-01-15 08:00:10 UTC"
    assert digest.lines[:3] == (
        f"{stamp}: add: no (2 incidents, 4 times)", f"{stamp}: add: no, over after 60 s", f"{stamp}: mul: no (7 times)",
    )  # fmt: skip
    assert digest.lines[-1] == "and 3 more" and digest.title == "24 more incidents, 23 open" and digest.count == 24


@both_databases
def test_an_open_incident_is_told_again_after_repeat_s_unless_somebody_has_seen_it(world: World) -> None:
    wait_long(world)
    world.turn()
    for _ in range(3):
        world.turn(2 * HOUR)
    assert world.told() == [("opened", "queue_age"), ("updated", "queue_age")]
    (incident,) = world.store.open().values()
    assert world.store.ack(incident.id, "ada", world.clock())
    assert not world.store.ack(incident.id, "bob", world.clock()), "the first one counts"
    world.turn(7 * HOUR)
    assert world.told() == []
    wait_long(world, False)
    world.turn()
    assert world.told() == [("closed", "queue_age")], "its end is told in any case"


@both_databases
def test_what_somebody_has_seen_is_not_told_again_however_often_it_happens(world: World) -> None:
    world.fail()
    world.turn()
    (incident,) = world.store.open().values()
    world.store.ack(incident.id, "ada", world.clock())
    for _ in range(99):
        world.fail()
    world.turn(61)
    assert world.told() == [("opened", "error_new")] and world.store.open()[incident.subject].count == 100


@both_databases
def test_a_muted_subject_is_not_told_until_then(world: World) -> None:
    wait_long(world)
    world.turn()
    (incident,) = world.store.open().values()
    assert world.store.mute(incident.id, world.clock() + HOUR) and not world.store.mute("none", None)
    assert world.told() == [("opened", "queue_age")]
    for bad in (False, True, False):
        wait_long(world, bad)
        world.turn(60)
    assert world.told() == []
    wait_long(world)
    world.turn(HOUR)
    assert world.told() == [("opened", "queue_age")]


@both_databases
def test_flapping_is_one_incident(world: World) -> None:
    for _ in range(3):
        for bad in (True, False):
            wait_long(world, bad)
            world.turn(60)
    assert world.told() == [("opened", "queue_age"), ("closed", "queue_age")] * 3
    for _ in range(8):
        for bad in (True, False):
            wait_long(world, bad)
            world.turn(60)
    (message,) = world.mail.sent
    assert message.kind == "incident.opened" and "again and again" in message.lines[0]
    world.mail.sent.clear()
    (incident,) = world.store.open().values()
    assert incident.flapping and incident.count == 8
    world.turn(CALM_S)
    assert world.told() == [("closed", "queue_age")]


@both_databases
def test_quiet_hours_hold_back_what_stays_open_and_sum_up_what_closed(world: World) -> None:
    world.mail.quiet = NIGHT
    world.clock.now = START + TEN_PM + HOUR
    world.turn()
    world.fail()
    for bad in (True, False):
        wait_long(world, bad)
        world.turn(60)
    world.control.worker_infos = []
    world.turn()
    world.turn(7 * HOUR)
    assert world.told() == []
    world.turn(HOUR)
    kinds = [(each.kind, each.rule) for each in world.mail.sent]
    assert sorted(kinds) == [("digest", "digest"), ("incident.opened", "no_consumer")]
    (digest,) = (each for each in world.mail.sent if each.kind == "digest")
    assert digest.title == "2 more incidents, 0 open" and "over after 60 s" in digest.lines[0]


@both_databases
@rows("rules, told", [(frozenset({"no_consumer"}), []), (frozenset({"queue_age"}), [("opened", "queue_age")])])
def test_a_channel_gets_only_its_rules(new_world, rules, told) -> None:
    world = new_world()
    world.mail.rules = rules
    wait_long(world)
    world.turn()
    assert world.told() == told
    assert len(world.store.open()) == 1, "the page shows it in any case"


def test_a_channel_that_is_configured_later_is_told_what_is_still_open(world: World) -> None:
    wait_long(world)
    world.turn()
    world.channels["chat"] = chat = FakeChannel("chat")
    world.set()
    world.turn()
    assert chat.sent == []
    world.turn(6 * HOUR)
    wait_long(world, False)
    world.turn()
    assert [each.kind for each in chat.sent] == ["incident.updated", "incident.closed"]


def test_without_a_channel_there_are_incidents(world: World) -> None:
    world.channels.clear()
    world.set()
    wait_long(world)
    world.turn()
    assert len(world.store.open()) == 1 and world.rows(STATES) == []


def test_a_rule_that_is_switched_off_closes_what_it_opened_and_says_nothing(world: World) -> None:
    wait_long(world)
    world.turn()
    world.told()
    world.set(rules="all -queue_age")
    world.turn()
    assert world.store.open() == {} and world.told() == []


# channels that fail


def test_a_failure_is_tried_again_with_back_off_and_the_same_id(world: World) -> None:
    world.mail.fails = [ChannelFailed("503 busy"), ChannelFailed("429 slow down", 500.0), None]
    wait_long(world)
    world.turn()
    assert world.rows(STATES) == [("incident.opened", "waiting", 1, "503 busy")]
    world.turn(BACK_OFF_S[0] - 1)
    assert world.rows(STATES)[0][2] == 1
    world.turn(2)
    assert world.rows(STATES) == [("incident.opened", "waiting", 2, "429 slow down")]
    world.turn(499)
    assert world.told() == []
    world.turn(2)
    assert world.told() == [("opened", "queue_age")]
    assert world.rows(STATES) == [("incident.opened", "sent", 3, "250 accepted")]


@rows("failure, days", [(ChannelFailed("550 no such user", permanent=True), 0.0), (ChannelFailed("timed out"), 1.0)])
def test_it_is_given_up_at_once_or_after_a_day(new_world, failure, days) -> None:
    world = new_world()
    world.mail.fails = [failure] * 1000
    wait_long(world)
    world.turn()
    for _ in range(int(days * 24 * 2)):
        assert world.rows(STATES)[0][1] == "waiting"
        world.turn(HOUR / 2)
    (state,) = world.rows("SELECT state, answer FROM notifications WHERE kind = 'incident.opened'")
    assert state == ("failed", failure.answer)


def test_the_end_is_not_told_before_the_beginning(world: World) -> None:
    world.mail.fails = [ChannelFailed("503 busy")]
    wait_long(world)
    world.turn()
    wait_long(world, False)
    world.turn()
    assert world.told() == [], "the beginning is due in a moment"
    world.turn(BACK_OFF_S[0])
    assert world.told() == [("opened", "queue_age"), ("closed", "queue_age")]


def test_what_opened_and_closed_before_anything_was_sent_is_summed_up(world: World) -> None:
    deliver, world.deliver = world.deliver, lambda: None  # type: ignore[method-assign]
    for bad in (True, False):
        wait_long(world, bad)
        world.turn()
    world.deliver = deliver  # type: ignore[method-assign]
    world.turn(61)
    assert world.told() == [("digest", "digest")]


def test_a_death_between_attempt_and_answer_sends_once_more(world: World) -> None:
    class Killed(BaseException):
        pass

    def killed_after(message: object, timeout_s: float) -> str:
        sent.append(message)
        raise Killed

    sent: list[object] = []
    send, world.mail.send = world.mail.send, killed_after  # type: ignore[method-assign, assignment]
    wait_long(world)
    with pytest.raises(Killed):
        world.turn()
    world.mail.send = send  # type: ignore[method-assign]
    world.set()  # another process
    world.turn()
    assert world.told() == [], "the attempt may still be going on"
    world.turn(60)
    (again,) = world.mail.sent
    assert [again] == sent
    world.turn(DAY)
    assert world.rows(STATES)[0][:3] == ("incident.opened", "sent", 2)


def test_a_channel_that_hangs_delays_no_other(new_world) -> None:
    world = new_world()
    hangs, release = threading.Event(), threading.Event()

    def hang(message: object, timeout_s: float) -> str:
        hangs.set()
        assert release.wait(60)
        return "at last"

    world.channels = {"slow": FakeChannel("slow"), "mail": FakeChannel("mail")}
    world.channels["slow"].send = hang  # type: ignore[method-assign, assignment]
    world.set()
    world.deliver = lambda: None
    got = threading.Event()
    accept = world.mail.send
    world.mail.send = lambda *args: (accept(*args), got.set())[0]  # type: ignore[method-assign]
    wait_long(world)
    world.turn()
    for each in world.senders:
        each.start()
    try:
        assert hangs.wait(60) and got.wait(60)
        assert [each.rule for each in world.mail.sent] == ["queue_age"]
    finally:
        release.set()
        for each in world.senders:
            each.stop()
        for each in world.senders:
            each._thread.join(60)
            assert not each._thread.is_alive()


def test_what_waits_for_a_channel_that_is_gone_is_given_up(world: World) -> None:
    world.mail.fails = [ChannelFailed("503 busy")]
    wait_long(world)
    world.turn()
    world.outbox.give_up_unknown({})
    ((_, state, _, answer),) = world.rows(STATES)
    assert state == "failed" and "no channel of this name" in answer


# the history itself


def test_a_history_that_cannot_be_written_is_told_from_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(database: object) -> None:
        raise HistoryUnavailable("monitor.db", "cannot grow because their disk is full")

    writing = Database.writing
    monkeypatch.setattr(Database, "writing", full)
    wait_long(world)
    for after_s in (0, 200, 99, 2, 100, 6 * HOUR):
        world.clock.advance(after_s)
        world.evaluator._next_at = 0.0
        world.evaluator.turn()
    assert [(each.kind, each.rule) for each in world.unwritten] == [("incident.opened", "history")] * 2
    assert "disk is full" in dict(world.unwritten[0].facts)["problem"]
    assert world.unwritten[0].id != world.unwritten[1].id
    world.unwritten.clear()
    monkeypatch.setattr(Database, "writing", writing)
    world.turn()
    assert [each.kind for each in world.unwritten] == ["incident.closed"]
    assert world.told() == [*[("opened", "history")] * 2, ("closed", "history"), ("opened", "queue_age")]


def test_one_process_evaluates(world: World) -> None:
    other = World.__new__(World)
    other.__dict__.update(world.__dict__)
    other.set()
    world.evaluator.turn()
    other.evaluator.turn()
    assert world.evaluator.leading and not other.evaluator.leading
    world.evaluator._lease.release()
    other.evaluator.turn()
    assert other.evaluator.leading


def test_where_another_history_is_recorded_nothing_is_evaluated(world: World) -> None:
    """What it would find is wrong: nothing is recorded there, so everything looks as if it had stopped."""
    world.set(history_s=10)
    world.control.events = 5
    world.elsewhere = "the history of this queue is recorded at boreas:/srv/monitor.db"

    def an_hour() -> list[str]:
        for _ in range(2):
            world.clock.advance(1800)
            world.evaluator._next_at = 0.0
            world.evaluator.turn()
        return list(world.store.open())

    assert an_hour() == [] and not world.evaluator.leading
    world.elsewhere = ""
    assert an_hour() == ["history"] and world.evaluator.leading


def test_nothing_is_written_while_nothing_changes(world: World) -> None:
    wait_long(world)
    world.turn()
    before = world.rows("SELECT total_changes()")
    for _ in range(5):
        world.turn(1)
    assert world.rows("SELECT total_changes()") == before
    world.control.worker_infos = [replace(WORKER, pid=72)]
    world.turn(1)
    assert world.rows("SELECT total_changes()") == before


# by the hour


def hours(world: World, count: int) -> None:
    for _ in range(count):
        world.clock.advance(HOUR)
        world.evaluator._next_at = world.evaluator._hourly_at = 0.0
        world.evaluator.turn()


def test_a_weekly_drill_is_held_each_week(world: World) -> None:
    hours(world, 24 * 8)
    assert world.drills == [], "it is off"
    world.set(drill="weekly")
    hours(world, 24 * 15)
    assert [round((at - world.drills[0]) / DAY) for at in world.drills] == [0, 7, 14]


def test_what_is_old_is_removed(world: World) -> None:
    wait_long(world)
    world.turn()
    wait_long(world, False)
    world.turn()
    world.fail()
    world.turn()
    counts = "SELECT (SELECT COUNT(*) FROM incidents), (SELECT COUNT(*) FROM notifications)"
    assert world.rows(counts) == [(2, 3)]
    world.clock.advance(179 * DAY)
    hours(world, 1)
    assert world.rows(counts)[0][0] == 2
    world.clock.advance(2 * DAY)
    hours(world, 1)
    assert world.rows("SELECT rule FROM incidents") == [("error_new",)]


# what helps to mend it


def test_the_message_holds_the_runbook_and_what_differs_from_the_last_success(world: World) -> None:
    world.runbooks["tasks.add"] = "Ask Ann.\nThen retry."
    world.story.enqueue("good", world.at, args=[1], detail={"names": ["order"]})
    world.story.done("good", world.at, world.at + 0.1)
    world.clock.advance(1)
    world.story.enqueue("bad", world.at, args=[2], detail={"names": ["order"]})
    world.story.failed("bad", world.at, world.at + 1)
    world.turn()
    (message,) = world.mail.sent
    assert message.lines == ("This error was never seen before.", "When it fails: Ask Ann.\nThen retry.")
    added = {label: value for label, value in message.facts if label.startswith("since")}
    assert added == {
        "since the last success: argument order": "2 (was 1)",
        "since the last success: ran for": "1 s (was 100 ms)",
    }
    world.fail(message="another")
    world.turn(61)
    (incident,) = world.store.open().values()
    facts = dict(incident.facts)
    assert incident.count == 2 and facts["error"] == "ValueError: another", "what happens since is written"
    assert facts.items() >= added.items() and incident.lines == message.lines, "and what helps stays"
