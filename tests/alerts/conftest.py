"""What the tests of alerts share: a service whose clock, history, queue and channels they turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from duey import config
from duey.alerts.channels import ChannelFailed
from duey.alerts.evaluator import Evaluator
from duey.alerts.live_reader import LiveReader, alerts_of
from duey.alerts.message import Message, Place
from duey.alerts.notifications import Outbox, Planner
from duey.alerts.peers import Peers
from duey.alerts.reader import Reader
from duey.alerts.senders import Sender
from duey.alerts.store import Store
from duey.config.alerts import QuietHours
from duey.errors import StorageUnavailable
from duey.model.job import Counts, QueueInfo, Running, WorkerInfo
from duey.monitor.history import History
from duey.monitor.history.recording import copies
from duey.monitor.history.recording.lease import Lease
from tests.monitor.conftest import START, Clock
from tests.monitor.conftest import databases as databases
from tests.monitor.history.conftest import Settings, Story, record, traceback

PLACE = Place("staging", "https://duey.example.org/monitor")
WORKER = WorkerInfo("7", "host", 71, START - 100, START, 4, "thread", ("default",), True, False, ())


@dataclass
class FakeChannel:
    """Keeps what it was sent; `fails`: what it raises instead, one after the other."""

    name: str = "mail"
    kind: str = "email"
    rules: frozenset[str] | None = None
    quiet: QuietHours | None = None
    sent: list[Message] = field(default_factory=list)
    fails: list[ChannelFailed | None] = field(default_factory=list)

    def send(self, message: Message, timeout_s: float) -> str:
        failed = self.fails.pop(0) if self.fails else None
        if failed is not None:
            raise failed
        self.sent.append(message)
        return "250 accepted"


class FakeSchedules(dict[str, bool]):
    """Whether each is paused, by name."""

    since: float | None = None

    def standing_since(self, workers: Any) -> float | None:
        return self.since


class FakeControl:
    """The part of Control that alerts read."""

    def __init__(self) -> None:
        self.queue_infos: list[QueueInfo] = []
        self.worker_infos: list[WorkerInfo] = [WORKER]
        self.events, self.away = 0, False
        self.schedules = FakeSchedules()
        self.tasks: dict[str, str] = {}  # full name: its option alert
        self.stored: dict[str, Any] = {}  # jobs of the queue by id
        store = SimpleNamespace(schedules=self._schedules)
        self.storage = SimpleNamespace(schedule_store=store, get_job=self.stored.get)
        tasks = self.tasks
        self.known = SimpleNamespace(
            all=lambda: [SimpleNamespace(full=name, alert=alert) for name, alert in tasks.items()],
            full=lambda task: task.full,
        )

    def _schedules(self) -> list[Any]:
        return [SimpleNamespace(name=name, paused=paused) for name, paused in self.schedules.items()]

    def queues(self) -> list[QueueInfo]:
        return self.queue_infos

    def workers(self) -> list[WorkerInfo]:
        if self.away:
            raise StorageUnavailable("the queue is away")
        return self.worker_infos

    def counts(self) -> Counts:
        return Counts(0, 0, 0, 0, 0, None, self.events)

    def run(self, job_id: str, task: str, started_at: float) -> None:
        self.worker_infos = [replace(WORKER, running=(Running(job_id, task, started_at),))]


class World:
    """A service: `story` is told, `turn` records it, evaluates and sends."""

    def __init__(self, folder: Path, clock: Clock, history_url: str = "") -> None:
        self.folder, self.clock = folder, clock
        self.history = History(history_url or f"sqlite:///{folder}/monitor.db", Settings(), clock)
        self.control, self.story = FakeControl(), Story()
        self.channels: dict[str, FakeChannel] = {"mail": FakeChannel()}
        self.numbers = iter(range(1, 10**9))
        self._told = 0
        self.drills: list[float] = []
        self.elsewhere = ""  # that another history is recorded
        self.runbooks: dict[str, str] = {}
        self.peers = Peers((), lambda: True, clock)
        self.set()

    def set(self, **options: Any) -> None:
        """Start the service with these settings of [alerts], and go on."""
        variables = {f"DUEY_ALERTS_{name.upper()}": str(value) for name, value in options.items()}
        self.options = config.load(self.folder / "config.ini", variables).alerts
        database = self.history.database
        outbox = Outbox(database, PLACE, self.clock)
        self.senders = [Sender(each, outbox, lambda: True) for each in self.channels.values()]
        self.unwritten: list[Message] = []
        live = LiveReader(self.control, self.clock(), self.options)  # type: ignore[arg-type]
        self.store, self.outbox = Store(database), outbox
        self.evaluator = Evaluator(
            self.store,
            Reader(
                self.history, live, self.options, lambda: alerts_of(self.control), [self.folder],  # type: ignore[arg-type]
                self.folder / "backups", peers=lambda: self.peers.seen(),
                runbook=lambda task: self.runbooks.get(task, ""),
            ),
            Planner(self.channels, self.options.cap_per_hour, PLACE), self,  # type: ignore[arg-type]
            self.options, PLACE, Lease(self.folder / "alerts.lock"), lambda: self.drills.append(self.clock()),
            self.clock, lambda: self.elsewhere,
        )  # fmt: skip

    def wake(self) -> None: ...

    def take_over(self) -> None:
        self.outbox.give_up_unknown(self.channels)

    def send_unwritten(self, message: Message) -> None:
        self.unwritten.append(message)
        for each in self.senders:
            each.send_unwritten(message)

    def turn(self, after_s: float = 5.0) -> None:
        """Let time pass, record what was told, evaluate, and send what is due."""
        self.clock.advance(after_s)
        record(self.history, self.story.events[self._told :])
        self._told = len(self.story.events)
        self.evaluator.evaluate()
        self.deliver()

    def deliver(self) -> None:
        for each in self.senders:
            while each.step():
                pass

    # what happens

    @property
    def at(self) -> float:
        return self.clock() - START

    def fail(self, task: str = "tasks.add", message: str = "no", kind: str = "ValueError", **more: Any) -> str:
        """A job of the task fails for good now."""
        job_id = more.pop("job_id", None) or f"job-{next(self.numbers)}"
        by = more.pop("by", None)
        self.story.enqueue(job_id, self.at, task=task, detail={"by": by} if by else {})
        frame = f"/srv/tasks.py:{task.rpartition('.')[2]}"
        self.story.failed(job_id, self.at, self.at, task=task, error=(kind, message, traceback(frame)), **more)
        return job_id

    def slot(self, name: str, at: float, outcome: str, job_id: str | None = None, reason: str | None = None) -> None:
        """The recorder sees an outcome of a schedule."""
        self.control.schedules.setdefault(name, False)
        slot = SimpleNamespace(at=START + at, outcome=outcome, job_id=job_id, reason=reason)
        copies.note_slots(self.history.database, [SimpleNamespace(name=name, slots=[slot])])

    # what was told

    @property
    def mail(self) -> FakeChannel:
        return self.channels["mail"]

    def told(self) -> list[tuple[str, str]]:
        """Kind and rule of each message since the last call."""
        found = [(each.kind.removeprefix("incident."), each.rule) for each in self.mail.sent]
        self.mail.sent.clear()
        return found

    def rows(self, sql: str, *values: Any) -> list[Any]:
        with self.history.database.reading() as db:
            return db.execute_sql(sql, values).fetchall()


both_databases = pytest.mark.parametrize("history_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def history_url(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Returns where the next history is, '' for the folder of the service."""
    kind = getattr(request, "param", "sqlite")
    return (lambda: "") if kind == "sqlite" else request.getfixturevalue("new_schema")


@pytest.fixture
def new_world(tmp_path: Path, history_url: Callable[[], str]) -> Callable[[], World]:
    """Makes a service; each row of a table needs its own."""
    numbers = iter(range(1000))

    def make() -> World:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        (folder / "config.ini").touch()
        made = World(folder, Clock(), history_url())
        made.turn()  # from now on something is new
        return made

    return make


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    return new_world()
