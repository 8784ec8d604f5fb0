"""What an operator should know at the start: jobs that wait in a storage that is not configured any more, and jobs that
wait here but cannot be read with the settings."""

from __future__ import annotations

import logging
from typing import Any

from duey import errors
from duey.config import Settings
from duey.config.values import without_login
from duey.model.job import BLOCKED, QUEUED, RETRYING, SCHEDULED
from duey.payload.serializer import UndecodableError, of_job
from duey.storage.values import StoredJob

logger = logging.getLogger("duey")
LOOKED_AT = 500  # waiting jobs of each state: reading all of a long queue would delay the start


def warnings_at_start(huey: Any) -> list[str]:
    """Prepare the storage. Returns one sentence for each thing that an operator should know."""
    found: list[str] = huey.storage.prepare()
    return [*found, *elsewhere(huey.settings), *unreadable(huey)]


def before_the_name(storage: Any) -> list[str]:
    """Jobs on Redis in the queue of before version 0.9, which had another default name."""
    if storage.name != type(storage).__dataclass_fields__["name"].metadata["default"]:
        return []
    from duey.storage.redis.connection.preflight import waiting_before

    name, count = waiting_before(storage.url)
    return [
        f"{count:,} jobs wait on Redis in the queue {name}, as it was called before version 0.9, and nobody runs them: "
        f"set [storage] name = {name}"
    ] * bool(count)


def elsewhere(settings: Settings) -> list[str]:
    """Jobs that wait in the other storage that the settings name. Redis is asked only if its URL is not the default."""
    storage = settings.storage
    file, server = f"sqlite:///{storage.path}", without_login(storage.url)
    if storage.backend == "redis":
        from duey.storage.sqlite.peek import waiting_in

        count, url, here = waiting_in(storage.path), file, server
        if found := before_the_name(storage):
            return found
    elif storage.url != type(storage).__dataclass_fields__["url"].metadata["default"]:
        try:
            from duey.storage.redis.connection.preflight import waiting_in as waiting_on
        except ImportError:  # the client of Redis is optional
            return []
        count, url, here = waiting_on(storage.url, storage.name), server, file
    else:
        return []
    if not count:
        return []
    return [
        f"{count:,} jobs wait at {url}, but [storage] backend is {storage.backend}, so nobody runs them: stop Duey, "
        f"then move them with `duey move --from {url} --to {here}`, or set backend back"
    ]


def unreadable(huey: Any) -> list[str]:
    """Waiting jobs whose payload cannot be read with `[tasks] secret` and `serializer`."""
    looked_at, reasons = 0, dict[str, int]()
    for state in (QUEUED, SCHEDULED, RETRYING, BLOCKED):
        for found in huey.storage.list_jobs(state, None, None, LOOKED_AT, None):
            looked_at += 1
            if why := why_unreadable(huey, found):
                reasons[why] = reasons.get(why, 0) + 1
    return [
        f"{count:,} of {looked_at:,} waiting jobs cannot be read with [tasks] serializer and secret as they are set, "
        f"and will fail: {why}"
        for why, count in reasons.items()
    ]  # fmt: skip


def why_unreadable(huey: Any, found: StoredJob) -> str | None:
    """The reason, None if the payload can be read, or is too large to be shown."""
    if not found.job.payload:
        return None
    try:
        huey.serializer.stored(found.job.payload, of_job(found.job))
    except (errors.TypeMisfit, errors.PayloadTooLarge):
        return None  # of its class or its size, not of the settings
    except UndecodableError as exc:
        return str(exc)
    return None
