"""`duey check` changes nothing, and says what the next start will do; what is newer is refused by everything."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from duey.storage.redis import keys as redis_keys
from tests.support.redis_server import RedisServer
from tests.upgrades.test_old_files import NEWEST, VERSIONS, Old, unpack

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ROOT / "tests" / "acceptance" / "on_path" / "commands.py"
TASKS = "from duey import huey\n\n\n@huey.task()\ndef add(a, b=0):\n    return a + b\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = shop\n")
    (tmp_path / "shop.py").write_text(TASKS)
    return tmp_path


def start(folder: Path, *words: str, **environ: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "DUEY_CONFIG": str(folder / "config.ini"), "PYTHONPATH": str(ROOT), **environ}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environ, stdout=pipe, stderr=pipe, text=True)


def ended(program: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit status, output and error."""
    out, err = program.communicate(timeout=60)
    return program.returncode, out, err


def duey(folder: Path, *commands: list[str], **environ: str) -> list[Any]:
    """Exit status, output and error of each command, run in one process."""
    return json.loads(ended(start(folder, str(COMMANDS), json.dumps(commands), **environ))[1])


def everything(folder: Path) -> dict[str, Any]:
    """All files with their contents, modes and times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        stat = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (content, stat.st_mode, stat.st_mtime_ns)
    return found


def test_check_changes_nothing_and_says_what_a_start_will_do(folder: Path) -> None:
    before = everything(folder)
    ((code, out, err),) = duey(folder, ["check"])
    assert (code, err) == (0, "") and "database  queue.db: none yet, the next start makes it\n" in out
    assert everything(folder) == before, "no database is made"
    unpack("1", folder)
    for path in (folder / "data").iterdir():
        path.chmod(0o644)
    before = everything(folder)
    (code, out, err), queue = duey(folder, ["check"], ["check", "--queue", "--json"])
    assert (code, err) == (0, "")
    looked_through(queue)
    for role, newest in NEWEST.items():
        assert f"database  {role}.db: will migrate 1 -> {newest} at the next start\n" in out
    assert everything(folder) == before


def looked_through(told: list[Any]) -> None:
    """`check --queue` has read the jobs of an old version, of whose tasks only `add` is known."""
    code, out, err = told
    found = json.loads(out)
    assert code == 1 and "3 of 8 jobs and schedules do not fit" in err and found["ok"] is False
    reasons = {each["task"]: (each["count"], len(each["ids"])) for each in found["queue"]["reasons"]}
    assert reasons == {"shop.paused": (2, 2), "shop.tries": (1, 1)}


def test_check_of_a_running_service_changes_no_database(folder: Path) -> None:
    unpack("2", folder)
    with closing(sqlite3.connect(folder / "data" / "queue.db")) as con:
        con.execute("insert into counters values ('x', 1)")
        con.commit()  # the log is there until it is closed
        before = everything(folder)
        ((code, out, err),) = duey(folder, ["check"])
        assert (code, err) == (0, "") and f"queue.db: will migrate 2 -> {NEWEST['queue']} at" in out
        after = everything(folder)
        assert {name: after[name] for name in after if not name.endswith("-shm")} == {
            name: before[name] for name in before if not name.endswith("-shm")
        }


def test_check_on_redis_writes_no_key(folder: Path, redis_server: RedisServer, tmp_path: Path) -> None:
    (folder / "old").mkdir()
    old = Old("1", "redis", folder / "old", redis_server.url)
    server, name = old.huey.storage.server, old.settings.storage.name
    environ = {
        "DUEY_STORAGE_BACKEND": "redis", "DUEY_STORAGE_URL": redis_server.url, "DUEY_STORAGE_NAME": name,
    }  # fmt: skip
    before = sorted(server.command(b"KEYS", f"*{{{name}}}*"))
    (code, out, err), queue = duey(folder, ["check"], ["check", "--queue", "--json"], **environ)
    assert (code, err) == (0, "")
    looked_through(queue)
    assert f"database  Redis at {server.address}: will migrate 1 -> {redis_keys.VERSION} at the next start\n" in out
    assert sorted(server.command(b"KEYS", f"*{{{name}}}*")) == before
    (old_meta,) = server.command(b"KEYS", f"*:{{{name}}}:meta")
    server.command(b"HSET", old_meta, "schema", 999)
    before = sorted(server.command(b"KEYS", f"*{{{name}}}*"))
    server.command(b"RENAME", old_meta, server.key("meta"))
    for code, out, err in duey(folder, ["check"], ["check", "--queue"], ["enqueue", "add", "1"], **environ):
        assert (code, out) == (1, "") and "in schema version 999 and this Duey knows" in err and err.count("\n") == 1
    assert len(server.command(b"KEYS", f"*{{{name}}}*")) == len(before), "nothing was taken over"
    # One whose name was not set had the old name of the project.
    server.command(b"ZADD", "former:{former}:live", 1, "a")
    (told,) = duey(folder, ["check"], **environ | {"DUEY_STORAGE_NAME": "duey"})
    server.command(b"DEL", "former:{former}:live")
    assert "1 jobs wait on Redis in the queue former" in told[1] and "set [storage] name = former" in told[1]
    old.huey.storage.close()


def as_newer(folder: Path, role: str) -> None:
    statement = {
        "queue": "update meta set value = 999 where key = 'schema'",
        "monitor": "update books_schema set version = 999", "access": "update access_schema set version = 999",
    }[role]  # fmt: skip
    with closing(sqlite3.connect(folder / "data" / f"{role}.db")) as con:
        con.execute(statement)
        con.commit()


COMMANDS_THAT_OPEN = [
    ["check"], ["status"], ["user", "list"], ["user", "add", "x"], ["token", "list"], ["enqueue", "add", "1"],
    ["retry", "x"], ["cancel", "x"], ["pause", "add"], ["schedule", "list"], ["alerts", "list"], ["drill"], ["audit"],
    ["record"], ["prune"], ["backup", "there"],
]  # fmt: skip


def test_what_a_newer_version_wrote_is_refused_by_everything_and_left_alone(folder: Path) -> None:
    """A newer queue by the programs: tests/acceptance/test_start.py. Consumers open no other database."""
    started, before = {}, {}
    for role in NEWEST:
        place = folder / role
        place.mkdir()
        for name in ("config.ini", "shop.py"):
            (place / name).write_text((folder / name).read_text())
        unpack(list(VERSIONS)[-1], place)
        as_newer(place, role)
        before[role] = (place / "data" / f"{role}.db").read_bytes()
        programs = [] if role == "queue" else [start(place, "app.py", DUEY_WEB_PORT="0")]
        started[role] = start(place, str(COMMANDS), json.dumps(COMMANDS_THAT_OPEN)), programs
    for role, (commands, programs) in started.items():
        data = folder / role / "data"
        for code, out, err in [*map(ended, programs), *json.loads(ended(commands)[1])]:
            assert (code, out) == (1, "") and len(err.splitlines()) == 1, err
            assert f"{data / role}.db" in err and "999" in err and "newer" in err
        assert (data / f"{role}.db").read_bytes() == before[role]
        assert {each.name for each in data.glob("*.db*")} == {f"{each}.db" for each in NEWEST}
