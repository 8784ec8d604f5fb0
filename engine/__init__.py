"""What runs tasks: builds and exports the one `huey`, and what a task file needs beside it.

    from engine import huey

    @huey.task(retries=5)
    def add(a: int, b: int) -> int:
        return a + b

Importing this reads config.ini and the environment, and touches nothing else: no file, no connection.
"""

from __future__ import annotations

from config import Settings, load
from duey import errors, logs
from duey.execution.huey import DurableHuey
from duey.os_process import on_worker_start
from duey.payload.redact import configured
from duey.payload.serializer import make_serializer, register_type
from duey.scheduling.huey_crontab import crontab
from duey.scheduling.timetable import at, cron, every
from duey.tasks import discovery
from duey.tasks.checkpoint import checkpoint, resume
from duey.tasks.current import Canceled, Discard, Retry, canceled, check_canceled, current_job, progress
from duey.tasks.retry import exponential, sidekiq_backoff
from engine.storage import make_storage

__all__ = [
    "Canceled",
    "Discard",
    "Retry",
    "at",
    "build",
    "canceled",
    "check_canceled",
    "checkpoint",
    "cron",
    "crontab",
    "current_job",
    "errors",
    "every",
    "exponential",
    "huey",
    "load_tasks",
    "on_worker_start",
    "progress",
    "register_type",
    "resume",
    "settings",
    "sidekiq_backoff",
]


def build(settings: Settings) -> DurableHuey:
    """A Huey as the settings describe it."""
    made = DurableHuey(
        settings.storage.name,
        settings=settings,
        serializer=make_serializer(settings.tasks.serializer, settings.tasks.secret),
        make_storage=lambda: make_storage(settings),
    )
    made.composer.redactor = configured(settings.monitor.redact)
    made.composer.max_value_bytes = settings.monitor.max_value_kb * 1024
    return made


settings = load()
huey = build(settings)


def load_tasks() -> None:
    """Import the modules of `[tasks] modules`, so that their tasks are known to `huey`."""
    discovery.load_tasks(settings.tasks.modules, settings.root)
    logs.keep()
