"""Tasks that are kept safe, run, recorded and shown: what a task file needs.

    from duey import huey

    @huey.task(retries=5)
    def add(a: int, b: int) -> int:
        return a + b

Importing this package reads and touches nothing. The first use of `huey` or `settings` reads config.ini and the
environment; files and connections are opened when the first task is enqueued or run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duey import errors as errors
    from duey.instance import build as build
    from duey.instance import huey as huey
    from duey.instance import load_tasks as load_tasks
    from duey.instance import settings as settings
    from duey.model.job import Failure as Failure
    from duey.model.job import Job as Job
    from duey.os_process import on_worker_start as on_worker_start
    from duey.payload.serializer import register_type as register_type
    from duey.scheduling.huey_crontab import crontab as crontab
    from duey.scheduling.timetable import at as at
    from duey.scheduling.timetable import cron as cron
    from duey.scheduling.timetable import every as every
    from duey.tasks.checkpoint import checkpoint as checkpoint
    from duey.tasks.checkpoint import resume as resume
    from duey.tasks.current import Canceled as Canceled
    from duey.tasks.current import Discard as Discard
    from duey.tasks.current import Retry as Retry
    from duey.tasks.current import canceled as canceled
    from duey.tasks.current import check_canceled as check_canceled
    from duey.tasks.current import current_job as current_job
    from duey.tasks.current import progress as progress
    from duey.tasks.retry import exponential as exponential
    from duey.tasks.retry import sidekiq_backoff as sidekiq_backoff
    from duey.tasks.typed import Call as Call
    from duey.tasks.typed import ChordResult as ChordResult
    from duey.tasks.typed import Result as Result
    from duey.tasks.typed import ResultGroup as ResultGroup
    from duey.tasks.typed import ResultTimeout as ResultTimeout
    from duey.tasks.typed import TaskException as TaskException
    from duey.tasks.typed import TaskFunction as TaskFunction
    from duey.tasks.typed import chord as chord
    from duey.tasks.typed import group as group

__version__ = "0.9.0"
_HOMES = {
    "duey.instance": (
        "build",
        "huey",
        "load_tasks",
        "settings",
    ),
    "duey.model.job": (
        "Failure",
        "Job",
    ),
    "duey.os_process": ("on_worker_start",),
    "duey.payload.serializer": ("register_type",),
    "duey.scheduling.huey_crontab": ("crontab",),
    "duey.scheduling.timetable": (
        "at",
        "cron",
        "every",
    ),
    "duey.tasks.checkpoint": (
        "checkpoint",
        "resume",
    ),
    "duey.tasks.current": (
        "Canceled",
        "Discard",
        "Retry",
        "canceled",
        "check_canceled",
        "current_job",
        "progress",
    ),
    "duey.tasks.retry": (
        "exponential",
        "sidekiq_backoff",
    ),
    "duey.tasks.typed": (
        "Call",
        "ChordResult",
        "Result",
        "ResultGroup",
        "ResultTimeout",
        "TaskException",
        "TaskFunction",
        "chord",
        "group",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = ["errors", *_HOME_OF]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name == "errors":
        return import_module("duey.errors")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'duey' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
