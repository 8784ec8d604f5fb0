"""Tasks of which one thing that an author can write takes SLEEP_S: a constructor or `__reduce__`, an encoder, a key, a
hook, a receiver, a back-off, a handler, the message of an exception, a function of a minute.

Only in processes that run with DUEY_TEST_SLOW. Each such call is in the ledger under the name of its place.
"""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass
from typing import Any

from huey import signals
from workload import write

from duey import current_job, every, huey, register_type

SLOW = "DUEY_TEST_SLOW" in os.environ
SLEEP_S = 5.0


def slow(place: str) -> None:
    if SLOW:
        write(place, "begin")
        time.sleep(SLEEP_S)
        write(place, "end")


@register_type
@dataclass
class Cargo:
    """An argument that is slow to decode, and holds a secret, so that whoever shows a text of its job looks into it."""

    password: str

    def __post_init__(self) -> None:
        slow("constructor")

    def __reduce__(self) -> Any:
        return Cargo, (self.password,)


@register_type
@dataclass
class Parcel:
    """A result that is slow to encode."""

    n: int

    def __getattribute__(self, name: str) -> Any:
        if name == "n":
            slow("encoder")
        return object.__getattribute__(self, name)

    def __reduce__(self) -> Any:
        slow("encoder")
        return Parcel, (1,)


class LoudError(Exception):
    is_told = False

    def __str__(self) -> str:
        if not LoudError.is_told:
            LoudError.is_told = True
            slow("str")
        return "loud"


def hook(place: str, task: Any) -> None:
    if task.name == "work" and task.args[0] == place:
        slow(place)


huey.pre_execute()(lambda task: hook("pre_execute", task))
huey.post_execute("after")(lambda task, *_: hook("post_execute", task))
huey.signal(signals.SIGNAL_ENQUEUED)(lambda _, task, *rest: hook("enqueued", task))
huey.signal(signals.SIGNAL_COMPLETE)(lambda _, task, *rest: hook("complete", task))


def back_off(attempt: int, error: BaseException) -> float:
    if error.args == ("backoff",):
        slow("backoff")
    return 0.0


def back_off_of_a_killed_body(attempt: int, error: BaseException) -> float:
    slow("backoff_after_a_kill")
    return 3600.0


def has_failed(job: Any, error: Any) -> None:
    if job.args[0] == "on_failed":
        slow("on_failed")


def key(name: str) -> str:
    slow("unique_key")
    return "the key"


def minute(instant: Any) -> bool:
    slow("minute")
    return False


@huey.task(retries=1, backoff=back_off, retry_delay=3600, on_failed=has_failed)
def work(place: str, cargo: Cargo | None = None) -> object:
    """One thing of it is slow."""
    if place == "str":
        raise LoudError
    if place in ("backoff", "on_failed"):
        raise ValueError(place)
    return Parcel(1) if place == "encoder" else None


@huey.task(timeout=0.5, retries=1, backoff=back_off_of_a_killed_body, retry_delay=3600)
def overdue(cargo: Cargo) -> None:
    """Waits for ever in C with the interpreter held, so that its time-out kills its process."""
    mutex, c = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
    c.pthread_mutex_lock(mutex)
    c.pthread_mutex_lock(mutex)


@huey.task(on_crash="fail")
def dies(cargo: Cargo) -> None:
    os._exit(7)


@huey.task()
def dies_once(n: str) -> None:
    write(n, "begin")
    if current_job().crashes == 0:
        os._exit(7)


@huey.task()
def together(parts: list[Any]) -> int:
    return len(parts)


@huey.task(unique=True, unique_key=key, unique_conflict="replace")
def sole(name: str) -> None:
    """One at a time."""


@huey.periodic_task(minute)
def by_minute() -> None:
    """Never due."""


@huey.periodic_task(every(1, catch_up="skip", overlap="allow"))
def each_second() -> None:
    slot = current_job().context["slot"]
    write(f"second@{slot:.3f}", "begin")
    write(f"late@{time.time() - slot:.3f}", "begin")
