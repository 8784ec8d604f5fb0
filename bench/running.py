"""Running a system in its own environment: calls into it, its consumer, and what both may cost.

Everything that is started here is ended here, gently at first: `Consumer` is a context, and a call has a time limit.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import processes
from bench.environments import NotInstalled, python_of
from bench.place import place

ROOT = Path(__file__).resolve().parent.parent
ON_REDIS = ("duey_redis", "huey_redis", "celery", "rq", "dramatiq")
CALL_S = 300.0


class Failed(Exception):
    """One line that says what a system did instead of answering."""


# What measuring one system may raise, and what then ends only that system's part.
NOT_MEASURED = (Failed, NotInstalled, OSError, AssertionError, subprocess.SubprocessError)


class Running:
    """One system in one place."""

    def __init__(self, name: str, folder: Path, redis_url: str) -> None:
        self.name, self.folder = name, folder
        self.python = python_of(name)
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DUEY_", "BENCH_"))},
            "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "BENCH_FOLDER": str(folder),
            "BENCH_REDIS": redis_url, "DUEY_CONFIG": str(folder / "config.ini"), "DUEY_LOG_LEVEL": "WARNING",
            "DUEY_TASKS_MODULES": "bench.systems.duey",
            "DUEY_STORAGE_BACKEND": "redis" if name == "duey_redis" else "sqlite",
        }  # fmt: skip
        if redis_url:
            self.environment["DUEY_STORAGE_URL"] = redis_url

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[str]:
        """A program in the system's environment, in a process group of its own."""
        return subprocess.Popen(
            [self.python, *argv], cwd=ROOT, env=self.environment, text=True, start_new_session=True, **options
        )

    def call(self, verb: str, *args: object) -> Any:
        """A verb of the system's interface, answered."""
        return self.run("bench.systems", self.name, verb, *map(str, args))

    def run(self, module: str, *args: str) -> Any:
        """What the last line of a module's output says. Raises Failed."""
        program = self.start("-m", module, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = program.communicate(timeout=CALL_S)
        except subprocess.TimeoutExpired:
            end(program)
            raise Failed(f"{module} {' '.join(args)} did not end within {CALL_S:g} s") from None
        if program.returncode:
            last = err.strip().splitlines()[-1:] or ["without a word"]
            raise Failed(f"{' '.join(args)}: {last[0][:200]}")
        return answer_in(out)

    @contextmanager
    def consumer(self, workers: int, kind: str) -> Iterator[subprocess.Popen[str]]:
        """The system's consumer, for as long as the context lasts."""
        with open(self.folder / "consumer.log", "ab") as log:
            consumer = self.start(
                "-m", "bench.systems", self.name, "work", str(workers), kind, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield consumer
        finally:
            end(consumer)

    def said(self) -> str:
        """The last line that the consumer wrote, for a message."""
        try:
            lines = (self.folder / "consumer.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return lines[-1][:200] if lines else "it said nothing"


def answer_in(out: str) -> Any:
    """The JSON on the last line of what a program said. Raises Failed."""
    try:
        return json.loads(out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Failed(f"it did not answer but said {out[-100:]!r}") from None


@contextmanager
def running(name: str, redis: bool | None = None) -> Iterator[Running]:
    """A prepared system in a fresh place. Raises NotInstalled, Failed."""
    with place(name in ON_REDIS if redis is None else redis) as (folder, url):
        system = Running(name, folder, url)
        system.call("prepare")
        yield system


def description(name: str) -> dict[str, Any]:
    """What a system says of itself. Raises NotInstalled, also when it cannot be imported here."""
    with place(False) as (folder, _):
        try:
            answer: dict[str, Any] = Running(name, folder, "redis://127.0.0.1:1/0").call("describe")
        except Failed as exc:
            raise NotInstalled(str(exc)) from None
    return answer


def wait(condition: Callable[[], Any], timeout_s: float, what: str, pause_s: float = 0.01) -> Any:
    """Ask until it is true; what it said. Raises Failed."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(pause_s)


def end(program: subprocess.Popen[Any], patience_s: float = 8.0) -> None:
    """Ask a program to end; after a while, make it and all that it started."""
    family = processes.family(program.pid)
    if program.poll() is None:
        program.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            program.wait(patience_s)
    for pid in family:
        processes.kill(pid)
    program.wait()
