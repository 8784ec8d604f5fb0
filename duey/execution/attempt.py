"""One attempt at a claimed job: what is checked before it, its hooks, its body, and the decision what follows.

`Attempt.run` returns the result of the body and the Outcome, which the caller hands to the storage. Nothing is written
before that, except what a body, a hook or a receiver itself enqueues, which is stored at once. Hooks and signals fire
in the order of `Huey.execute` and `Huey._execute` (huey/api.py).
"""

from __future__ import annotations

import contextvars
import copy
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from huey import signals
from huey.api import Huey, Task
from huey.exceptions import (
    RETRYING_EXCEPTIONS,
    CancelExecution,
    RateLimitExceeded,
    RetryTask,
    TaskLockedException,
    TaskTimeout,
)

from duey import clock, errors, os_process
from duey.execution import error_text
from duey.execution.body.job_log import job_log_handler
from duey.execution.body.thread_timeouts import timed
from duey.execution.body.tracing import Traced
from duey.execution.body.usage import Usage
from duey.execution.outcomes import Ran
from duey.execution.pings import EVENTS, START, pings
from duey.model.job import CANCELED, DONE, EXPIRED, FAILED, ONCE, RELEASED, JobRecord
from duey.model.log_lines import Line
from duey.model.outcome import Outcome
from duey.payload.serializer import of_result
from duey.tasks import current
from duey.tasks.renamed import ArgumentsUnfit
from duey.tasks.retry import Decision, decide

logger = logging.getLogger("huey")
EXECUTE = Huey._execute  # a tracer such as sentry-sdk puts a function of its own in its place
LOCK_NAME_MAX = 200  # characters of a lock's name that are stored with a job that waits for it
HOLD_AGAIN_S = 1.0  # retry delay of an on_crash="fail" job if the storage cannot be reached when its body should begin
UNSTORABLE = "its body has ended, and only its result cannot be stored"  # running it again would not help


class Attempt:
    """One attempt at the job of a claimed task."""

    __slots__ = ("_body_ended", "_reason", "claim", "context", "huey", "lines", "started_at", "task", "usage")

    def __init__(self, huey: Any, task: Task) -> None:
        self.huey, self.task, self.claim = huey, task, task.claim
        self.context = current.JobContext(huey, task.claim)
        self.started_at: float | None = None
        self.lines: list[Line] | None = None  # that the body logged
        self.usage: Usage | None = None  # what the body used, if it was measured
        self._body_ended = False
        self._reason: str | None = None

    def run(self) -> tuple[Any, Outcome]:
        """The result of the body, None if it did not end well, and the outcome. Never raises an Exception."""
        value, outcome = self._run()
        if outcome.state in EVENTS and (ping := getattr(self.task, "ping", None)) is not None:
            pings.send(ping, EVENTS[outcome.state], self.claim.job)
        return value, outcome

    def _run(self) -> tuple[Any, Outcome]:
        current.attempting(self.context)
        try:
            # In a copy, so that context variables of one job are not visible to the next.
            return contextvars.copy_context().run(self._steps)
        except BaseException as exc:  # something outside the body failed: the job must end nevertheless
            if isinstance(exc, errors.StorageUnavailable) and self.started_at is None:
                # It is unknown whether it is revoked, and its body has not begun.
                return None, Outcome(self.claim, RELEASED, None, clock.now())
            return None, self._end(FAILED, error=exc)
        finally:
            current.attempting(None)

    def _steps(self) -> tuple[Any, Outcome]:
        huey, task = self.huey, self.task
        prefetcher = huey.prefetcher
        if (prefetcher is None or prefetcher.revocations) and huey.is_revoked(task, huey._get_timestamp(), False):
            huey._emit(signals.SIGNAL_REVOKED, task)
            return None, self._end(CANCELED)
        if self.claim.job.expires_at is not None and self.claim.job.expires_at < clock.now():
            huey._emit(signals.SIGNAL_EXPIRED, task)
            return None, self._end(EXPIRED)
        logger.info("Executing %s", task)
        huey._emit(signals.SIGNAL_EXECUTING, task)
        try:
            if huey._pre_execute:
                huey._run_pre_execute(task)
        except CancelExecution:
            huey._emit(signals.SIGNAL_CANCELED, task)
            return None, self._end(CANCELED)
        try:
            value = self._execute()
        except Exception as exc:
            os_process.leave_fork(exc)
            return None, self._failed(current.meant(exc))
        return value, self._done(value)

    # the body

    def _execute(self) -> Any:
        task = self.task
        task.attempt_ = self  # for the function that runs the body (duey.tasks.decorator)
        if task.timeout:
            task._deadline = time.monotonic() + task.timeout  # for Huey's Task.check_timeout
        if Huey._execute is not EXECUTE:
            return Traced(self.huey).execute(task)
        return task.execute()

    def run_body(self, body: Callable[[Task], Any]) -> Any:
        """Run the function of the task; called by the task's `execute`. What is raised is always an Exception."""
        huey, claim, context = self.huey, self.claim, self.context
        self.started_at = clock.now()
        current.activate(context)
        job_log_handler.begin(claim.token)
        began = None if huey.meter is None else huey.meter.begin(claim.job.task)
        try:
            self._mark()
            if (ping := getattr(self.task, "ping", None)) is not None:
                pings.send(ping, START, claim.job)
            if claim.job.timeout_s is None:  # as mostly
                value = body(self.task)
            else:
                value = timed(huey.timeouts, context, functools.partial(body, self.task))
            self._body_ended = True
            context.result = huey.serializer.serialize(value, "its result", of_result(claim.job.id))
            os_process.leave_fork()  # serializing may run an author's code
            return value
        except TaskLockedException as exc:  # the lock is held: wait; this does not count as an attempt
            self.started_at = None
            if (name := getattr(exc, "lock", None)) is not None:
                self._reason = f"lock {context.mask.text(str(name))[:LOCK_NAME_MAX]}"
            raise
        except Exception:
            raise
        except BaseException as exc:  # sys.exit, CancelledError ...: they must not end the worker
            raise errors.TaskExit(type(exc).__name__, error_text.text_of(exc)) from exc
        finally:
            self.lines = job_log_handler.end()
            current.deactivate(context)
            if huey.prefetcher is not None:
                run_s = huey.prefetcher.body_ended(claim, self.started_at)
                if huey.meter is not None:
                    self.usage = huey.meter.end(claim.job.task, began, run_s)

    def _mark(self) -> None:
        """Mark the job as begun, so that the death of this process is charged to it."""
        huey, started_at = self.huey, self.started_at or 0.0
        try:
            if huey.prefetcher is not None:
                huey.prefetcher.begin(self.claim, started_at)
            elif huey.alone is not None:
                huey.alone.begin(self.claim.token, started_at)
                if self.claim.job.flags & ONCE and not huey.storage.hold(huey.alone, self.claim.token):
                    raise errors.ClaimLost(f"job {self.claim.job.id} was taken away before its body began")
        except errors.StorageUnavailable as exc:  # it must not run twice, so it must not begin without its mark
            self.started_at = None
            raise current.Retry(HOLD_AGAIN_S, str(exc)) from exc

    # what follows

    def _done(self, value: Any) -> Outcome:
        huey, task, claim, context = self.huey, self.task, self.claim, self.context
        if huey._post_execute:
            huey._run_post_execute(task, value, None)
        huey._emit(signals.SIGNAL_COMPLETE, task)
        follow_ups: tuple[JobRecord, ...] = ()
        part = None
        if task.on_complete is not None:
            task.on_complete.extend_data(value)
            try:
                follow_ups = huey.follow_ups(task.on_complete)
            except errors.UnserializableError as exc:
                raise errors.ResultUnfit(type(task.on_complete).__name__, exc) from exc
        if task.chord_config is not None:
            part = huey.outcomes.chord_part(claim, value)
        detail = None
        if self.lines or self.usage or context.handles:
            detail = huey.display.detail_of_done(self.lines, self.usage, value, context)
        keep_s = getattr(task, "keep_for", None)
        now = clock.now()
        return Outcome(
            claim, DONE, self.started_at, now, context.result, detail, follow_ups, (), part, keep_s=keep_s
        )  # fmt: skip

    def _failed(self, exc: BaseException) -> Outcome:
        huey, task, claim = self.huey, self.task, self.claim
        self._emit_failure(exc)
        left, delay_s = task.retries, task.retry_delay
        final = UNSTORABLE if self._body_ended else exc.final if isinstance(exc, ArgumentsUnfit) else None
        if final is not None:
            decision = Decision(False, failures=claim.job.failures, failed_at=claim.job.failed_at, why=final)
        else:
            decision = decide(claim.job, exc, getattr(task, "policy", None), left, delay_s)
        is_canceled = isinstance(exc, CancelExecution) and not isinstance(exc, current.Discard)
        record = None if self._reason else huey.outcomes.record(claim, exc, left)
        is_shown = not decision.again or (huey.store_intermediate_errors and not isinstance(exc, RETRYING_EXCEPTIONS))
        if is_shown and record is not None:
            self.context.result = huey.outcomes.serialized(claim, record)  # for hooks that ask for it
        if not decision.again:
            task.retries = 0
        huey._run_post_execute(task, None, exc)
        follow_ups = self._error_handler(exc) if is_shown and task.on_error is not None else ()
        if not decision.again:
            state = CANCELED if is_canceled else FAILED
            return self._end(state, record=record, decision=decision, follow_ups=follow_ups)
        huey._emit(signals.SIGNAL_RETRYING, task)
        outcome = huey.outcomes.retry(
            claim, decision, record, left, delay_s, task.retry_backoff, self._ran, self._reason, follow_ups
        )
        task.retries, task.eta = outcome.retries, clock.naive_utc(outcome.eta or 0.0)
        waits = decision.at is not None or delay_s
        huey._emit(signals.SIGNAL_SCHEDULED if waits else signals.SIGNAL_ENQUEUED, task)
        return outcome

    def _emit_failure(self, exc: BaseException) -> None:
        emit, task = self.huey._emit, self.task
        if isinstance(exc, TaskTimeout):
            emit(signals.SIGNAL_TIMEOUT, task)
        elif isinstance(exc, RateLimitExceeded):
            emit(signals.SIGNAL_RATE_LIMITED, task)
        elif isinstance(exc, TaskLockedException):
            emit(signals.SIGNAL_LOCKED, task)
        elif isinstance(exc, CancelExecution):
            emit(signals.SIGNAL_CANCELED, task)
        elif not isinstance(exc, RetryTask):
            emit(signals.SIGNAL_ERROR, task, exc)

    def _error_handler(self, exc: BaseException) -> tuple[JobRecord, ...]:
        """The job of the task's error handler (Huey's `Task.error`), which runs for each failed attempt."""
        handler = copy.copy(self.task.on_error)
        if self.claim.job.attempt:
            handler = renewed(handler)  # the one of the first attempt has its id
        try:
            handler.extend_data(exc)
            return self.huey.follow_ups(handler)
        except errors.UnserializableError as unfit:  # the attempt fails for its own reason, as if it had no handler
            text = f"the error handler of job {self.claim.job.id} cannot be stored and does not run: {unfit}"
            logging.getLogger("duey.consumer").error(text)
            self.lines = [*(self.lines or ()), (clock.now(), "ERROR", text)]
            return ()

    def _end(self, state: str, **more: Any) -> Outcome:
        return self.huey.outcomes.end(
            self.claim, state, ran=self._ran, keep_s=getattr(self.task, "keep_for", None), **more
        )

    @property
    def _ran(self) -> Ran:
        return Ran(self.started_at, self.lines, self.usage)


def renewed(task: Task) -> Task:
    """A copy of a task and of what follows it, with new ids."""
    task = copy.copy(task)
    task.id = task.create_id()
    task.revoke_id = f"r:{task.id}"
    task.on_complete = None if task.on_complete is None else renewed(task.on_complete)
    task.on_error = None if task.on_error is None else renewed(task.on_error)
    return task
