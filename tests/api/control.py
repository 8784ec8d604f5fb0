"""The real Control over a queue of the test's own, with a worker in the test's hand, and a storage that can be away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from duey import cron
from duey.control.service import Control
from duey.errors import StorageUnavailable
from duey.execution.huey import DurableHuey
from duey.model.job import Claim, Health, Job
from duey.model.schedule import OccurrenceRow, Tick
from duey.scheduling import entry
from tests.contracts.rig import Hand, ended

NIGHT = "periodic.night"
MISSED_AT, SKIPPED_AT = 1_779_913_600.0, 1_780_000_000.0
VERBS = {name for name in vars(Control) if not name.startswith("_") and name != "health"} | {"schedules"}


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def echo(*args: Any) -> Any:
    return args


def night() -> None: ...


def define(huey: DurableHuey, function: Any, module: str = "tasks", name: str = "", **options: Any) -> None:
    """A task as a module of a user would have it."""
    made = huey.periodic_task if "timetable" in options else huey.task
    timetable = [options.pop("timetable")] if "timetable" in options else []
    copy = type(function)(function.__code__, globals(), name or function.__name__, function.__defaults__)
    copy.__module__, copy.__doc__, copy.__annotations__ = module, function.__doc__, function.__annotations__
    made(*timetable, name=name or function.__name__, **options)(copy)


class SteeredControl(Control):
    """Every verb raises `away`, when it is set; `start`, `finish` and `fail` are what a consumer would do."""

    def __init__(self, huey: DurableHuey) -> None:
        super().__init__(huey)
        self.away: Exception | None = None
        self.problems: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        define(huey, add, retries=3)
        define(huey, echo)
        for module in ("tasks", "periodic"):
            define(huey, echo, module, "twin")
        define(huey, night, "periodic", timetable=cron("0 3 * * *"))
        self.hand = Hand(self.storage)
        self._claims: dict[str, Claim] = {}
        self._waits = threading.Semaphore(0)

    def __getattribute__(self, name: str) -> Any:
        if name in VERBS and (away := super().__getattribute__("away")):
            raise away
        return super().__getattribute__(name)

    def health(self) -> Health:
        found = super().health() if self.away is None else Health(False, (str(self.away),), usable=False)
        problems = (*found.problems, *self.problems)
        return replace(found, ok=not problems, problems=problems, warnings=(*found.warnings, *self.warnings))

    def wait(self, job_id: str, timeout_s: float) -> Job:
        self._waits.release()
        return super().wait(job_id, timeout_s)

    def until_waiting(self, number: int, timeout_s: float = 20) -> bool:
        """Whether so many calls of `wait` have begun, at the latest after `timeout_s` each."""
        return all(self._waits.acquire(timeout=timeout_s) for _ in range(number))

    def limit_pending(self, most: int) -> None:
        settings = self.huey.settings
        self.huey.settings = replace(settings, tasks=replace(settings.tasks, max_pending=most))

    @property
    def all(self) -> dict[str, Job]:
        return {job.id: job for job in self.jobs(limit=500).jobs}

    # a consumer

    def start(self, job_id: str) -> Claim:
        if job_id not in self._claims:
            claims = {claim.job.id: claim for claim in self.hand.claim(100)}
            self._claims[job_id] = claims.pop(job_id)
            self.storage.release_claims(self.hand.n, list(claims.values()))
            self.hand.begin(self._claims[job_id])
        return self._claims[job_id]

    def finish(self, job_id: str, result: Any = None) -> None:
        self.hand.commit(ended(self.start(job_id), result=self.huey.serializer.serialize(result)))
        del self._claims[job_id]

    def fail(self, job_id: str, kind: str, message: str) -> None:
        error = type(kind, (Exception,), {"__module__": "builtins"})(message)
        self.hand.commit(self.huey.outcomes.end(self.start(job_id), "failed", error))
        del self._claims[job_id]

    # schedules

    def put_on_record(self, slots: Sequence[tuple[float, str, str]]) -> None:
        """Slots (instant, outcome, reason) of the schedule `periodic.night`."""
        row = entry.code_row(NIGHT, MISSED_AT - 1)
        self.storage.schedule_store.add(row)
        found = [OccurrenceRow(NIGHT, at, outcome, None, reason, at) for at, outcome, reason in slots]
        self.storage.schedule_store.fire([Tick(row, slots[-1][0], found, ())])

    def close(self) -> None:
        self.hand.go()
        self.storage.close()


def storage_away(stored: bool | None = False) -> StorageUnavailable:
    """The error of a storage that is away."""
    return StorageUnavailable("the storage is locked by another process", stored)
