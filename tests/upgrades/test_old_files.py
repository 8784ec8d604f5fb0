"""What services of every earlier version have left behind (record.py), opened by this version."""

from __future__ import annotations

import gzip
import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import duey
from duey import clock, errors
from duey.config import Settings, load
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.monitor.access import Access
from duey.monitor.access import schema as access_schema
from duey.monitor.history import History
from duey.monitor.history import schema as history_schema
from duey.storage.redis import keys as redis_keys
from duey.storage.redis.storage import RedisStorage
from duey.storage.sqlite.connection import schema as queue_schema
from tests.support.redis_server import RedisServer
from tests.upgrades.record import OLD, PASSWORD

# By name of the files: their schema of queue.db, monitor.db, access.db and Redis. An `a` marks the first form of a
# version that got more tables or columns before the next one.
VERSIONS = {
    "1a": (1, 1, 1, 1), "1": (1, 1, 1, 1), "2": (2, 2, 1, 1), "3a": (3, 2, 1, 2), "3": (3, 3, 2, 2),
    "4a": (4, 3, 2, 2), "4": (4, 4, 2, 3), "5": (4, 5, 2, 3), "6": (4, 6, 2, 3), "7": (4, 6, 3, 3),
    "8": (4, 7, 3, 3), "9": (4, 7, 4, 3), "10": (4, 8, 4, 3),
    "11": (4, 8, 5, 3), "12": (5, 8, 5, 3), "13": (5, 9, 5, 3),
}  # fmt: skip
NEWEST = {
    "queue": queue_schema.VERSION,
    "monitor": len(history_schema.MIGRATIONS),
    "access": len(access_schema.MIGRATIONS),
}
VERSION_OF = {
    "queue": "select value from meta where key = 'schema'",
    "monitor": "select version from books_schema", "access": "select version from access_schema",
}  # fmt: skip
STATES = {
    "done": "done", "failed": "failed", "retrying": "retrying", "scheduled": "scheduled", "blocked": "blocked",
    "starter": "done", "queued": "queued", "follows": "queued",
}  # fmt: skip


def version(role: str, path: Path) -> int:
    with closing(sqlite3.connect(path)) as con:
        return int(con.execute(VERSION_OF[role]).fetchone()[0])


def shape(path: Path) -> dict[str, Any]:
    """Tables with their columns, and indexes; a migration adds columns at the end, and the order means nothing."""
    with closing(sqlite3.connect(path)) as con:
        names = con.execute("select type, name from sqlite_master where name not like 'sqlite_%'").fetchall()
        return {
            f"{kind} {name}": sorted(row[1:3] for row in con.execute(f"pragma table_info({name})"))
            for kind, name in names
        }


def unpack(name: str, folder: Path) -> dict[str, Path]:
    """Put the files of a version into the data folder, and return their paths by role."""
    paths = {role: folder / "data" / f"{role}.db" for role in NEWEST}
    (folder / "data").mkdir()
    for role, path in paths.items():
        path.write_bytes(gzip.decompress((OLD / f"{name}.{role}.db.gz").read_bytes()))
    return paths


class Old:
    """The files of one version in a folder, or its keys in Redis, and a huey that knows their tasks."""

    def __init__(self, name: str, backend: str, folder: Path, url: str) -> None:
        self.holds = json.loads((OLD / f"{name}.json").read_text())[backend]
        (folder / "config.ini").touch()
        self.settings: Settings = load(
            folder / "config.ini",
            {
                "DUEY_STORAGE_BACKEND": backend,
                "DUEY_STORAGE_URL": url,
                "DUEY_STORAGE_NAME": f"t{uuid.uuid4().hex[:12]}",
            },
        )
        self.paths = unpack(name, folder)
        self.huey: DurableHuey = duey.build(self.settings)
        self.before = {role: version(role, path) for role, path in self.paths.items()}
        if backend == "redis":
            self.before["redis"] = self._load_keys(name)
        self._register()

    def _load_keys(self, name: str) -> int:
        server, found = self.huey.storage.server, 0
        for line in gzip.decompress((OLD / f"{name}.redis.jsonl.gz").read_bytes()).decode().splitlines():
            command, key, *rest = (each.encode("latin-1") for each in json.loads(line))
            key = key.replace(b"{old}", b"{%s}" % self.settings.storage.name.encode())
            server.command(command, key, *rest)
            if key.endswith(b":meta"):
                found = int(dict(zip(rest[::2], rest[1::2], strict=True))[b"schema"])
        return found

    def _register(self) -> None:
        def add(a: int, b: int = 0) -> int:
            return a + b

        def paused(n: int) -> int:
            return n

        for function in (add, paused):
            function.__module__ = "shop"
            self.huey.task()(function)

    def run_all(self) -> dict[str, Any]:
        """Run what may run now, and return the results by the id of the job."""
        results = {}
        while (task := self.huey.dequeue()) is not None:
            results[task.id] = self.huey.execute(task)
        return results


@pytest.fixture(params=[(name, backend) for name in VERSIONS for backend in ("sqlite", "redis")], ids="-".join)
def old(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> Iterator[Old]:
    name, backend = request.param
    made = Old(name, backend, tmp_path, redis_server.url)
    assert tuple(made.before.values()) == VERSIONS[name][: len(made.before)]
    clock.set_source(lambda: made.holds["at"] + 60)  # otherwise what has ended would be too old to be kept
    yield made
    clock.set_source(None)
    if made.huey.alone is not None:
        made.huey.alone.close()
    made.huey.storage.close()


def test_all_that_an_older_version_holds_goes_on(old: Old, tmp_path: Path) -> None:
    old.huey.storage.prepare()
    control, ids = Control(old.huey), old.holds["jobs"]
    assert {name: control.job(ids[name]).state for name in STATES} == STATES
    assert control.job(ids["scheduled"]).context == {"order": 7}
    assert control.job(ids["retrying"]).retries_left == 2
    schedules = {each.name: each for each in control.schedules.all()}
    paused = {name: each.paused for name, each in schedules.items()}
    assert paused == {"nightly": False, "resting": True, "shop.monthly": False}
    assert schedules["nightly"].args == [5, 6]
    assert old.run_all() == {ids["queued"]: 8, ids["follows"]: 9}
    control.resume_task("paused")
    assert sorted(old.run_all().values()) == [1, 3, 5], "the blocked ones, and the next step of a pipeline"
    if old.settings.storage.backend == "redis":
        server = old.huey.storage.server
        assert int(server.command(b"HGET", server.key("meta"), "schema")) == redis_keys.VERSION
    else:
        the_history_goes_on(old)
        accounts_go_on(old)
        they_are_as_if_new(old, tmp_path / "new")


def test_keys_that_were_renamed_in_part_are_all_taken_over(tmp_path: Path, redis_server: RedisServer) -> None:
    """Before 0.9 keys had another beginning. The process that renames them may die between any two."""
    old = Old("1", "redis", tmp_path, redis_server.url)
    server = old.huey.storage.server
    name = server.prefix.removeprefix("duey")
    before = server.command(b"KEYS", f"*{name}:*")
    assert not any(key.startswith(b"duey") for key in before)
    server.command(*f"ACL SETUSER new on >s ~duey{name}:* +@all".split())
    only_new = RedisStorage(name[2:-1], url=redis_server.url.replace("//", "//new:s@"))
    with pytest.raises(errors.Misconfigured, match=r"does not permit this user to rename them .* allow `~"):
        only_new.prepare()
    for key in sorted(before)[::2]:
        if not key.endswith(b":meta"):
            server.command(b"RENAME", key, b"duey:" + key.partition(b":")[2])
    control = Control(old.huey)
    assert {control.job(job).id for job in old.holds["jobs"].values()} == set(old.holds["jobs"].values())
    assert control.counts().queued == 2
    old.huey.storage.close()


def the_history_goes_on(old: Old) -> None:
    history = History(old.settings.monitor.database, old.settings.monitor, clock.now)
    recorder = history.recorder(old.huey.lifecycle, schedules=Control(old.huey).schedules.all)
    recorder.turn()
    states = [history.job(old.holds["jobs"][name]).state for name in ("done", "failed", "retrying", "queued")]
    assert states == ["done", "failed", "retrying", "done"]
    assert sorted((each.type, each.count) for each in history.error_groups().groups) == [
        ("OSError", 1),
        ("ValueError", 1),
    ]
    assert len(history.slot_runs("nightly")) == 1
    recorder.close()
    history.close()


def accounts_go_on(old: Old) -> None:
    access = Access.of(old.settings)
    assert access.accounts.authenticate("ana", PASSWORD, "127.0.0.1")
    token = access.tokens.find(old.holds["token"])
    assert token is not None and token.name == "ci"
    assert {"add account", "create token"} <= {entry.action for entry in access.audit.page()}
    access.close()


def they_are_as_if_new(old: Old, new: Path) -> None:
    """The migrated files have the tables of new ones."""
    old.huey.storage.close()
    (new / "data").mkdir(parents=True)
    (new / "config.ini").touch()
    settings = load(new / "config.ini", {})
    fresh = (duey.build(settings).storage, History(settings.monitor.database, settings.monitor), Access.of(settings))
    for each in fresh:
        each.prepare()
        each.close()
    for role, path in old.paths.items():
        assert version(role, path) == NEWEST[role]
        assert shape(path) == shape(new / "data" / path.name), role


def test_the_newest_versions_have_files() -> None:
    """Whoever brings a new schema version records what it writes: python -m tests.upgrades.record COMMIT NAME."""
    assert list(VERSIONS.values())[-1] == (*NEWEST.values(), redis_keys.VERSION)
