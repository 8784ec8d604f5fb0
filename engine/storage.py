"""The switch: the backend's name in `[storage]` to a storage class and its options."""

from __future__ import annotations

from config import Settings
from duey.storage.contract import JobStorage


def make_storage(settings: Settings) -> JobStorage:
    """The storage that the settings name. Touches nothing: files and connections are opened on first use."""
    durable = settings.storage.durability == "full"
    ttl_s, failed_ttl_s = float(settings.tasks.result_ttl_s), settings.monitor.keep_failed_days * 86400.0
    name, backlog_rows = settings.storage.name, settings.monitor.backlog_rows
    if settings.storage.backend == "redis":
        from duey.storage.redis.storage import RedisStorage

        return RedisStorage(
            name, url=settings.storage.url, durable=durable, result_ttl_s=ttl_s, failed_ttl_s=failed_ttl_s,
            backlog_rows=backlog_rows,
        )  # fmt: skip
    from duey.storage.sqlite.storage import SqliteStorage

    return SqliteStorage(
        name, path=settings.storage.path, durable=durable, result_ttl_s=ttl_s, failed_ttl_s=failed_ttl_s,
        backlog_rows=backlog_rows,
    )  # fmt: skip
