"""The switch: the backend's name in `[storage]` to a storage class and its options."""

from __future__ import annotations

from config import Settings
from engine.job_storage import JobStorage


def make_storage(settings: Settings) -> JobStorage:
    """The storage that the settings name. Touches nothing: files and connections are opened on first use."""
    day = 86400.0
    common = {
        "durable": settings.storage.durability == "full",
        "result_ttl_s": float(settings.tasks.result_ttl_s),
        "failed_ttl_s": settings.monitor.keep_failed_days * day,
    }
    if settings.storage.backend == "redis":
        from engine.on_redis.storage import RedisStorage

        return RedisStorage(settings.storage.name, url=settings.storage.url, **common)
    from engine.on_sqlite.storage import SqliteStorage

    return SqliteStorage(settings.storage.name, path=settings.storage.path, **common)
