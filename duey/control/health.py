"""Whether the service is ready: the storage, consumers, and schedules."""

from __future__ import annotations

from duey import clock, errors
from duey.control.schedules import ScheduleService
from duey.model.job import Health
from duey.scheduling.timezones import moment
from duey.storage.contract import JobStorage


def health(storage: JobStorage, schedules: ScheduleService, timezone: str) -> Health:
    """Whether the storage can be used and has room, a consumer runs jobs and one runs schedules; with warnings of the
    storage. Never raises."""
    try:
        workers = [each for each in storage.worker_infos() if each.alive and each.worker_type != "alone"]
        warnings, full = tuple(storage.warnings()), tuple(storage.problems())
        since = schedules.standing_since(workers)
    except errors.DueyError as exc:
        return Health(False, (str(exc),), usable=False)
    problems = full
    if not any(each.workers for each in workers):
        problems += ("no consumer is running: start one with `duey worker`",)
    elif since is not None:
        time = moment(since, clock.now(), timezone)
        problems += (f"no consumer runs schedules since {time}: start one without --no-periodic, or see its log",)
    return Health(not problems, problems, warnings, since, usable=not full)
