"""Tasks whose author's code does harm at a chosen place: decoding, hooks, receivers, the body.

A job is told where and what (`place`, `deed`); everywhere else it behaves. Only consumers do harm: whoever enqueues or
looks runs with DUEY_TEST_HARMLESS. `slow.N` in place of a deed sleeps for N seconds.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from huey import signals
from workload import write

from duey import huey, register_type
from tests.acceptance.processes import MARK, kill, marked

HARMLESS = "DUEY_TEST_HARMLESS" in os.environ
RAISED = {each.__name__: each for each in (SystemExit, KeyboardInterrupt, GeneratorExit, ValueError)}


def harm(n: int, place: str, deed: str) -> None:
    """Do it, and say so in the ledger; one who dies of it says only that he began."""
    if HARMLESS:
        return
    write(f"{n}.{place}", "begin")
    if deed == "exit":
        os._exit(7)
    if deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "kill all":
        for pid in marked(os.environ[MARK]):
            if pid != os.getpid():
                kill(pid)
        kill(os.getpid())
    if deed.startswith("slow."):
        time.sleep(float(deed[5:]))
    if deed in RAISED:
        raise RAISED[deed]
    write(f"{n}.{place}", "end")


@register_type
@dataclass
class Cargo:
    """An argument that does harm when it is decoded."""

    n: int
    deed: str

    def __post_init__(self) -> None:
        if self.deed:
            harm(self.n, "decode", self.deed)


def at(task, place: str) -> None:
    """Do harm if this is the place that the job was told."""
    if task.name in ("victim", "once") and task.args[1] == place:
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


@huey.on_startup()
def at_start() -> None:
    if "DUEY_TEST_STARTUP" in os.environ:
        raise SystemExit("no start")


class Mute(Exception):
    """What it raises when it is asked what it is."""

    def __str__(self) -> str:
        raise RAISED[self.args[0]]

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
def victim(n: int, place: str, deed: str, cargo: Cargo | None = None) -> int:
    """Behaves, unless its body is the place."""
    return work(n, place, deed)


@huey.task(on_crash="fail")
def once(n: int, place: str, deed: str, cargo: Cargo | None = None) -> int:
    """The same, and must not run twice."""
    return work(n, place, deed)


def work(n: int, place: str, deed: str) -> int:
    write(n, "begin")
    if place == "body":
        harm(n, place, deed)
    write(n, "end")
    return n
