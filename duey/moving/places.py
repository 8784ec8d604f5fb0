"""The queue that a URL names, for `duey move`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from duey.config import Settings
from duey.config.table import Storage
from duey.config.values import NAME, SQLITE_URL, Refused, database, redis_url, without_login
from duey.moving.huey_queue import HueyQueue, RedisHueyQueue, SqliteHueyQueue
from duey.storage.transfer import MoveRefused, Transfer

NO_CLIENT = "expected the Python client of Redis, found none: pip install 'duey[redis]'"
REDIS = ("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://")


class Place(NamedTuple):
    """A queue: a SQLite file, or a name on a Redis server."""

    storage: Storage

    @property
    def label(self) -> str:
        """Its address without user and password. The same text names the same queue."""
        if self.storage.backend == "sqlite":
            return f"{SQLITE_URL}{self.storage.path}"
        return f"{without_login(self.storage.url)} (name {self.storage.name})"

    def opened(self, create: bool = False) -> Transfer:
        """The queue there. `create`: it may be new. Raises StorageUnavailable, Misconfigured, MoveRefused."""
        if self.storage.backend == "sqlite":
            from duey.storage.sqlite.transfer.transfer import SqliteTransfer

            return SqliteTransfer(self.label, self.storage.path, create)
        try:
            from duey.storage.redis.transfer.transfer import RedisTransfer
        except ImportError:
            raise MoveRefused(NO_CLIENT) from None
        return RedisTransfer(self.label, self.storage.url, self.storage.name, create)

    def lines(self) -> list[str]:
        """What config.ini must say to use it."""
        if self.storage.backend == "sqlite":
            return ["[storage]", "backend = sqlite", f"path = {self.storage.path}"]
        url = without_login(self.storage.url)
        if url != self.storage.url:  # the password is the operator's to write
            url = url.replace("://", "://USER:PASSWORD@", 1)
        return ["[storage]", "backend = redis", f"url = {url}", f"name = {self.storage.name}"]


def place_of(url: str | None, settings: Settings, name: str | None = None) -> Place:
    """The place that a URL names, None: that of the settings. `name`: as `[storage] name`. The password of `[storage]
    url` need not be repeated. Raises MoveRefused."""
    if name is not None and not re.fullmatch(NAME, name):
        raise MoveRefused(f"expected a name of 1 to 64 letters, digits or _ . -, found {name!r}: correct --name")
    storage = replace(settings.storage, name=name or settings.storage.name)
    if url is None:
        return Place(storage)
    try:
        if url.startswith(REDIS):
            redis_url(url, settings.root)
        else:
            return Place(
                replace(storage, backend="sqlite", path=Path(database(url, settings.root).removeprefix(SQLITE_URL)))
            )
    except Refused:
        shown = re.sub(r":[^/].*@", ":***@", url)[:80]
        raise MoveRefused(
            f"expected redis://HOST:PORT/N, rediss://..., unix:///SOCKET or {SQLITE_URL}FILE, found {shown!r}: "
            "correct the URL (in a password, / is %2F and ? is %3F)"
        ) from None
    named, configured = Place(replace(storage, backend="redis", url=url)), Place(replace(storage, backend="redis"))
    is_same = named.label == configured.label and without_login(url) == url
    return configured if is_same else named  # with its password


def huey_queue_at(url: str, settings: Settings, name: str | None) -> HueyQueue:
    """The queue of a plain Huey at a URL. Raises MoveRefused."""
    place = place_of(url, settings)
    if place.storage.backend == "sqlite":
        return SqliteHueyQueue(place.storage.path, name)
    try:
        return RedisHueyQueue(place.storage.url, name)
    except ImportError:
        raise MoveRefused(NO_CLIENT) from None
