"""The history: a record of every job, attempt and error, in a SQLite file written by one recorder at a time.

To record: `recorder` reads events from the queue's storage, `projection` turns a batch into rows, `writing` writes
them, and `retention` deletes old rows. To answer: `history` uses `search`, `jobs`, `groups`, `figures` and `charts`,
and returns `values`. The file: `database` and `schema`. The live state of a job is in the queue's storage, not here.
"""

from duey.monitor.history.buckets import BUCKETS
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
from duey.monitor.history.values import (
    Attempt,
    Count,
    ErrorGroup,
    ErrorGroups,
    HistoryHealth,
    JobFilter,
    JobHistory,
    JobRow,
    JobRows,
    Kept,
    LogLine,
    Pruned,
    RecorderStatus,
    SeenWorker,
    Slot,
    Step,
)

__all__ = [
    "BUCKETS",
    "Attempt",
    "Count",
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
    "LogLine",
    "MonitorSettings",
    "Outcomes",
    "Pruned",
    "RecorderStatus",
    "SeenWorker",
    "Slot",
    "Step",
    "TaskFigures",
    "TaskHistory",
    "TaskStep",
    "Waits",
]
