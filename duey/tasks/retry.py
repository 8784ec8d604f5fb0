"""What follows a failed attempt: another one, when, or the end.

A task says so with `retries`, `retry_delay`, `retry_backoff` (Huey's), `backoff`, `retry_on`, `discard_on` and
`retry_for`. An error is judged in this order: where `retry_on` and `discard_on` both fit, the class that is nearest to
the error's own wins; what `retry_on` does not name is not retried; `retry_for` ends it by the time since the first
failure; then the retries that are left decide, and the back-off says when. The same judgement holds for a body that
raised and for one that was killed for its timeout.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from huey.exceptions import CancelExecution, RateLimitExceeded, RetryTask, TaskTimeout

from duey import clock, os_process
from duey.config import Settings
from duey.model.job import ONCE, Settlement
from duey.tasks.current import Discard

logger = logging.getLogger("duey.policy")

Backoff = Callable[[int, BaseException], float]  # (number of the failed attempt from 1, error) -> seconds to wait
LONGEST_S = 10 * 365 * 86400.0
APART_S = 1.0  # longest that a parent waits for a back-off
WITHIN_TIME = 1_000_000  # retries of a task that gives a time and no number


@dataclass(frozen=True)
class Exponential:
    """Waits base_s * factor ** (n - 1) seconds after failure n, at most cap_s, less up to `jitter` of it by chance."""

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
    """A back-off that grows: after failure n a retry waits base_s * factor ** (n - 1) seconds, at most `cap_s`.

    `jitter` (0 to 1) is the part of that which chance may take away, so that a hundred jobs that failed together do
    not return together; 0 waits exactly. Raises ValueError for numbers that make no sense.
    """
    if not (base_s >= 0 and factor >= 1 and cap_s >= 0 and 0 <= jitter <= 1):
        raise ValueError(
            "exponential: expected base_s >= 0, factor >= 1, cap_s >= 0 and jitter from 0 to 1, found "
            f"{base_s!r}, {factor!r}, {cap_s!r}, {jitter!r}"
        )
    return Exponential(base_s, factor, cap_s, jitter)


class SidekiqBackoff:
    """Sidekiq's: n ** 4 + 15 + rand(10) * (n + 1) seconds, n counting the failures before this one.

    Its 25 retries, which a task with this back-off has where it says no number, take about three weeks. From
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
    """What follows a failure. `delay_s` None: as Huey's retry_delay says. `why` tells why a job is not tried again."""

    again: bool
    delay_s: float | None = None
    discarded: bool = False
    why: str | None = None


@dataclass(frozen=True)
class Policy:
    """What a task says of its failures."""

    backoff: Backoff | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    discard_on: tuple[type[BaseException], ...] = ()
    retry_for: float | None = None

    def judge(self, error: BaseException, failures: int, failing_s: float, apart: bool = False) -> Verdict:
        """After failure number `failures` (from 1), `failing_s` seconds after the first one. `apart`: as `delay_of`."""
        keeps, drops = nearest(error, self.retry_on or ()), nearest(error, self.discard_on)
        if drops is not None and (keeps is None or drops[0] < keeps[0]):
            return Verdict(False, None, True, f"discard_on names {drops[1].__name__}")
        if self.retry_on is not None and keeps is None:
            return Verdict(False, None, False, f"retry_on does not name {type(error).__name__}")
        if self.retry_for is not None and failing_s >= self.retry_for:
            return Verdict(False, None, False, f"it has been failing for longer than retry_for={self.retry_for:g} s")
        return Verdict(True, None if self.backoff is None else delay_of(self.backoff, failures, error, apart))


def nearest(error: BaseException, classes: tuple[type[BaseException], ...]) -> tuple[int, type[BaseException]] | None:
    """The class among these that is nearest to the error's own, with its distance; None when none fits."""
    line = type(error).__mro__
    fitting = [(line.index(cls), cls) for cls in classes if cls in line]
    return min(fitting, key=lambda each: each[0]) if fitting else None


def delay_of(backoff: Backoff, failures: int, error: BaseException, apart: bool = False) -> float | None:
    """What the back-off says, in seconds; None (Huey's retry_delay) where it fails itself or says no sound number.
    `apart`: in a process that must not be harmed by it, so that an author's own is called in a child."""
    try:
        if apart and not isinstance(backoff, (Exponential, SidekiqBackoff)):
            said = os_process.apart(partial(backoff, failures, error), APART_S)
            if said is None:
                raise RuntimeError(f"it said nothing within {APART_S:g} s")
            delay = said
        else:
            delay = float(os_process.call(backoff, failures, error))
    except BaseException:
        logger.exception("the backoff %r failed: the retry waits for retry_delay", backoff)
        return None
    if math.isnan(delay):
        logger.error("the backoff %r answered no number: the retry waits for retry_delay", backoff)
        return None
    return min(LONGEST_S, max(0.0, delay))


def allows(settlement: Settlement, policy: Policy | None, error: BaseException, apart: bool = False) -> bool:
    """Whether another attempt may follow this failed one, as far as its task's policy goes; notes in the settlement
    when, or why not. `Retry` is no failure, `Discard` and Huey's CancelExecution decide for themselves. `apart`: as
    `delay_of`."""
    now = clock.now()
    if isinstance(error, RetryTask):
        if error.eta is None and error.delay is not None:
            settlement.eta = now + min(LONGEST_S, max(0.0, error.delay))
        return True
    settlement.failures += 1
    settlement.failed_at = now if settlement.failed_at is None else settlement.failed_at
    if isinstance(error, Discard):
        settlement.discarded = True
        return False
    if settlement.claim.flags & ONCE and isinstance(error, TaskTimeout):
        settlement.why = 'on_crash="fail", and a time-out may strike anywhere in its work'
        return False
    if policy is None or isinstance(error, (CancelExecution, RateLimitExceeded)):
        return True
    verdict = policy.judge(error, settlement.failures, now - settlement.failed_at, apart)
    settlement.discarded, settlement.why = verdict.discarded, verdict.why
    if verdict.delay_s is not None:
        settlement.eta = now + verdict.delay_s
    return verdict.again


def lock_wait_s(age_s: float) -> float:
    """How long a job waits before it tries a held lock again: longer for an old one, and never all at once."""
    return min(2.0, 0.1 + max(0.0, age_s) / 20) * random.uniform(0.5, 1.5)


def policy_of(options: dict[str, Any]) -> Policy | None:
    """The policy that a task's options describe; None where it has none but Huey's."""
    said = {name: options[name] for name in ("backoff", "retry_on", "discard_on", "retry_for") if name in options}
    return Policy(**said) if said else None


def default_retries(backoff: Any, retry_for: float | None, service: int) -> int:
    """The retries of a task that gives no number: what its back-off or its time brings with it, or the service's."""
    if retry_for is not None:
        return WITHIN_TIME
    brought = getattr(backoff, "retries", None)
    return brought if isinstance(brought, int) else service


def with_defaults(
    settings: Settings, retries: int | None, retry_delay: float | None, options: dict[str, Any]
) -> dict[str, Any]:
    """The options of a task, with the service's own where it says nothing of retries."""
    service = settings.tasks
    if retries is None:
        retries = default_retries(options.get("backoff"), options.get("retry_for"), service.retries)
    if service.backoff_s and retry_delay is None and not {"backoff", "retry_backoff"} & options.keys():
        options = {**options, "backoff": exponential(service.backoff_s, cap_s=max(3600.0, service.backoff_s))}
    return {**options, "retries": retries, "retry_delay": service.backoff_s if retry_delay is None else retry_delay}
