"""The history as pages, API and command line use it. Only the recorder writes jobs, attempts and errors.

`prepare` (or the first use) creates and upgrades the file. Each thread has a connection of its own, which `close`
ends: call it after each request. No lock is held between calls. Users write only marks of error groups and visits.

Methods return frozen values, limited in rows and in work. They raise HistoryUnavailable (a StorageUnavailable) if
the file cannot be used, except `health`, `note_visit` and `close`, which never raise. An unknown cursor is a
BadRequest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from duey.model.job import WorkerInfo
from duey.monitor.history.database import Database, database
from duey.monitor.history.queries.figures import Charts, Figures
from duey.monitor.history.queries.groups import Groups
from duey.monitor.history.queries.jobs import Jobs
from duey.monitor.history.queries.seen import Seen
from duey.monitor.history.queries.slots import Slots
from duey.monitor.history.queries.status import Status
from duey.monitor.history.queries.successes import Successes
from duey.monitor.history.queries.used import Usages
from duey.monitor.history.recording.copies import Timetable
from duey.monitor.history.recording.recorder import Recorder, Source
from duey.monitor.history.recording.retention import Retention, RetentionSettings
from duey.monitor.history.values import Pruned


class MonitorSettings(RetentionSettings, Protocol):
    """The settings of `[monitor]` that the history needs."""

    @property
    def max_value_kb(self) -> int: ...


class History(Jobs, Groups, Figures, Charts, Seen, Slots, Status, Successes, Usages):
    """One history, for any number of threads and processes. `clock` returns UTC epoch seconds.

    Raises ValueError if `database_url` is neither `sqlite:///FILE` nor `postgresql://...`.
    """

    def __init__(self, database_url: str, settings: MonitorSettings, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database(database_url), clock)
        self._settings = settings

    @property
    def database(self) -> Database:
        """The database, for duey.alerts, which keeps its incidents in it."""
        return self._database

    def close(self) -> None:
        """Close the connection of this thread, if it has one. The next use opens another."""
        self._database.close()

    def prune(self, progress: Callable[[int], None] = lambda jobs: None) -> Pruned:
        """Delete all that retention allows now, in small steps, and return free space to the disk. `progress` is called
        with the number of jobs that were deleted so far."""
        return Retention(self._database, self._settings, self._clock).prune(progress)

    def recorder(
        self,
        source: Source,
        workers: Callable[[], Sequence[WorkerInfo]] | None = None,
        schedules: Callable[[], Iterable[Timetable]] | None = None,
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> Recorder:
        """Return a recorder for the events of `source`: see recorder.Recorder.

        `workers` (such as `control.workers`) is called from time to time, so that a dead worker is shown for a day.
        `schedules` (such as `control.schedules.all`) is called for the outcomes of slots. `renamed`: the present name
        of a task for each former one.
        """
        return Recorder(
            self._database,
            source,
            Retention(self._database, self._settings, self._clock),
            self._settings.max_value_kb * 1024,
            self._clock,
            workers,
            schedules,
            self._note_recorder,
            renamed,
        )
