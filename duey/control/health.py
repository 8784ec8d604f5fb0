"""Whether the service is ready: the storage, consumers, and schedules.

And which jobs wait although workers are idle: no consumer serves their queue, or none knows their task.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from duey import clock, errors
from duey.control.schedules import ScheduleService
from duey.model.job import Health, QueueInfo, WorkerInfo
from duey.model.queues import serves
from duey.scheduling.timezones import moment
from duey.storage.contract import JobStorage
from duey.storage.presence import HOST

GRACE_S = 10.0  # a consumer that serves them may be starting
LOOKED_AT = 20  # jobs whose task is named


def health(storage: JobStorage, schedules: ScheduleService, timezone: str) -> Health:
    """Whether the storage can be used and has room, a consumer runs jobs and one runs schedules; with warnings of the
    storage. Never raises."""
    try:
        with storage.read_ahead(storage.worker_infos, storage.warnings, storage.problems, *schedules.standing_reads):
            workers = [each for each in storage.worker_infos() if each.alive and each.worker_type != "alone"]
            warnings, full = tuple(storage.warnings()), tuple(storage.problems())
            since = schedules.standing_since(workers)
    except errors.DueyError as exc:
        return Health(False, (str(exc),), usable=False)
    # That of this host is among the warnings of the storage.
    ahead = {each.host: each.clock_ahead_s for each in workers if each.host != HOST}
    warnings += tuple(filter(None, (clock.warning(ahead_s, host) for host, ahead_s in ahead.items())))
    problems = full
    if not any(each.workers for each in workers):
        problems += ("no consumer is running: start one with `duey worker`",)
    elif since is not None:
        time = moment(since, clock.now(), timezone)
        problems += (f"no consumer runs schedules since {time}: start one without --no-periodic, or see its log",)
    return Health(not problems, problems, warnings, since, usable=not full)


class Stranded(NamedTuple):
    """Jobs that no consumer will run. `kind`: queue or task."""

    kind: str
    names: tuple[str, ...]
    jobs: int

    def __str__(self) -> str:
        names, jobs = ", ".join(self.names), f"{self.jobs} job{'s' * (self.jobs != 1)}"
        wait = f"{jobs} wait{'s' * (self.jobs == 1)}"
        if self.kind == "queue":
            return f"no consumer serves the queue {names}: {wait}"
        return f"no consumer knows the task{'s' * (len(self.names) > 1)} {names}: {wait}"


def stranded_reads(storage: JobStorage) -> tuple[Callable[[], object], ...]:
    """What `stranded` is called with, and reads, for `read_ahead`, where the instant does not matter."""
    return storage.worker_infos, storage.queue_infos, partial(storage.unknown_before, 0.0)


def stranded(storage: JobStorage, workers: Sequence[WorkerInfo], queues: Sequence[QueueInfo]) -> list[Stranded]:
    """What waits in vain; nothing where no consumer runs at all. Of jobs of unknown tasks at most 100 are counted.
    Raises StorageUnavailable."""
    consumers = [each for each in workers if each.alive and each.worker_type != "alone"]
    if not consumers:
        return []
    found = [
        Stranded("queue", (each.name,), each.waiting)
        for each in queues
        if each.waiting and not each.paused and (each.oldest_age_s or 0.0) > GRACE_S
        and not any(serves(consumer.queues, each.name) for consumer in consumers)
    ]  # fmt: skip
    unknown = storage.unknown_before(clock.now() - GRACE_S)
    if unknown:
        with storage.read_ahead(*(partial(storage.get_job, each) for each in unknown[:LOOKED_AT])):
            jobs = [storage.get_job(each) for each in unknown[:LOOKED_AT]]
        names = dict.fromkeys(each.job.task for each in jobs if each is not None)
        found.append(Stranded("task", tuple(names), len(unknown)))
    return found
