"""A deployment as an admin finds it one morning, with everything that a page can show."""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from duey import clock
from duey.alerts.incidents import Change
from duey.alerts.rules.finding import Finding
from duey.alerts.store import Store
from duey.config.alerts import QuietHours
from duey.control.schedules import ScheduleRequest
from duey.model.schedule import DEFERRED, MISSED, SKIPPED, OccurrenceRow, Tick
from duey.monitor.history import History
from tests.contracts.rig import job, payload_of, run_all, run_next
from tests.monitor.conftest import Clock
from tests.monitor.history.conftest import Queue, Story, traceback
from tests.monitor.web.world import FakeChannel, World, make_world, tell_all

HOUR, DAY = 3600.0, 86400.0
TASKS = ("tasks.deliver_webhook", "tasks.send_email", "tasks.add", "periodic.heartbeat", "periodic.nightly_backup")
MAIL = {"to": "ana@example.org", "subject": "Invoice 7", "text": "Dear customer, …"}


def make_morning(world: World, at: Clock) -> None:
    """What happened until now: jobs of every state but running, figures, error groups, schedules, a visit."""
    now = at.now
    _past(world.history, now)
    at.now = now - 9 * HOUR
    world.history.note_visit("ana")
    gone = world.hire("atlas", 3988, threads=1), world.hire("atlas", 3989)
    at.now = now - 5 * HOUR
    _schedules(world, now)

    def enqueue(seconds_ago: float, task: str, job_id: str, *args: Any, **more: Any) -> None:
        at.now = now - seconds_ago
        world.enqueue(task, job_id, *args, **more)

    for n in range(30):
        task, args, kwargs = (
            ("deliver_webhook", (f"https://hooks.example.com/{n}", {"order": n}), {"secret": "hidden", "headers": {}}),
            ("send_email", (), MAIL),
            ("add", (1,), {"b": 2}),
        )[(n % 5 == 3) + 2 * (n % 10 == 9)]
        enqueue(3 * HOUR - n * 300, task, f"failed-{n}", *args, kwargs=kwargs, retries=0)
        at.now += 1
        run_next(world.huey)
    enqueue(90, "deliver_webhook", "retrying-0", "https://hooks.example.com/", {"order": 1}, retries=3)
    enqueue(90, "send_email", "retrying-1", kwargs=MAIL, retries=3)
    run_all(world.huey)
    enqueue(7000, "import_csv", "discarded", "/srv/in/ivo.csv", "orders")
    run_next(world.huey)
    world.control.pause_task("import_csv")
    for n in range(2):
        enqueue(380, "import_csv", f"blocked-{n}", f"/srv/in/{n}.csv", "orders")
    world.huey.storage.enqueue_jobs([job("unknown", task="tasks.gone")])
    while world.control.counts().blocked < 3:
        assert world.huey.dequeue() is None
    enqueue(373, "nightly_backup", "running-0", priority=9)
    enqueue(4, "deliver_webhook", "running-1", "https://hooks.example.com/", {"order": 2}, priority=8)
    enqueue(1, "send_email", "running-2", kwargs=MAIL, priority=7)
    enqueue(1, "once", "running-3", 1, priority=6)
    enqueue(380, "send_email", "queued-0", kwargs=MAIL)
    enqueue(380, "deliver_webhook", "queued-1", "https://hooks.example.com/", [])
    enqueue(90, "send_email", "scheduled-0", kwargs=MAIL, delay_s=7290)
    enqueue(60, "add", "sum", 1, 1, priority=99)
    world.begin()
    at.now = now
    world.record()
    world.finish("sum")
    recorder = world.history.recorder(world.huey.lifecycle)
    recorder.turn()
    recorder.close()  # copies of these files are recorded elsewhere
    (discarded,) = [each for each in world.history.error_groups().groups if each.type == "Discard"]
    world.history.mark_group(discarded.fingerprint, "muted")
    for each in gone:
        each.close()
    _alerts(world, at)


WAIT = "jobs wait longer than 10 min"
OVER = (
    Finding("queue_age", "queue default", f"Queue default: {WAIT}", link="workers"),
    Finding("schedule_missed", "schedule heartbeat", "Schedule heartbeat: a run was missed", link="schedules"),
    Finding("no_consumer", "consumer", "No consumer runs", link="workers"),
)


def channels() -> tuple[FakeChannel, ...]:
    night = QuietHours(22 * 60, 7 * 60, "UTC")
    fails = "https://hooks.slack.com answered 404: 'no_team'"
    return FakeChannel("pager"), FakeChannel("team", frozenset({"error_new", "job_failed"}), night, fails)


def _alerts(world: World, at: Clock) -> None:
    """Incidents that are over, and three that are open."""
    now, store = at.now, Store(world.history.database)
    for n in range(12):
        at.now = now - (14 - n) * DAY
        finding = OVER[n % len(OVER)]
        tell_all(world, Change("open", None, finding))
        at.now += 900 + 60 * n
        tell_all(world, Change("close", store.open()[finding.subject]))
    (group, *_) = [each for each in world.history.error_groups().groups if each.type == "JSONDecodeError"]
    error = f"{group.type}: {group.message}"
    at.now = now - 5 * HOUR
    lines = ("A job failed for good.", "When it fails: look whether the receiver has changed its answer.")
    facts = (("task", "deliver_webhook"), ("error", error), ("last job", group.last_job_id))
    link = f"errors/{group.fingerprint}"
    failed = Finding("job_failed", f"error {group.fingerprint}", f"deliver_webhook: {error}", lines, facts, link, 21)
    backup = ("The newest backup is older than 36 h.",)
    tell_all(
        world, Change("open", None, failed),
        Change("open", None, Finding("backup", "backup", "No backup for more than 36 h", backup)),
    )  # fmt: skip
    at.now = now - 40 * 60
    tell_all(world, Change("open", None, Finding("queue_age", "queue slow", f"Queue slow: {WAIT}", link="workers")))
    world.site.services.alerts.ack(store.open()["backup"].id, "vera")
    at.now = now


def _past(history: History, now: float) -> None:
    """Some three hundred jobs that ended well, and some that did not."""
    story = Story(now)
    for n in range(300):
        task = TASKS[n % 5]
        kwargs = {"to": f"{('bob', 'eva')[n % 10 > 5]}@example.org"} if n % 5 == 1 else {}
        story.enqueue(f"past-{n}", -16_000 + 50 * n, task=task, kwargs=kwargs)
        story.done(f"past-{n}", -15_999.9 + 50 * n, -15_999.8 + 50 * n + n % 5 / 10, task=task, result=n)
    story.enqueue("canceled", -9000, task="tasks.add", args=[1, 1])
    story.tell("canceled", "canceled", -8990, token=-1, task="tasks.add")
    for at, error in ((-2 * DAY, ("OSError", "no file", traceback())), (-3 * DAY, ("KeyError", "'x'", traceback()))):
        logs = [[now + at, "INFO", "opening the connection"]]
        story.failed(error[0], at - 1, at, task="tasks.import_csv", error=error, detail={"logs": logs})
    recorder = history.recorder(Queue(story.events))
    recorder.record()
    recorder.close()
    for group in history.error_groups().groups:
        history.mark_group(group.fingerprint, "fixed")


def _schedules(world: World, now: float) -> None:
    schedules, store = world.control.schedules, world.huey.storage.schedule_store
    schedules.make("monday-report", ScheduleRequest("send_email", (), MAIL, cron="0 7 * * mon", tz="Europe/Zagreb"))
    for name in ("monday-report", "periodic.heartbeat", "periodic.nightly_backup"):
        schedules.pause(name)
    for name, step, count in (("periodic.heartbeat", 300, 60), ("periodic.nightly_backup", DAY, 5)):
        schedules.resume(name)
        row = next(row for row in store.schedules() if row.name == name)
        slots = []
        for n in range(count):
            due = now // step * step - n * step
            slot = OccurrenceRow(name, due, DEFERRED, f"{name}@{n}", "late by 4 s" if n == 7 else None, due)
            if name == "periodic.heartbeat" and n in (31, 32, 33, 40):
                why = "the run before has not ended" if n == 40 else "no consumer 02:00-02:15"
                slot = slot._replace(outcome=SKIPPED if n == 40 else MISSED, job_id=None, reason=why)
            slots.append(slot)
        ids = [slot.job_id for slot in slots if slot.job_id]
        jobs = [job(each, task=name, payload=payload_of(each, name, ())) for each in ids]
        assert store.fire([Tick(row, now, slots, jobs)])
    run_all(world.huey)


@functools.cache
def _morning_at(now: float) -> Path:
    """The files of a morning, made once in a process."""
    folder, at = Path(tempfile.mkdtemp()), Clock(now)
    world = make_world(folder, at, periodic=True, channels=channels())
    make_morning(world, at)
    world.close()
    return folder


def morning(folder: Path, clock_: Callable[[], float], **more: Any) -> World:
    """A deployment as an admin finds it in the morning."""
    now = clock_()
    shutil.copytree(_morning_at(now), folder, dirs_exist_ok=True)
    world = make_world(folder, clock_, periodic=True, channels=channels(), **more)
    clock.set_source(at := Clock(now - DAY))
    world.hire("atlas", 99_994_121)
    world.control.quiet(str(world.hire("atlas", 4122, "default", "slow", threads=2, code="31bb9c4").n))
    for ago in (372.0, 3.4, 0.2, 0.1):
        at.now = now - ago
        world.begin()
    backup = world.running["running-0"].claim
    progress = {"done": 41_200, "total": 64_000, "note": "rows", "at": now - 2}
    world.huey.storage.put_progress(backup.job.seq, json.dumps(progress))
    for each in world.presences:
        os.utime(each.path, (now - 1, now - 1))
    world.huey.storage.schedule_store.note_alive(now, "")
    clock.set_source(clock_)
    return world
