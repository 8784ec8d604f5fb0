"""Write the files in tests/upgrades/old: what a service of one commit leaves behind when it is stopped.

    python -m tests.upgrades.record COMMIT NAME

Run this for the commit that brings a new schema version (`$(git stash create)` is what is not committed yet), and add
a line to test_old_files.py. The commit is unpacked into a temporary folder and its own service is run there, once on
SQLite and once on Redis: jobs in each state, schedules, an account, a token. Only its command line and HTTP API are
used, which all commits have in common.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from tests.support import wait_until
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, redis_binary

ROOT = Path(__file__).resolve().parents[2]
OLD = Path(__file__).parent / "old"
PASSWORD, FAR = "correct horse battery", "2035-01-01T00:00:00Z"
SHOP = """
from duey import huey, every

@huey.task()
def add(a, b=0): return a + b

@huey.task()
def fails(): raise ValueError("no stock")

@huey.task(retries=3, retry_delay=86400)
def tries(): raise OSError("the mail server is down")

@huey.task()
def paused(n): return n

@huey.task()
def chain(): huey.enqueue(paused.s(1).then(add, 2))

@huey.periodic_task(every(30 * 86400))
def monthly(): pass
"""


class Service:
    """The service of one commit, with a folder of its own."""

    def __init__(self, source: Path, folder: Path, backend: str, url: str) -> None:
        self.source, self.port = source, free_port()
        self.python = str(source.parent / "venv" / "bin" / "python")
        folder.mkdir()
        (folder / "config.ini").write_text("[tasks]\nmodules = shop\n[consumer]\nqueues = default, held\n")
        (folder / "shop.py").write_text(SHOP)
        self.environ = {
            **os.environ, "DUEY_CONFIG": str(folder / "config.ini"), "PYTHONPATH": str(source),
            "DUEY_STORAGE_BACKEND": backend, "DUEY_STORAGE_URL": url, "DUEY_STORAGE_NAME": "old",
            "DUEY_WEB_PORT": str(self.port),
        }  # fmt: skip

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[None]:
        made = subprocess.Popen(
            [self.python, "app.py", *arguments], cwd=self.source, env=self.environ, stdout=subprocess.PIPE, text=True
        )
        assert made.stdout is not None
        for line in made.stdout:
            if line.strip() == "ready":
                break
        try:
            yield
        finally:
            made.send_signal(signal.SIGTERM)
            made.communicate(timeout=60)

    def manage(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [self.python, "manage.py", *arguments], cwd=self.source, env=self.environ, input=stdin,
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        return done.stdout.splitlines()[-1]

    def call(self, token: str, method: str, path: str, body: Any = None) -> Any:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(asked, timeout=40) as answer:
            return json.load(answer)


def live(service: Service) -> dict[str, Any]:
    """Let the service work, and return what its files must hold."""
    jobs = {}
    with service.running():
        service.manage("user", "add", "ana", "--role", "admin", "--password-stdin", stdin=f"{PASSWORD}\n")
        token = service.manage("token", "create", "ci", "--scope", "read,enqueue,admin")

        def enqueue(name: str, task: str, *args: Any, **more: Any) -> None:
            jobs[name] = service.call(token, "POST", "jobs", {"task": task, "args": args, **more})["id"]

        service.call(token, "POST", "tasks/paused/pause")
        enqueue("done", "add", 1, 2)
        enqueue("failed", "fails")
        enqueue("retrying", "tries")
        enqueue("scheduled", "add", 3, eta=FAR, unique="once", context={"order": 7})
        enqueue("blocked", "paused", 5)
        enqueue("starter", "chain")
        for name in ("done", "failed", "starter"):
            service.call(token, "GET", f"jobs/{jobs[name]}?wait=20")
        wait_until(lambda: service.call(token, "GET", f"jobs/{jobs['retrying']}")["attempt"] == 1, 20, "tried once")
        service.call(
            token, "POST", "schedules", {"name": "nightly", "task": "add", "args": [5, 6], "cron": "0 3 * * *"}
        )
        service.call(token, "POST", "schedules", {"name": "resting", "task": "add", "args": [7], "every": 60})
        service.call(token, "POST", "schedules/resting/pause")
        service.call(token, "POST", "schedules/nightly/run")
        time.sleep(3)  # the recorder copies the occurrences
    with service.running("--web"):
        enqueue("queued", "add", 8, priority=3)
        enqueue("follows", "add", 9)
        time.sleep(1)
    return {"at": time.time(), "token": token, "jobs": jobs}


def keys(server: redis.Redis) -> Iterator[list[str]]:
    """All keys as commands that make them again."""
    reads: dict[bytes, Callable[[bytes], list[Any]]] = {
        b"string": lambda key: ["SET", key, server.get(key)],
        b"hash": lambda key: ["HSET", key, *(part for pair in sorted(server.hgetall(key).items()) for part in pair)],
        b"set": lambda key: ["SADD", key, *sorted(server.smembers(key))],
        b"list": lambda key: ["RPUSH", key, *server.lrange(key, 0, -1)],
        b"zset": lambda key: [
            "ZADD", key, *(part for at, score in server.zrange(key, 0, -1, withscores=True) for part in (score, at)),
        ],
    }  # fmt: skip
    for key in sorted(server.keys()):
        kind = server.type(key)
        if kind == b"stream":
            commands = [["XADD", key, at, *(p for pair in fields.items() for p in pair)]
                        for at, fields in server.xrange(key)]  # fmt: skip
        else:
            commands = [reads[kind](key)]
        for command in commands:
            yield [part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in command]


def record(commit: str, name: str) -> None:
    """Write NAME.json, NAME.queue.db.gz, NAME.monitor.db.gz, NAME.access.db.gz and NAME.redis.jsonl.gz."""
    binary = redis_binary()
    assert binary is not None
    with tempfile.TemporaryDirectory() as place:
        source, holds = Path(place) / "source", {}
        source.mkdir()
        (Path(place) / "venv").symlink_to(sys.prefix)  # whose path is in tracebacks
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "x", "-C", source], input=archive, check=True)
        server = RedisServer(binary, Path(place) / "redis-server")
        server.start()
        for backend in ("sqlite", "redis"):
            folder = Path(place) / backend
            holds[backend] = live(Service(source, folder, backend, server.url))
            for role in ("queue", "monitor", "access") if backend == "sqlite" else ():
                with contextlib.closing(sqlite3.connect(folder / "data" / f"{role}.db")) as con:
                    con.execute("vacuum into ?", (f"{place}/{role}.db",))
                packed(f"{name}.{role}.db", Path(place, f"{role}.db").read_bytes())
        with redis.Redis.from_url(server.url) as client:
            packed(f"{name}.redis.jsonl", "".join(f"{json.dumps(each)}\n" for each in keys(client)).encode())
        server.stop()
        (OLD / f"{name}.json").write_text(json.dumps(holds, indent=1) + "\n")


def packed(name: str, content: bytes) -> None:
    (OLD / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))


if __name__ == "__main__":
    OLD.mkdir(exist_ok=True)
    record(*sys.argv[1:])
