"""Tasks whose author's code does harm at a chosen place: decoding, hooks, receivers, the body, what follows it.

A job is told where and what (`place`, `deed`); everywhere else it behaves. Only consumers do harm: whoever enqueues or
looks runs with DUEY_TEST_HARMLESS. DUEY_TEST_START names a place and a deed for the first worker that starts or ends.

Deeds: the name of an exception to raise; `exit.N`, `kill`, `kill all` (of the consumer's processes); `fork`, whose
child returns; `slow.N`, `log.N`, `hang.N`: sleep, log, wait for a lock, for N seconds; `close`: all descriptors.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from dataclasses import dataclass

from huey import signals
from huey.api import Task
from workload import write

from duey import huey, on_worker_start, progress, register_type
from tests.acceptance.processes import MARK, kill, marked

HARMLESS = "DUEY_TEST_HARMLESS" in os.environ
START = os.environ.get("DUEY_TEST_START", "")
NAMES = ("victim", "once", "frail", "frail_once")


class Base(BaseException):
    """What no `except Exception` sees."""


RAISED = {each.__name__: each for each in (SystemExit, KeyboardInterrupt, GeneratorExit, ValueError, Base)}
_begun: set[tuple[object, int]] = set()  # by this process


def record(n: object, what: str) -> None:
    """A line of the ledger. The end of what a forked process did not begin is none."""
    key = (n, os.getpid())
    if what == "begin":
        _begun.add(key)
    elif key not in _begun:
        return
    write(n, what)


def harm(n: object, place: str, deed: str) -> None:
    """Do it, and say so in the ledger; one who dies of it says only that he began."""
    if HARMLESS:
        return
    name, _, seconds = deed.partition(".")
    record(f"{n}.{place}", "begin")
    if name == "exit":
        os._exit(int(seconds or 7))
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "kill all":
        # The supervisor first, whatever its number: it must not see the others die, and charge their jobs.
        for pid in sorted(marked(os.environ[MARK], os.getsid(0)), key=lambda pid: pid != os.getsid(0)):
            if pid != os.getpid():
                kill(pid)
        kill(os.getpid())
    if name == "fork" and not os.fork():
        return
    if name == "slow":
        time.sleep(float(seconds))
    if name == "log":
        ends = time.monotonic() + float(seconds)
        while time.monotonic() < ends:
            logging.getLogger(__name__).info("job %s goes on", n)
    if name == "hang":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire(timeout=float(seconds))
    if name == "close":
        os.closerange(3, 4096)
    if name in RAISED:
        raise RAISED[name]
    record(f"{n}.{place}", "end")


class Harmful:
    """Does harm the first time that it is looked at in a process."""

    _harmed: set[object] = set()

    def __init__(self, n: int, place: str, deed: str) -> None:
        self.harm = (n, place, deed)

    def __str__(self) -> str:
        if self.harm not in self._harmed:
            self._harmed.add(self.harm)
            harm(*self.harm)
        return "fault_tasks"


@register_type
@dataclass
class Cargo:
    """An argument that does harm when it is decoded."""

    n: int
    deed: str

    def __post_init__(self) -> None:
        if self.deed:
            harm(self.n, "decode", self.deed)


@register_type
@dataclass
class Parcel:
    """A result that does harm when it is encoded."""

    n: int
    deed: str

    def __getattribute__(self, name: str) -> object:
        if name == "deed":
            str(Harmful(self.n, "encode", object.__getattribute__(self, name)))
        return object.__getattribute__(self, name)


def at(task, place: str) -> None:
    """Do harm if this is the place that the job was told."""
    if task.name in NAMES and task.args[1] == place:
        harm(*task.args[:3])


@huey.pre_execute()
def before(task) -> None:
    at(task, "pre_execute")


@huey.post_execute()
def after(task, value, exception) -> None:
    at(task, "post_execute")


@huey.signal(signals.SIGNAL_EXECUTING)
def on_executing(signal_name, task, *rest) -> None:
    at(task, "executing")


@huey.signal(signals.SIGNAL_COMPLETE)
def on_complete(signal_name, task, *rest) -> None:
    at(task, "complete")


@huey.signal(signals.SIGNAL_ERROR)
def on_error(signal_name, task, *rest) -> None:
    at(task, "error")


def once_at_start(place: str) -> None:
    """Do harm if this is the place for that, and no other worker has."""
    named, _, deed = START.partition(" ")
    if named == place:
        try:
            os.close(os.open(os.environ["DUEY_TEST_LEDGER"] + ".started", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        harm("start", place, deed)


@on_worker_start
def first_of_all() -> None:
    once_at_start("on_worker_start")


@huey.on_shutdown()
def at_end() -> None:
    once_at_start("on_shutdown")


@huey.on_startup()
def at_start() -> None:
    once_at_start("on_startup")
    if "DUEY_TEST_STARTUP" in os.environ:
        raise SystemExit("no start")


@huey.signal(signals.SIGNAL_RETRYING)
def on_retrying(signal_name, task, *rest) -> None:
    at(task, "retrying")


class Mute(Exception):
    """What it does when it is asked what it is."""

    def __str__(self) -> str:
        return str(Harmful(*self.args)) if len(self.args) == 3 else harm(0, "str", self.args[0]) or "mute"

    __repr__ = __str__


def no_delay(attempt: int, error: BaseException) -> float:
    raise RAISED[error.args[0]]


@huey.task(retries=1, backoff=no_delay, retry_delay=0.01)
def mute(n: int, place: str, deed: str, cargo: Cargo | None = None) -> None:
    """Fails with what cannot say what it is, nor when to try again."""
    if not HARMLESS:
        write(n, "begin")
        write(n, "end")
    raise Mute(deed)


@huey.task()
def victim(n: int, place: str, deed: str, cargo: Cargo | None = None) -> object:
    """Behaves, unless its body is the place."""
    return work(n, place, deed)


@huey.task(on_crash="fail")
def once(n: int, place: str, deed: str, cargo: Cargo | None = None) -> object:
    """The same, and must not run twice."""
    return work(n, place, deed)


def short_delay(attempt: int, error: BaseException) -> float:
    if error.args[1:2] == ("backoff",):
        harm(*error.args)
    return 0.01


def has_failed(job, error) -> None:
    n, place, deed, _ = (*job.args, None)[:4]
    if place == "on_failed":
        harm(n, place, deed)


@huey.task(retries=1, timeout=1, backoff=short_delay, on_failed=has_failed)
def frail(n: int, place: str, deed: str, cargo: Cargo | None = None) -> object:
    """Tried twice, no longer than a second each."""
    return work(n, place, deed)


@huey.task(on_crash="fail", timeout=1, on_failed=has_failed)
def frail_once(n: int, place: str, deed: str, cargo: Cargo | None = None) -> object:
    """Tried once, no longer than a second."""
    return work(n, place, deed)


@huey.task()
def handler(n: int, deed: str, *error: object) -> None:
    """An error handler."""
    harm(n, "handler", deed)


def made(task: str, n: int, place: str, deed: str) -> Task:
    """A job that does this deed at this place."""
    job = globals()[task].s(n, place, deed, Cargo(n, deed) if place == "decode" else None)
    return job.error(handler, n, deed) if place == "handler" else job


def key_of(n: int, deed: str) -> str:
    harm(n, "unique_key", deed)
    return str(n)


@huey.task(unique=True, unique_key=key_of)
def sole(n: int, deed: str) -> None:
    """What a body enqueues."""


def work(n: int, place: str, deed: str) -> object:
    record(n, "begin")
    if place == "body":
        harm(n, place, deed)
    if place == "locked":
        with huey.lock_task(f"lock of {n}"):
            harm(n, place, deed)
    if place == "progress":
        progress(1, 2, Harmful(n, place, deed))  # type: ignore[arg-type]
    if place == "unique_key":
        sole(n, deed)
    record(n, "end")
    if place in ("error", "on_failed", "backoff", "retrying", "handler"):
        raise ValueError(n, place, deed)
    if place == "str":
        raise Mute(n, place, deed)
    return Parcel(n, deed) if place == "encode" else n
