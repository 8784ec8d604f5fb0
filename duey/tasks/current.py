"""The current job: what a body can ask and report while it runs, and the exceptions by which it ends."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any

from huey.exceptions import CancelExecution, RateLimitExceeded, RetryTask, TaskTimeout

from duey import clock
from duey.payload.masking import escaped

if TYPE_CHECKING:
    from duey.tasks.lock import Lock


class Local(threading.local):
    """The job of a thread."""

    job_context: JobContext | None = None
    latest: JobContext | None = None  # of the attempt, from before its body until its outcome is known


_local = Local()
EVERY_S = 1.0  # progress is written at most once a second


def is_finite(value: Any) -> bool:
    """Whether the value is a finite number."""
    return isinstance(value, Real) and math.isfinite(value)


class Retry(RetryTask):
    """Raise it in a body to run the job again after `delay_s` seconds, without spending a retry."""

    def __init__(self, delay_s: float | None = None, message: str | None = None) -> None:
        if delay_s is not None and not is_finite(delay_s):
            raise ValueError(f"Retry: expected the seconds until the next attempt, found {delay_s!r:.100}")
        super().__init__(message, delay=delay_s)


class Discard(CancelExecution):
    """Raise it in a body to fail the job at once, even if retries are left."""

    def __init__(self, why: str) -> None:
        super().__init__(why, retry=False)


class Canceled(CancelExecution):
    """Raised by `check_canceled`: the job ends as canceled."""

    def __init__(self, why: str = "it was asked to stop") -> None:
        super().__init__(why, retry=False)


def as_huey(exc: RetryTask | CancelExecution | RateLimitExceeded) -> Exception:
    """The same exception as Huey's own class, because code that checks for the exact type (sentry-sdk) takes subclasses
    for failures, and a rate limit that is waited for."""
    message = exc.args[0] if exc.args else None
    if isinstance(exc, RateLimitExceeded):
        own = RetryTask(message, delay=exc.delay) if exc.retry else exc
    elif isinstance(exc, RetryTask):
        own = exc if type(exc) is RetryTask else RetryTask(message, eta=exc.eta, delay=exc.delay)
    else:
        own = exc if type(exc) is CancelExecution else CancelExecution(message, retry=exc.retry)
    if own is not exc:
        own.meant = exc
    return own


def meant(exc: BaseException) -> BaseException:
    """The exception that the author raised, if `as_huey` has converted it."""
    return getattr(exc, "meant", exc)


@dataclass(frozen=True)
class CurrentJob:
    """The job whose body runs. `attempt`: attempts that ended before this one. Instants are epoch seconds."""

    id: str
    task: str  # module.name
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    attempt: int
    retries_left: int
    crashes: int
    context: Mapping[str, Any]  # given when the job was enqueued, merged with that of the job that enqueued it


def plain(value: Any) -> str:
    """A word as it is, anything else as JSON, so that a value from outside cannot look like several values."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if re.fullmatch(r"[\w.@:/+-]+", text) else json.dumps(value, ensure_ascii=False)


class Deadline:
    """The deadline of a body: when it must end (`at`, monotonic), its thread, whether TaskTimeout was raised in it."""

    __slots__ = ("at", "job_id", "reported", "striking", "struck", "thread")

    def __init__(self, job_id: str, timeout_s: float | None) -> None:
        self.job_id = job_id
        self.at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self.thread = threading.get_ident()
        self.striking = self.struck = self.reported = False

    @property
    def unheeded(self) -> bool:
        """Whether it has passed and TaskTimeout was not raised yet. It is raised once, so that the body can clean
        up."""
        return not self.struck and time.monotonic() >= self.at

    def strike(self) -> None:
        """Raise TaskTimeout here."""
        self.struck = True
        raise TaskTimeout


class JobContext:
    """The running body of this thread."""

    reported_at = 0.0
    pending: str | None = None  # progress that is not written yet
    reports_progress = False  # whether the body has reported progress itself
    handles = False  # it handles the failure of another job, whose hidden values its mask hides too
    at_end: tuple[Callable[[], None], ...] = ()

    deadline: Deadline  # from the beginning of the body
    result: bytes | None = None  # of the attempt, once it is known; not stored yet

    def __init__(self, huey: Any, claim: Any) -> None:
        self.huey, self.claim = huey, claim
        self.locks: list[Lock] = []  # locks that the body holds

    @cached_property
    def job(self) -> CurrentJob:
        """The job in the form for the author."""
        job = self.claim.job
        return CurrentJob(
            job.id, job.task, job.queue, job.priority, job.enqueued_at, job.eta, job.attempt, job.retries, job.crashes,
            json.loads(job.context) if job.context else {},
        )  # fmt: skip

    @cached_property
    def mask(self) -> Any:
        """The mask that hides the job's secrets in texts (duey.payload.masking.Mask)."""
        display, job = self.huey.display, self.claim.job
        if display.hides_nothing(job):
            return display.everywhere
        return display.shown_call(job)[2]

    @cached_property
    def shown_context(self) -> dict[str, Any]:
        """The context without secrets."""
        context: dict[str, Any] = self.huey.display.shown_context(self.claim.job.context, self.mask)
        return context

    @cached_property
    def note(self) -> str:
        """The part of a log line that names the job. It is always on one line, whatever the context contains."""
        shown = self.shown_context
        parts = [f"job {self.job.id}", self.job.task, *(f"{plain(name)}={plain(shown[name])}" for name in shown)]
        return escaped(f" ({', '.join(parts)})")

    def report_progress(self, done: float, total: float | None, note: str) -> None:
        """Store the progress; written at most once a second."""
        shown = self.mask.text(str(note))[:200] if note else ""
        data = json.dumps({"done": done, "total": total, "note": shown, "at": clock.now()})
        if time.monotonic() - self.reported_at >= EVERY_S:
            self._write(data)
        else:
            self.pending = data

    def _write(self, data: str) -> None:
        self.reported_at, self.pending = time.monotonic(), None
        try:
            self.huey.storage.put_progress(self.claim.job.seq, data)
        except Exception:
            self.pending = data  # failing to write progress never fails a job

    def end(self) -> None:
        """Write the last progress, and free locks that a time-out has left locked."""
        for lock in self.locks:
            with suppress(Exception):  # the storage cannot be used: the lock is freed when the worker ends
                lock.deactivate()
        for save in self.at_end:
            save()
        if self.pending is not None:
            self._write(self.pending)


def attempting(job_context: JobContext | None) -> None:
    """An attempt begins in this thread: its hooks, its body. None: it has ended."""
    _local.latest = job_context


def activate(job_context: JobContext) -> None:
    """The body begins."""
    job_context.deadline = Deadline(job_context.claim.job.id, job_context.claim.job.timeout_s)
    _local.job_context = job_context


def deactivate(job_context: JobContext) -> None:
    """The body ended."""
    _local.job_context = None
    job_context.end()


def current_job_context() -> JobContext | None:
    """The body that runs in this thread, or None."""
    return _local.job_context


def latest_job_context() -> JobContext | None:
    """The attempt of this thread, also before and after its body while its hooks run; or None."""
    return _local.latest


def current_job() -> CurrentJob | None:
    """The job whose body runs in this thread, or None."""
    job_context = _local.job_context
    return job_context.job if job_context else None


def canceled() -> bool:
    """True once the running job was asked to stop. The body should end then; with `-k process` it is killed after ten
    seconds."""
    here = current_job_context()
    return bool(here and here.huey.storage.stop_requested([here.claim.job.seq]))


def check_canceled() -> None:
    """Raise Canceled if the running job was asked to stop, and TaskTimeout if it is past its time-out. Call it in long
    loops. Outside of a job it does nothing."""
    job_context = current_job_context()
    if job_context is None:
        return
    if time.monotonic() >= job_context.deadline.at:
        job_context.deadline.strike()
    if canceled():
        raise Canceled


def heed_timeout() -> None:
    """Raise TaskTimeout if the body is past its deadline. Called by functions of Duey that a body may call in a loop,
    in which the alarm must not raise (duey.execution.body.thread_timeouts)."""
    job_context = current_job_context()
    if job_context is not None and job_context.deadline.unheeded:
        job_context.deadline.strike()


def progress(done: float, total: float | None = None, note: str = "") -> None:
    """Report the progress of the running body; written at most once a second. Outside of a job it does nothing."""
    job_context = current_job_context()
    if job_context is not None:
        heed_timeout()
        job_context.reports_progress = True
        job_context.report_progress(done, total, note)
