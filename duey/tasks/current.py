"""What a body may ask and say while it runs: which job it is, whether to stop, how far it is, how it wants to end."""

from __future__ import annotations

import json
import math
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

from huey.api import TaskLock
from huey.exceptions import CancelExecution, RetryTask, TaskLockedException, TaskTimeout

from duey.payload.masking import escaped
from duey.tasks.typed import P, R


class Local(threading.local):
    """What a thread runs."""

    job_context: JobContext | None = None
    latest: JobContext | None = None  # it has ended, and its job is not settled yet


_local = Local()
EVERY_S = 1.0  # progress costs at most one write a second


def is_finite(value: Any) -> bool:
    """Whether it is a number that a time can be made of."""
    return isinstance(value, Real) and math.isfinite(value)


class Retry(RetryTask):
    """Raise it to run the job again after `delay_s` seconds, without spending a retry."""

    def __init__(self, delay_s: float | None = None, message: str | None = None) -> None:
        if delay_s is not None and not is_finite(delay_s):
            raise ValueError(f"Retry: expected the seconds until the next attempt, found {delay_s!r:.100}")
        super().__init__(message, delay=delay_s)


class Discard(CancelExecution):
    """Raise it to end the job as failed at once, whatever retries are left."""

    def __init__(self, why: str) -> None:
        super().__init__(why, retry=False)


class Canceled(CancelExecution):
    """What `check_canceled` raises: the job ends as canceled."""

    def __init__(self, why: str = "it was asked to stop") -> None:
        super().__init__(why, retry=False)


def as_huey(exc: RetryTask | CancelExecution) -> Exception:
    """What steers a job, as Huey's own class: whoever looks for the very type (sentry-sdk does) takes any other for a
    failure."""
    said = exc.args[0] if exc.args else None
    if isinstance(exc, RetryTask):
        own = exc if type(exc) is RetryTask else RetryTask(said, eta=exc.eta, delay=exc.delay)
    else:
        own = exc if type(exc) is CancelExecution else CancelExecution(said, retry=exc.retry)
    if own is not exc:
        own.meant = exc
    return own


def meant(exc: BaseException) -> BaseException:
    """What the author raised, behind what `as_huey` made of it."""
    return getattr(exc, "meant", exc)


@dataclass(frozen=True)
class CurrentJob:
    """The job whose body runs. `attempt` counts the attempts that ended before this one; instants are epoch seconds."""

    id: str
    task: str  # module.name
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    attempt: int
    retries_left: int
    deliveries: int
    context: Mapping[str, Any]  # what was given at defer, and what the job that deferred this one was given


def plain(value: Any) -> str:
    """A word as it is, anything else as JSON: what came with a request must not pass for more than one value."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if re.fullmatch(r"[\w.@:/+-]+", text) else json.dumps(value, ensure_ascii=False)


class Deadline:
    """When a body must end (`at`, monotonic), in which thread it runs, and whether TaskTimeout was raised in it."""

    __slots__ = ("at", "job_id", "said", "striking", "struck", "thread")

    def __init__(self, job_id: str, timeout_s: float | None) -> None:
        self.job_id = job_id
        self.at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self.thread = threading.get_ident()
        self.striking = self.struck = self.said = False

    @property
    def unheeded(self) -> bool:
        """Whether it has passed and nothing was raised yet: once is enough, or no body could clean up."""
        return not self.struck and time.monotonic() >= self.at

    def strike(self) -> None:
        """Raise TaskTimeout here."""
        self.struck = True
        raise TaskTimeout


class JobContext:
    """The running body of this thread."""

    reported_at = 0.0
    pending: str | None = None  # progress that is not written yet
    reports_progress = False  # it said progress itself
    at_end: tuple[Callable[[], None], ...] = ()

    def __init__(self, huey: Any, claim: Any) -> None:
        self.huey, self.claim = huey, claim
        self.deadline = Deadline(claim.id, claim.timeout_s)
        self.locks: list[Lock] = []  # that it has entered

    @cached_property
    def job(self) -> CurrentJob:
        """The job, as its author is told of it."""
        claim = self.claim
        return CurrentJob(
            claim.id, claim.task, claim.queue, claim.priority, claim.enqueued_at, claim.eta, claim.attempt,
            claim.retries, claim.deliveries, json.loads(claim.context) if claim.context else {},
        )  # fmt: skip

    @cached_property
    def mask(self) -> Any:
        """Takes the job's hidden values out of what is made of it: duey.payload.masking.Mask."""
        composer, claim = self.huey.composer, self.claim
        if composer.hides_nothing(claim):
            return composer.everywhere
        return composer.shown_call(claim)[2]

    @cached_property
    def shown_context(self) -> dict[str, Any]:
        """The context without secrets."""
        context: dict[str, Any] = self.huey.composer.shown_context(self.claim.context, self.mask)
        return context

    @cached_property
    def note(self) -> str:
        """What a log line says of the job, on that line whatever the context holds."""
        shown = self.shown_context
        said = [f"job {self.job.id}", self.job.task, *(f"{plain(name)}={plain(shown[name])}" for name in shown)]
        return escaped(f" ({', '.join(said)})")

    def report_progress(self, done: float, total: float | None, note: str) -> None:
        """Keep the progress; written at most once a second."""
        data = json.dumps({"done": done, "total": total, "note": self.mask.text(str(note))[:200] if note else ""})
        if time.monotonic() - self.reported_at >= EVERY_S:
            self._write(data)
        else:
            self.pending = data

    def _write(self, data: str) -> None:
        self.reported_at, self.pending = time.monotonic(), None
        try:
            self.huey.storage.put_progress(self.claim.seq, data)
        except Exception:
            self.pending = data  # progress is a courtesy: it never fails a job

    def end(self) -> None:
        """What was said last is written, and what a timeout left locked is free."""
        for lock in self.locks:
            with suppress(Exception):  # the storage is away: it is free when the worker ends
                lock.deactivate()
        for save in self.at_end:
            save()
        if self.pending is not None:
            self._write(self.pending)


def activate(huey: Any, claim: Any) -> JobContext:
    """A body begins in this thread."""
    job_context = JobContext(huey, claim)
    _local.job_context = job_context
    return job_context


def deactivate(job_context: JobContext) -> None:
    """The body ended."""
    _local.job_context, _local.latest = None, job_context
    job_context.end()


def forget() -> None:
    """What follows a body in this thread is over."""
    _local.latest = None


def current_job_context() -> JobContext | None:
    """The body that runs in this thread."""
    return _local.job_context


def latest_job_context() -> JobContext | None:
    """The body that runs in this thread, or has ended while its job is not settled yet."""
    return _local.job_context or _local.latest


def current_job() -> CurrentJob | None:
    """The job whose body runs in this thread, or None outside of one."""
    job_context = current_job_context()
    return job_context.job if job_context else None


def canceled() -> bool:
    """True once the running job was asked to stop: end soon. In a worker process it is killed ten seconds later."""
    job_context = current_job_context()
    return bool(job_context and job_context.huey.storage.stop_asked([job_context.claim.seq]))


def check_canceled() -> None:
    """Raise Canceled once the running job was asked to stop, and TaskTimeout once it is past its timeout: for loops in
    which nothing else would notice. Outside of a job nothing happens."""
    job_context = current_job_context()
    if job_context is None:
        return
    if time.monotonic() >= job_context.deadline.at:
        job_context.deadline.strike()
    if canceled():
        raise Canceled


def heed_timeout() -> None:
    """Raise TaskTimeout in a body that is past its deadline: in what a body calls over and over, where no alarm may
    strike (`duey.execution.thread_timeouts`)."""
    job_context = current_job_context()
    if job_context is not None and job_context.deadline.unheeded:
        job_context.deadline.strike()


class Holder(threading.local):
    """How a thread holds a lock: in which process, under which token."""

    pid = 0
    token = ""


class Lock(TaskLock):
    """Huey's lock, noted with the body that holds it: where a timeout struck as the body let it go, it is freed when
    the body has ended. A process that a body forks has a copy of the lock and does not hold it."""

    def __init__(self, huey: Any, name: str, ttl: float | None = None) -> None:
        super().__init__(huey, name, ttl)
        self._own = Holder()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """As a decorator."""
        return super().__call__(function)

    def __enter__(self) -> Lock:
        self.acquire()
        job_context = current_job_context()
        if job_context is not None:
            job_context.locks.append(self)
        return self

    def acquire(self) -> Any:
        token = uuid.uuid4().hex
        if not self._huey.put_if_empty(self._key, token, self._ttl):
            locked = TaskLockedException(f"unable to acquire lock {self._name}")
            locked.lock = self._name  # for the reason why the job waits
            raise locked
        self._own.pid, self._own.token = os.getpid(), token
        return True

    def deactivate(self) -> None:
        """Free it, unless somebody else holds it by now: the parent of this process, or who took it when it expired."""
        if self._own.pid != os.getpid():
            return
        if self._ttl is None or self._huey.get(self._key, peek=True) == self._own.token:
            self.release()

    def __exit__(self, *exc_info: Any) -> None:
        self.deactivate()
        job_context = current_job_context()
        if job_context is not None and self in job_context.locks:
            job_context.locks.remove(self)


def progress(done: float, total: float | None = None, note: str = "") -> None:
    """Say how far the running body is; outside of a job nothing happens. Written at most once a second."""
    job_context = current_job_context()
    if job_context is not None:
        heed_timeout()
        job_context.reports_progress = True
        job_context.report_progress(done, total, note)
