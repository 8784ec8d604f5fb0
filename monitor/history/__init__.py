"""The history: what happened to every job, attempt and error, kept by peewee and written by one recorder at a time.

Did it run? is the engine's to say. Was it recorded? `recorder` drains the queue's events, `fold` makes rows of a batch,
`writing` writes them, `retention` lets them go. Was it shown wrong? `history` answers, from `search` and `jobs`,
`groups`, `figures` and `charts`, with `values`. The file is `database` and `schema`.
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
