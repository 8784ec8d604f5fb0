"""Each rule opens one incident and closes it once, and is off where it is not wanted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from duey.alerts.channels import channels_of
from duey.alerts.peers import Peers
from duey.config import load
from duey.model.job import QueueInfo
from duey.monitor.history import HistoryUnavailable
from duey.monitor.history.database import Database
from duey.monitor.history.recording import copies
from tests.alerts.conftest import WORKER, World
from tests.monitor.conftest import START
from tests.recipes.http_peer import HttpPeer, answer
from tests.recipes.smtp_peer import SmtpPeer
from tests.support import rows

HOUR, DAY = 3600.0, 86400.0


def known_error(world: World) -> None:
    """An error that is not new any more, and not told any more."""
    world.fail()
    world.turn()
    world.turn(2 * HOUR)
    world.mail.sent.clear()


def regressed(world: World) -> None:
    known_error(world)
    world.history.mark_group(world.history.error_groups().groups[0].fingerprint, "fixed")
    world.clock.advance(10)
    world.fail()


def again_and_again(world: World) -> None:
    known_error(world)
    for _ in range(6):
        world.story.enqueue(job_id := f"r{next(world.numbers)}", world.at)
        world.story.failed(job_id, world.at, world.at, kind="retrying", error=("ValueError", "no", ADD))


ADD = 'Traceback (most recent call last):\n  File "/srv/tasks.py", line 1, in add\n    call()\nValueError: no\n'


def failed_for_good(world: World) -> None:
    known_error(world)
    world.fail()


def each_job(world: World) -> None:
    world.control.tasks["tasks.add"] = "each"
    world.fail(job_id="precious")


def retried_well(world: World) -> None:
    world.story.tell("retried", "precious", world.at)
    world.story.done("precious", world.at, world.at + 1)


def late_slot(world: World) -> None:
    world.story.enqueue("late", world.at)
    world.slot("nightly", world.at - 400, "late", "late")


def unstarted_slot(world: World) -> None:
    """It is queued since it was due; then it starts, and ends, and the history hears of that late."""
    due = world.at
    world.control.stored["waits"] = SimpleNamespace(job=SimpleNamespace(attempt=0), started_at=None, finished_at=None)
    world.story.enqueue("waits", due)
    world.slot("nightly", due - DAY, "on time")
    world.slot("nightly", due, "running", "waits")
    world.turn(290)
    assert world.told() == []
    world.clock.advance(20)


def in_time(world: World) -> None:
    world.story.enqueue("on time", world.at)
    world.slot("nightly", world.at, "on time", "on time")


def hourly(world: World) -> None:
    for n in range(4):
        world.slot("nightly", world.at + n * HOUR, "on time" if n < 3 else "running")
    world.clock.advance(4 * HOUR + 301)


def no_new_runs(world: World) -> None:
    world.control.schedules.since = world.clock()
    world.clock.advance(61)


def waits(world: World) -> None:
    world.control.queue_infos = [QueueInfo("mails", 3, 601.0, False), QueueInfo("paused", 3, 1e6, True)]


def no_workers(world: World) -> None:
    world.control.worker_infos = [replace(WORKER, alive=False), replace(WORKER, worker_type="alone")]
    world.turn()
    world.clock.advance(61)


def storage_away(world: World) -> None:
    world.control.away = True
    world.turn()
    world.clock.advance(61)


def rescued(world: World) -> None:
    world.story.enqueue("unlucky", world.at)
    world.story.tell("rescued", "unlucky", world.at, detail={"host": "h", "pid": 3, "crashes": 1})


def idle_death(world: World) -> None:
    world.story.tell("died", "", world.at, detail={"host": "h", "pid": 3, "how": "by SIGKILL"}, worker=7)


def unrecorded(world: World) -> None:
    world.control.events = 12
    world.turn()
    world.clock.advance(301)


def slow(world: World) -> None:
    for n in range(25):
        world.story.plain_job(f"quick{n}", world.at, task="tasks.crunch")
    world.turn()
    world.clock.advance(100)
    world.control.run("slow", "tasks.crunch", world.clock() - 90)


def old_backup(world: World) -> None:
    world.clock.advance(49 * HOUR)


def fresh_backup(world: World) -> None:
    folder = world.folder / "backups" / "2027-01-15"
    folder.mkdir(parents=True)
    (folder / "backup.json").write_text('{\n "complete": true,\n "files": {}\n}')
    os.utime(folder / "backup.json", (world.clock(), world.clock()))


def unready_peer(world: World) -> None:
    """A real service, which answers 503 until `ready_peer`."""
    world.other = HttpPeer(answer(503)).__enter__()  # type: ignore[attr-defined]
    world.peers = Peers([world.other.url(path="/readyz")], lambda: True, world.clock)  # type: ignore[attr-defined]
    world.peers.ask()
    world.clock.advance(61)


def ready_peer(world: World) -> None:
    world.other.behave = answer(200)  # type: ignore[attr-defined]
    world.peers.ask()
    world.other.__exit__()  # type: ignore[attr-defined]


def calm(world: World) -> None:
    for _ in range(13):  # it is looked at meanwhile
        world.turn(300)


BOTH_WAYS = [  # rule, settings, what turns it bad, what turns it well
    ("error_new", {}, World.fail, calm),
    ("error_regressed", {}, regressed, calm),
    ("error_rate", {"error_rate_per_hour": 5}, again_and_again, calm),
    ("job_failed", {}, failed_for_good, calm),
    ("job_failed", {}, each_job, retried_well),
    ("schedule_missed", {}, lambda w: w.slot("nightly", w.at, "missed", reason="down"), in_time),
    ("schedule_failed", {}, lambda w: w.slot("nightly", w.at, "failed", "x"), in_time),
    ("schedule_late", {}, late_slot, in_time),
    ("schedule_late", {}, unstarted_slot, in_time),
    ("schedule_overdue", {}, hourly, in_time),
    ("schedule_overdue", {}, no_new_runs, lambda w: setattr(w.control.schedules, "since", None)),
    ("queue_age", {}, waits, lambda w: w.control.queue_infos.clear()),
    ("no_consumer", {}, no_workers, lambda w: w.control.worker_infos.append(WORKER)),
    ("no_consumer", {}, storage_away, lambda w: setattr(w.control, "away", False)),
    ("worker_killed", {}, rescued, calm),
    ("worker_killed", {}, idle_death, calm),
    ("worker_killed", {}, lambda w: w.fail(kind="WorkerDied"), calm),
    ("disk_free", {"disk_free_mb": 10**9}, lambda w: None, lambda w: w.set(disk_free_mb=1)),
    ("history", {}, unrecorded, lambda w: setattr(w.control, "events", 0)),
    ("backup", {"backup_hours": 48}, old_backup, fresh_backup),
    ("backup", {"backup_hours": 48}, old_backup, lambda w: w.store.note_backup(w.clock())),
    ("peer", {"peers": "http://127.0.0.1:9/readyz"}, unready_peer, ready_peer),
    ("slow_job", {"slow_factor": 4}, slow, lambda w: w.control.worker_infos.__setitem__(0, WORKER)),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SmtpPeer, HttpPeer]]:
    with SmtpPeer() as smtp, HttpPeer() as http:
        yield smtp, http


def connect(world: World, smtp: SmtpPeer, http: HttpPeer) -> Callable[[], list[list[str]]]:
    """Let the world tell these servers as well. Returns what each of them was told since the last call."""
    settings = (
        f"[smtp]\nhost = 127.0.0.1\nport = {smtp.port}\nsender = duey@example.org\nstarttls = no\n"
        f"[alerts]\nemail = ann@example.org name=ann\nwebhook = {http.url()} name=hook\n"
    )
    (world.folder / "real.ini").write_text(settings)
    world.channels.update(channels_of(load(world.folder / "real.ini", {})))  # type: ignore[arg-type]

    def told() -> list[list[str]]:
        mails = ["closed" if "Resolved: " in each.message["Subject"] else "opened" for each in smtp.taken]
        bodies = [json.loads(each.body) for each in http.received]
        smtp.taken.clear()
        http.received.clear()
        return [mails, [f"{each['type']} {each['rule']}" for each in bodies]]

    return told


@rows("rule, options, bad, well", BOTH_WAYS)
def test_each_rule_opens_and_closes_once_also_at_a_real_mail_and_http_server(
    new_world, servers, rule, options, bad, well
) -> None:
    world = new_world()
    arrived = connect(world, *servers)
    world.set(**options)
    bad(world)
    arrived()
    world.turn()
    assert world.told() == [("opened", rule)] and arrived() == [["opened"], [f"incident.opened {rule}"]]
    for _ in range(3):
        world.turn()
    assert world.told() == [] and arrived() == [[], []], "it is told once"
    well(world)
    world.turn()
    assert world.told() == [("closed", rule)] and arrived() == [["closed"], [f"incident.closed {rule}"]]
    world.turn()
    assert world.told() == [] and world.store.open() == {}


@rows("rule, options, bad, well", BOTH_WAYS)
def test_a_rule_that_is_off_tells_nothing(new_world, rule, options, bad, well) -> None:
    world = new_world()
    world.set(**options, rules=f"all -{rule}")
    bad(world)
    world.turn()
    told = world.told()
    assert rule not in [name for _, name in told]
    assert told in ([], [("opened", "job_failed")], [("opened", "error_new")]), "what else is true of it may be told"


def test_the_disk_is_told_below_its_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, told in ((513e6, []), (511e6, [("opened", "disk_free")]), (513e6, [("closed", "disk_free")])):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: SimpleNamespace(free=free))
        world.turn()
        assert all(("free", "511 MB") in each.facts for each in world.mail.sent if each.kind == "incident.opened")
        assert world.told() == told


def test_that_the_history_cannot_be_written_is_told_to_a_real_mail_and_http_server(
    world: World, servers: tuple[SmtpPeer, HttpPeer], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = connect(world, *servers)
    world.set()
    arrived()

    def full(database: object) -> None:
        raise HistoryUnavailable("monitor.db", "cannot grow because their disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(Database, "writing", full)
        waits(world)  # it has something to write
        for after_s in (0, 301, 5, 5):
            world.clock.advance(after_s)
            world.evaluator._next_at = 0.0
            world.evaluator.turn()
            world.deliver()
        assert arrived() == [["opened"], ["incident.opened history"]], "once, although nothing can be stored"
    world.control.queue_infos.clear()
    world.turn()
    world.turn()
    assert arrived() == [["closed"], ["incident.closed history"]]


def test_one_cause_is_one_incident_whatever_it_is_told_for(world: World) -> None:
    world.fail()
    world.fail()
    world.turn()
    (message,) = world.mail.sent
    assert (message.rule, message.count, message.title) == ("error_new", 2, "add: ValueError: no")
    assert dict(message.facts)["task"] == "add" and dict(message.facts)["error"] == "ValueError: no"
    assert message.url == f"https://duey.example.org/monitor/alerts?incident={message.incident}"


@rows(
    "alert, told",
    [
        ("never", []),
        ("group", [("opened", "error_new")]),
        ("each", [("opened", "job_failed"), ("opened", "job_failed")]),
    ],
)
def test_a_task_says_how_its_failures_are_told(new_world, alert, told) -> None:
    world = new_world()
    world.control.tasks["tasks.add"] = alert
    world.fail()
    world.fail()
    world.turn()
    assert world.told() == told


def test_when_too_many_jobs_fail_to_be_told_one_by_one_they_are_told_by_cause(world: World) -> None:
    world.control.tasks["tasks.add"] = "each"
    for _ in range(201):
        world.fail()
    world.turn()
    (message,) = world.mail.sent
    assert (message.rule, message.count) == ("error_new", 201)


def test_a_failed_run_of_a_schedule_is_told_of_the_schedule_alone(world: World) -> None:
    world.fail(job_id="run", by="schedule:nightly")
    world.slot("nightly", world.at, "failed", "run")
    world.turn()
    (message,) = world.mail.sent
    assert message.rule == "schedule_failed"
    facts = dict(message.facts)
    assert facts["schedule"] == "nightly" and facts["error"] == "ValueError: no" and facts["job"] == "run"


def test_failed_runs_of_a_task_that_is_never_told_are_not_told_of_its_schedule(world: World) -> None:
    world.control.tasks["tasks.add"] = "never"
    world.fail(job_id="run", by="schedule:nightly")
    world.slot("nightly", world.at, "failed", "run")
    world.turn()
    assert world.told() == []


def test_what_is_known_of_a_killed_worker_stays_until_another_one_is(world: World) -> None:
    rescued(world)
    for _ in range(3):
        world.turn(61)
        (incident,) = world.store.open().values()
        assert dict(incident.facts)["job"] == "unlucky"


def test_a_schedule_whose_interval_became_longer_is_not_overdue(world: World) -> None:
    for n in range(4):
        world.slot("nightly", world.at + n * HOUR, "on time")
    world.clock.advance(30 * HOUR)  # it is daily now
    world.turn()
    assert world.told() == []


def test_what_was_before_alerts_is_not_told(world: World) -> None:
    world.slot("nightly", -DAY, "failed", "x")
    world.turn()
    assert world.told() == []


def test_a_run_that_starts_late_is_told_once_whether_it_waits_runs_or_has_ended(world: World) -> None:
    unstarted_slot(world)
    world.turn()
    assert world.told() == [("opened", "schedule_late")]
    due, stored = world.at - 315, world.control.stored["waits"]
    stored.started_at = world.clock()
    for ended in (False, True):
        if ended:
            stored.finished_at, stored.job.attempt = world.clock(), 1
        world.turn(1000)
        assert world.told() == [], "it runs, or has ended and the history does not know it yet"
    world.slot("nightly", due, "on time", "waits")
    world.story.done("waits", due + 320, due + 2000)
    world.turn()
    assert world.told() == [], "it was late"
    in_time(world)
    world.turn()
    assert world.told() == [("closed", "schedule_late")]


@rows("stored", [None, (1, None), (1, 5.0), (0, 5.0)])
def test_a_run_whose_start_nobody_knows_or_that_started_in_time_is_not_late(new_world, stored) -> None:
    """It was removed, waits to be tried again, is tried again, or just runs for long."""
    world = new_world()
    unstarted_slot(world)
    attempt, started = stored or (0, None)
    found = SimpleNamespace(job=SimpleNamespace(attempt=attempt), finished_at=None, started_at=None)
    found.started_at = None if started is None else world.clock() - 300 + started
    world.control.stored["waits"] = None if stored is None else found
    world.turn()
    assert world.told() == []


def test_marked_errors_are_not_told_and_close(world: World) -> None:
    for state in ("muted", "fixed"):
        world.fail(task := f"tasks.{state}")
        world.turn()
        assert world.told() == [("opened", "error_new")]
        group = next(each for each in world.history.error_groups().groups if each.qualname == task)
        world.history.mark_group(group.fingerprint, state)
        world.turn()
        assert world.told() == [("closed", "error_new")], state


def test_a_late_event_is_told_although_it_is_old(world: World) -> None:
    world.turn(2 * HOUR)
    world.story.enqueue("late", 10.0)
    world.story.failed("late", 11.0, 12.0)
    world.turn()
    assert world.told()[:1] == [("opened", "error_new")]


def test_while_the_queue_is_away_nothing_is_closed(world: World) -> None:
    waits(world)
    world.turn()
    assert world.told() == [("opened", "queue_age")]
    world.control.away = True
    world.turn()
    world.turn(61)
    (message,) = world.mail.sent
    assert message.rule == "no_consumer" and dict(message.facts)["problem"] == "the queue is away"
    assert list(world.store.open()) == ["queue mails", "storage"]


def test_a_consumer_that_has_been_away_longer_than_this_process_runs(world: World) -> None:
    copies.note_workers(world.history.database, [WORKER], START)
    world.control.worker_infos = []
    world.clock.advance(HOUR)
    world.set()  # a new process: its consumer needs a moment to start
    world.turn()
    assert world.told() == []
    world.turn(61)
    assert world.told() == [("opened", "no_consumer")]
