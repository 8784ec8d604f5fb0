"""A deployment to look at: the real control, history and accounts, on files of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import duey
from duey import clock, config
from duey.alerts.channels import ChannelFailed
from duey.alerts.incidents import Change
from duey.alerts.message import Message
from duey.alerts.notifications import Outbox, Planner
from duey.alerts.past import COUNTERS
from duey.alerts.senders import Sender
from duey.alerts.store import Store
from duey.config.alerts import QuietHours
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.model.job import JobRequest
from duey.monitor.access import ADMIN, VIEWER, Access
from duey.monitor.history import History
from duey.monitor.web.services import Services
from duey.monitor.web.site import Site
from duey.scheduling.timetable import cron, every
from duey.server.http_policy import HttpPolicy
from duey.storage.presence import Presence
from duey.storage.values import Registration
from duey.tasks import drill
from tests.monitor.web.client import Browser

PASSWORDS = {"ana": "correct horse battery", "vera": "staple staple staple"}


@dataclass(repr=False)
class World:
    """`ana` is an admin, `vera` a viewer. In the morning one consumer runs three jobs, and another one is quiet."""

    huey: DurableHuey
    control: Control
    history: History
    access: Access
    site: Site
    settings: config.Settings
    presences: list[Presence] = field(default_factory=list)
    running: dict[str, Any] = field(default_factory=dict)  # what was begun here, by id
    hostile: list[str] = field(default_factory=list)  # ids of jobs that hold what attackers wrote

    def browser(self, name: str = "", scheme: str = "http") -> Browser:
        """A browser in which `name` has logged in."""
        browser = Browser(HttpPolicy(self.site, self.settings.web), self.settings.web.url_prefix, scheme)
        if name:
            browser.log_in(name, PASSWORDS[name])
        return browser

    def state(self, job_id: str) -> str:
        return self.control.job(job_id).state

    def ids(self, state: str) -> list[str]:
        """The jobs in this state, newest first, as the queue has them."""
        return [each.id for each in self.control.jobs(state, limit=500).jobs]

    def enqueue(self, task: str, job_id: str, *args: Any, kwargs: dict[str, Any] | None = None, **more: Any) -> str:
        self.control.enqueue([JobRequest(task, args, kwargs or {}, id=job_id, **more)])
        return job_id

    def hire(self, host: str, pid: int, *queues: str, threads: int = 4, code: str = "8e02d17") -> Presence:
        """A worker process that does nothing by itself."""
        storage = self.huey.storage
        kind = "process" if self.presences else "thread"
        names, consumer = queues or ("default",), f"{host} {pid // 2}"  # two processes are one consumer
        made = storage.register(Registration(consumer, host, pid, threads, kind, names, (), code))
        self.presences.append(made)
        storage.holder = self.presences[0].n
        return made

    def begin(self) -> str:
        """The first worker takes the next job and begins it; its id."""
        task = self.huey.dequeue()
        assert task is not None
        begun = threading.Thread(target=self.presences[0].begin, args=(task.claim.token, clock.now()))  # a thread each
        begun.start()
        begun.join()
        self.running[task.id] = task
        return str(task.id)

    def finish(self, job_id: str) -> None:
        self.huey.execute(self.running.pop(job_id))

    def record(self) -> None:
        """What has happened gets into the history."""
        recorder = self.history.recorder(self.huey.lifecycle, self.control.workers, self.control.schedules.all)
        recorder.turn()
        assert recorder.status.problem is None
        recorder.close()

    def close(self) -> None:
        for each in self.presences:
            each.close()
            self.huey.storage.unregister(each.n)
        self.history.close()
        self.access.close()
        self.huey.storage.close()
        clock.set_source(None)


@dataclass
class FakeChannel:
    """A channel whose server answers as the test says."""

    name: str
    rules: frozenset[str] | None = None
    quiet: QuietHours | None = None
    fails: str = ""
    kind: ClassVar[str] = "webhook"
    taken: list[Message] = field(default_factory=list)

    def send(self, message: Message, timeout_s: float) -> str:
        if self.fails:
            raise ChannelFailed(self.fails)
        self.taken.append(message)
        return "answered 200 in 31 ms"


def tell_all(world: World, *changes: Change) -> None:
    """Incidents open and close, and what is due is sent."""
    database, clock_ = world.history.database, world.site.services.clock
    alerts = world.site.services.alerts
    place, channels = alerts.place, alerts.channels
    store, planner = Store(database), Planner(channels, 20, place)
    marks = store.marks(clock_())
    store.apply(changes, marks, marks, clock_(), lambda db, each, kind: planner.tell(db, each, kind, clock_()))
    for channel in channels.values():
        sender = Sender(channel, Outbox(database, place, clock_), lambda: True)
        while sender.step():
            pass


def count_past(world: World) -> None:
    """What the evaluator does every hour: how often rules would have told something."""
    alerts, store = world.site.services.alerts, Store(world.history.database)
    for counter in COUNTERS:
        store.count_past(counter, alerts._settings.alerts, world.site.services.clock())


def make_world(
    folder: Path, now: Callable[[], float], service: str = "Duey", periodic: bool = False,
    channels: Sequence[FakeChannel] = (), queue: str = "path = queue.db", history_url: str = "", **web: Any,
) -> World:  # fmt: skip
    """A deployment on the files of a folder, empty where there are none; `queue` says where jobs are kept,
    `history_url` where the history is, and `web` replaces settings of that section."""
    clock.set_source(now)
    (folder / "config.ini").write_text(f"[storage]\n{queue}\ndurability = normal\n")
    settings = config.load(folder / "config.ini", {})
    service_ = replace(settings.service, name=service)
    settings = replace(settings, web=replace(settings.web, **web), service=service_)
    huey = duey.build(settings)
    register(huey)
    drill.register(huey)
    if periodic:
        register_periodic(huey)
    control = Control(huey)
    history = History(history_url or f"sqlite:///{folder / 'monitor.db'}", settings.monitor, now)
    access = Access(f"sqlite:///{folder / 'access.db'}", clock=now)
    if not access.accounts.exist():
        for name, role in (("ana", ADMIN), ("vera", VIEWER)):
            access.accounts.create(name, role, PASSWORDS[name])
    services = Services(control, access, history, settings, now)
    services.alerts.channels = {each.name: each for each in channels}
    return World(huey, control, history, access, Site(services), settings)


def task(decorate: Callable[..., Any], module: str = "tasks") -> Callable[..., None]:
    """As decorated in this module."""

    def known(function: Callable[..., Any]) -> None:
        function.__module__ = module
        decorate(function)

    return known


def register(huey: DurableHuey) -> None:
    """The tasks of the deployment."""

    @task(huey.task(retries=5, retry_delay=132))
    def deliver_webhook(
        url: str, body: dict[str, Any] | list[Any], secret: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """POST a JSON body to a URL, with the headers of Standard Webhooks 1.0.0.

        url: http or https; its host must be public.
        """
        json.loads("{")

    @task(huey.task(retries=5, retry_delay=700))
    def send_email(to: str | list[str], subject: str, text: str, html: str | None = None) -> None:
        """Send one e-mail, to all recipients or to none."""
        raise ConnectionRefusedError("Connection refused")

    @task(huey.task(retries=3))
    def import_csv(
        path: str, table: str, delimiter: str = ",", dry_run: bool = False, limit: int | None = None
    ) -> None:
        """Import a CSV file into a SQLite table."""
        raise duey.Discard("line 1042: expected 7 fields, found 6")

    @task(huey.task())
    def add(a: int, b: int) -> int:
        """Add two whole numbers.

        When it fails: Look at the numbers.
        """
        if a + b == 3:
            raise OverflowError("it said so")
        return a + b

    @task(huey.task(unique=True))
    def once(n: int) -> None:
        """One at a time."""

    @task(huey.task())
    def fail(message: str) -> None:
        raise RuntimeError(message)


def register_periodic(huey: DurableHuey) -> None:
    """Its periodic tasks."""

    @task(huey.periodic_task(every(300)), "periodic")
    def heartbeat() -> None:
        """A dead man's switch."""

    @task(huey.periodic_task(cron("30 3 * * *")), "periodic")
    def nightly_backup() -> None:
        """Copy the databases of this service."""
