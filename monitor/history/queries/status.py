"""The status of the history: problems, warnings and sizes."""

from __future__ import annotations

import math
from contextlib import suppress

import peewee

from duey import files
from duey.model.event import OutboxOwner
from duey.monitor.history import ownership
from duey.monitor.history.errors import HistoryUnavailable
from duey.monitor.history.queries import Queries
from duey.monitor.history.schema import DAY_S, JOBS, MARKS
from duey.monitor.history.values import HistoryHealth, Kept, RecorderStatus

RECORD_WITHIN_S = 60.0  # a recorder takes a second, and a few more behind a long backlog
COUNTED_WARNING_S = 7 * DAY_S  # how long a warning mentions jobs that were only counted


class Status(Queries):
    """Reports the status of the file and of the recorder of this process."""

    _recorder: RecorderStatus | None = None
    _elsewhere = ""

    def prepare(self) -> None:
        """Create, check and upgrade the file now instead of at the first use. A broken file is moved away."""
        self._database.start()

    def _note_recorder(self, status: RecorderStatus) -> None:
        """Keep the status of the recorder of this process, for `health`."""
        self._recorder, self._elsewhere = status, status.elsewhere

    @property
    def recorder_problem(self) -> str:
        """Why the recorder of this process records nothing now, or '' if it does, or if another process records."""
        return (self._recorder and self._recorder.problem) or ""

    @property
    def elsewhere(self) -> str:
        """The sentence that another history is recorded instead of this one, or ''. As the recorder of this process
        knows it, or by `note_owner`."""
        return self._elsewhere

    def note_owner(self, owner: OutboxOwner | None) -> None:
        """Set `elsewhere` in a process without a recorder. `owner`: that of the queue's events."""
        with suppress(HistoryUnavailable):
            self._elsewhere = ownership.elsewhere(self._database, owner)

    def health(self, unrecorded_since: float | None = None) -> HistoryHealth:
        """Return whether the history can be read and recorded, with problems and warnings. Never raises.

        `unrecorded_since` is when the oldest event happened that the queue holds for the history. With it, this
        process also notices that no other one records.
        """
        folder = self._database.folder
        problems: list[str] = [] if folder is None else files.full(self._database.place)
        marks: dict[str, float] = {}
        try:
            with self._database.reading() as db:
                JOBS.select(JOBS.c.n).limit(1).count(db)
                marks = _marks(db)
        except HistoryUnavailable as error:
            problems.append(str(error))
        recorder, now = self._recorder, self._clock()
        if recorder is not None and recorder.problem and recorder.problem not in problems:
            problems.append(recorder.problem)
        late_s = now - max(unrecorded_since or now, marks.get("recorded_at", 0.0))
        if late_s > RECORD_WITHIN_S and not problems and not self.elsewhere:
            problems.append(
                f"nothing is recorded in the history for {late_s:.0f} s: start a web process or `duey record`"
            )
        return HistoryHealth(not problems, tuple(problems), tuple(self._warnings(marks)), self.elsewhere)

    def _warnings(self, marks: dict[str, float]) -> list[str]:
        found = [
            f"the history was damaged, and a new one was started; the damaged file is kept as {path}: "
            "delete it when you no longer need it"
            for path in self._database.asides()
        ]
        if self._recorder is not None and self._recorder.refused:
            found.append(
                f"{self._recorder.refused} events could not be recorded and were left out: the log says which, and why"
            )
        if self._clock() - marks.get("counted_at", -math.inf) < COUNTED_WARNING_S:
            found.append(
                f"{int(marks['counted']):,} jobs that succeeded are in the figures, but not in the lists: while "
                "nothing was recorded, more happened than [monitor] backlog_rows keeps"
            )
        return found

    def kept(self) -> Kept:
        """Return what the history holds, what retention deleted, and the size of the file."""
        size = self._database.size()
        with self._database.reading() as db:
            marks = _marks(db)
            oldest_at = JOBS.select(JOBS.c.enqueued_at).order_by(JOBS.c.n).limit(1).scalar(db)
        return Kept(
            jobs=int(marks.get("jobs", 0)), deleted=int(marks.get("deleted", 0)), oldest_at=oldest_at,
            began_at=marks["began_at"], file_bytes=size.file, wal_bytes=size.log, disk_free_bytes=size.free,
            recorded_at=marks.get("recorded_at"), counted=int(marks.get("counted", 0)),
            counted_at=marks.get("counted_at"),
        )  # fmt: skip


def _marks(db: peewee.Database) -> dict[str, float]:
    return dict(MARKS.select(MARKS.c.name, MARKS.c.value).tuples().execute(db))
