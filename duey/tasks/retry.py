"""Decides what follows a failed attempt: another attempt, and when, or the end.

The task options are `retries`, `retry_delay`, `retry_backoff` (Huey's), `backoff`, `retry_on`, `discard_on` and
`retry_for`. They apply in this order. If both `retry_on` and `discard_on` match, the class nearest to that of the error
wins. An error that `retry_on` does not name is not retried. `retry_for` limits the time since the first failure. Then
the number of retries left decides, and the back-off says when. The same holds for a body that was killed at its
time-out.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from huey.exceptions import CancelExecution, RateLimitExceeded, RetryTask, TaskLockedException, TaskTimeout
from huey.utils import normalize_time

from duey import clock, os_process
from duey.config import Settings
from duey.model.job import ONCE, JobRecord
from duey.tasks.current import Discard

logger = logging.getLogger("duey.policy")

Backoff = Callable[[int, BaseException], float]  # (number of the failed attempt from 1, error) -> seconds to wait
LONGEST_S = 10 * 365 * 86400.0
WITHIN_TIME = 1_000_000  # retries of a task with `retry_for` and without a number


@dataclass(frozen=True)
class Exponential:
    """Waits base_s * factor ** (n - 1) seconds after failure n, at most cap_s, minus a random part of up to
    `jitter`."""

    base_s: float
    factor: float
    cap_s: float
    jitter: float

    def __call__(self, attempt: int, error: BaseException) -> float:
        try:
            delay = min(self.cap_s, self.base_s * self.factor ** (attempt - 1))
        except OverflowError:
            delay = self.cap_s
        return delay * random.uniform(1.0 - self.jitter, 1.0)

    def __repr__(self) -> str:
        return f"exponential({self.base_s:g}, {self.factor:g}, {self.cap_s:g}, {self.jitter:g})"


def exponential(base_s: float = 1.0, factor: float = 2.0, cap_s: float = 3600.0, jitter: float = 0.5) -> Exponential:
    """An increasing back-off: after failure n a retry waits base_s * factor ** (n - 1) seconds, at most `cap_s`.

    `jitter` (0 to 1) is the largest part of the wait that is randomly subtracted, so that jobs that failed together are
    not retried together. 0: exact waits. Raises ValueError for invalid numbers.
    """
    if not (base_s >= 0 and factor >= 1 and cap_s >= 0 and 0 <= jitter <= 1):
        raise ValueError(
            "exponential: expected base_s >= 0, factor >= 1, cap_s >= 0 and jitter from 0 to 1, found "
            f"{base_s!r}, {factor!r}, {cap_s!r}, {jitter!r}"
        )
    return Exponential(base_s, factor, cap_s, jitter)


class SidekiqBackoff:
    """The back-off of Sidekiq: n ** 4 + 15 + rand(10) * (n + 1) seconds, where n is the number of earlier failures.

    Without `retries` a task with this back-off has Sidekiq's 25 retries, which take about three weeks. From
    lib/sidekiq/job_retry.rb in Sidekiq's public repository (`DEFAULT_MAX_RETRY_ATTEMPTS`, `delay_for`).
    """

    __name__ = "sidekiq_backoff"
    retries = 25

    def __call__(self, attempt: int, error: BaseException) -> float:
        n = attempt - 1
        return float(n**4 + 15 + random.randrange(10) * (n + 1))

    def __repr__(self) -> str:
        return self.__name__


sidekiq_backoff = SidekiqBackoff()


class Verdict(NamedTuple):
    """Whether a failure may be followed by another attempt. `why`: why the job is not retried."""

    again: bool
    discarded: bool = False
    why: str | None = None


@dataclass(frozen=True)
class Policy:
    """The retry options of a task."""

    backoff: Backoff | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    discard_on: tuple[type[BaseException], ...] = ()
    retry_for: float | None = None

    @property
    def without_code(self) -> Policy:
        """The same without a back-off of the author's own, so that no code of theirs runs: retry_delay applies."""
        own = self.backoff if isinstance(self.backoff, (Exponential, SidekiqBackoff)) else None
        return replace(self, backoff=own)

    def judge(self, error: BaseException, failures: int, failing_s: float) -> Verdict:
        """Decide after failure number `failures` (from 1), `failing_s` seconds after the first one."""
        keeps, drops = nearest(error, self.retry_on or ()), nearest(error, self.discard_on)
        if drops is not None and (keeps is None or drops[0] < keeps[0]):
            return Verdict(False, True, f"discard_on names {drops[1].__name__}")
        if self.retry_on is not None and keeps is None:
            return Verdict(False, False, f"retry_on does not name {type(error).__name__}")
        if self.retry_for is not None and failing_s >= self.retry_for:
            return Verdict(False, False, f"it has been failing for longer than retry_for={self.retry_for:g} s")
        return Verdict(True)


def nearest(error: BaseException, classes: tuple[type[BaseException], ...]) -> tuple[int, type[BaseException]] | None:
    """Of these classes the one nearest to that of the error, with its distance in the MRO; None if none matches."""
    line = type(error).__mro__
    fitting = [(line.index(cls), cls) for cls in classes if cls in line]
    return min(fitting, key=lambda each: each[0]) if fitting else None


def delay_of(backoff: Backoff, failures: int, error: BaseException) -> float | None:
    """The delay of the back-off in seconds. None, which means Huey's retry_delay, if it raises or returns no valid
    number."""
    try:
        delay = float(os_process.call(backoff, failures, error))
    except BaseException:
        logger.exception("the backoff %r failed: the retry waits for retry_delay", backoff)
        return None
    if math.isnan(delay):
        logger.error("the backoff %r answered no number: the retry waits for retry_delay", backoff)
        return None
    return min(LONGEST_S, max(0.0, delay))


class Decision(NamedTuple):
    """What follows a failed attempt. `at`: when the job runs again (epoch seconds), None: after its retry delay."""

    again: bool
    at: float | None = None
    spends: bool = True  # a retry; what is no failure spends none
    failures: int = 0  # since the job was enqueued or retried by hand
    failed_at: float | None = None  # time of the first of them
    discarded: bool = False
    why: str | None = None  # why it is not retried although retries are left


def decide(job: JobRecord, error: BaseException, policy: Policy | None, left: int, retry_delay_s: float) -> Decision:
    """Decide after an attempt that has failed with this error, with `left` retries. The rules for Huey's exceptions are
    those of `Huey._execute` (huey/api.py)."""
    now = clock.now()
    if isinstance(error, TaskLockedException):
        return Decision(True, now + lock_wait_s(now - job.enqueued_at), False, job.failures, job.failed_at)
    if isinstance(error, RateLimitExceeded) and error.retry:
        return Decision(True, now + (retry_delay_s or error.delay), False, job.failures, job.failed_at)
    if isinstance(error, RetryTask):
        at = None if error.delay is None else now + min(LONGEST_S, max(0.0, error.delay))
        at = clock.epoch(normalize_time(error.eta)) if error.eta else at
        return Decision(True, at, False, job.failures, job.failed_at)
    failed_at = now if job.failed_at is None else job.failed_at
    final = Decision(False, failures=job.failures + 1, failed_at=failed_at)
    if isinstance(error, Discard):
        return final._replace(discarded=True)
    if job.flags & ONCE and isinstance(error, TaskTimeout):
        return final._replace(why='on_crash="fail", and a time-out may strike anywhere in its work')
    if isinstance(error, CancelExecution):
        return final._replace(again=error.retry or (error.retry is None and left > 0), spends=left > 0)
    if isinstance(error, RateLimitExceeded):
        return final._replace(again=left > 0, at=now + (retry_delay_s or error.delay))
    if policy is None:
        return final._replace(again=left > 0)
    verdict = policy.judge(error, final.failures, now - failed_at)
    if not (verdict.again and left > 0):
        return final._replace(discarded=verdict.discarded, why=verdict.why)
    delay_s = None if policy.backoff is None else delay_of(policy.backoff, final.failures, error)
    return final._replace(again=True, at=None if delay_s is None else now + delay_s)


def lock_wait_s(age_s: float) -> float:
    """How long a job waits before it tries a held lock again, in seconds: longer for an old job, with a random part."""
    return min(2.0, 0.1 + max(0.0, age_s) / 20) * random.uniform(0.5, 1.5)


def policy_of(options: dict[str, Any]) -> Policy | None:
    """The policy of a task's options; None if it has only Huey's."""
    given = {name: options[name] for name in ("backoff", "retry_on", "discard_on", "retry_for") if name in options}
    return Policy(**given) if given else None


def default_retries(backoff: Any, retry_for: float | None, service: int) -> int:
    """The retries of a task without a number: those of its back-off or `retry_for`, otherwise `[tasks] retries`."""
    if retry_for is not None:
        return WITHIN_TIME
    brought = getattr(backoff, "retries", None)
    return brought if isinstance(brought, int) else service


def with_defaults(
    settings: Settings, retries: int | None, retry_delay: float | None, options: dict[str, Any]
) -> dict[str, Any]:
    """The options of a task, completed with the defaults of [tasks]."""
    service = settings.tasks
    if retries is None:
        retries = default_retries(options.get("backoff"), options.get("retry_for"), service.retries)
    if service.backoff_s and retry_delay is None and not {"backoff", "retry_backoff"} & options.keys():
        options = {**options, "backoff": exponential(service.backoff_s, cap_s=max(3600.0, service.backoff_s))}
    return {**options, "retries": retries, "retry_delay": service.backoff_s if retry_delay is None else retry_delay}
