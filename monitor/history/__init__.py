"""The history: a record of every job, attempt and error, in a SQLite file written by one recorder at a time.

`recording` moves events from the queue's storage into the file and deletes old rows, `queries` answer from it with
`values`, and `History` is what others use. The live state of a job is in the queue's storage, not here.
"""

from duey.monitor.history.errors import HistoryBroken, HistoryGone, HistoryTooNew, HistoryUnavailable
from duey.monitor.history.figure_values import (
    Distribution,
    Interval,
    Outcomes,
    TaskFigures,
    TaskHistory,
    TaskStep,
    Waits,
)
from duey.monitor.history.history import History, MonitorSettings
from duey.monitor.history.recording.causes import is_own
from duey.monitor.history.tallies import BUCKETS
from duey.monitor.history.values import (
    Attempt,
    Count,
    Difference,
    ErrorGroup,
    ErrorGroups,
    HistoryHealth,
    JobFilter,
    JobHistory,
    JobRow,
    JobRows,
    Kept,
    LastSuccess,
    LogLine,
    Pruned,
    RecorderStatus,
    SeenWorker,
    Slot,
    SlotGroup,
    SlotRun,
    Step,
    Used,
)

__all__ = [
    "BUCKETS",
    "Attempt",
    "Count",
    "Difference",
    "Distribution",
    "ErrorGroup",
    "ErrorGroups",
    "History",
    "HistoryBroken",
    "HistoryGone",
    "HistoryHealth",
    "HistoryTooNew",
    "HistoryUnavailable",
    "Interval",
    "JobFilter",
    "JobHistory",
    "JobRow",
    "JobRows",
    "Kept",
    "LastSuccess",
    "LogLine",
    "MonitorSettings",
    "Outcomes",
    "Pruned",
    "RecorderStatus",
    "SeenWorker",
    "Slot",
    "SlotGroup",
    "SlotRun",
    "Step",
    "TaskFigures",
    "TaskHistory",
    "TaskStep",
    "Used",
    "Waits",
    "is_own",
]
