"""The one Huey of this process, built from the settings when this module is first imported."""

from __future__ import annotations

from duey import logs
from duey.config import Settings, load
from duey.execution.huey import DurableHuey
from duey.payload.redact import configured
from duey.payload.serializer import make_serializer
from duey.storage.contract import JobStorage
from duey.tasks import discovery, drill


def make_storage(settings: Settings) -> JobStorage:
    """Return the storage that the settings name. Opens nothing yet: files and connections are opened on first use."""
    ttl_s, failed_ttl_s = float(settings.tasks.result_ttl_s), settings.monitor.keep_failed_days * 86400.0
    name, backlog_rows = settings.storage.name, settings.monitor.backlog_rows
    if settings.storage.backend == "redis":
        from duey.storage.redis.storage import RedisStorage

        return RedisStorage(
            name, url=settings.storage.url, result_ttl_s=ttl_s, failed_ttl_s=failed_ttl_s,
            backlog_rows=backlog_rows, replicas=settings.storage.replicas,
        )  # fmt: skip
    from duey.storage.sqlite.storage import SqliteStorage

    return SqliteStorage(
        name, path=settings.storage.path, durable=settings.storage.durability == "full", result_ttl_s=ttl_s,
        failed_ttl_s=failed_ttl_s, backlog_rows=backlog_rows,
    )  # fmt: skip


def build(settings: Settings) -> DurableHuey:
    """Return a Huey that is built from the settings."""
    made = DurableHuey(
        settings.storage.name,
        settings=settings,
        serializer=make_serializer(
            settings.tasks.serializer, settings.tasks.secret, previous=settings.tasks.secret_previous
        ),
        make_storage=lambda: make_storage(settings),
    )
    made.display.redactor = configured(settings.monitor.redact)
    made.display.max_value_bytes = settings.monitor.max_value_kb * 1024
    return made


settings = load()
huey = build(settings)


def load_tasks() -> None:
    """Import the modules of `[tasks] modules`, which registers their tasks with `huey`."""
    discovery.load_tasks(settings.tasks.modules, settings.root)
    drill.register(huey)
    logs.keep()
