"""DurableHuey claims, runs and settles jobs, by overriding methods of Huey.

`enqueue` returns when the storage has stored the job. A worker's `dequeue` returns a claim as a Huey task. `execute`
runs Huey's own `_execute`, but what Huey writes after the body (result, retry, pipeline, chord, error handler) is
collected in the claim's Settlement. It goes to the storage in one transaction after Huey and all hooks have returned,
so that no author's code runs while a write lock is held.

Overridden here and in duey.execution.enqueue, each pinned by tests/execution/test_huey_pins.py: enqueue, dequeue,
execute, lock_task, add_schedule, put, put_if_empty, put_result, delete, get_raw, serialize_task, deserialize_task,
_check_chord, _run_pre_execute, _run_post_execute, _timeout_context, _signal, _requeue_task's writes (through enqueue
and add_schedule), build_error_result, _get_timestamp, get_task_wrapper_class.
"""

from __future__ import annotations

import contextvars
import datetime
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from huey import signals
from huey.api import Task
from huey.exceptions import CancelExecution, HueyException, RateLimitExceeded, TaskLockedException
from huey.utils import SKIPPED

from duey import clock, errors, logs, os_process
from duey.config import Settings
from duey.execution import hooks
from duey.execution.enqueue import EnqueuingHuey, naive_utc
from duey.execution.job_log import job_log_handler
from duey.execution.outcomes import Composer
from duey.execution.thread_timeouts import Timeouts, timed
from duey.model.job import BLOCKED, CANCELED, DONE, ENDED, EXPIRED, FAILED, RELEASED, Claim, Settlement
from duey.model.limits import Limit
from duey.payload.serializer import of_job, of_part, of_result
from duey.scheduling.huey_crontab import warn_every_minute
from duey.storage.contract import JobStorage
from duey.tasks import current
from duey.tasks.retry import allows, lock_wait_s, with_defaults
from duey.tasks.typed import P, R, TaskFunction, TaskOptions

LOCK_NAME_MAX = 200  # characters of a lock's name that are stored with a job that waits for it
HOLD_AGAIN_S = 1.0  # retry delay of an on_crash="fail" job if the storage cannot be reached when its body should begin

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from duey.scheduling.timetable import Timetable
    from duey.worker.supervisor import DurableConsumer


class DurableHuey(EnqueuingHuey):
    """Huey with durable jobs. `make_storage` creates a JobStorage; the other arguments are Huey's."""

    storage: JobStorage

    def __init__(
        self, name: str = "duey", *, settings: Settings, make_storage: Callable[[], JobStorage], **kwargs: Any
    ) -> None:
        self.settings = settings
        self._make_storage = make_storage
        self.prefetcher: Any = None  # in a consumer: batches claims and settlements (duey.worker.prefetcher)
        self.timeouts: Timeouts | None = None  # of bodies, in a worker process
        self._alone: Any = None  # presence of a process that runs jobs outside of any consumer
        self.composer = Composer(self)
        self.limits: dict[str, Limit] = {}  # by the full name of a task
        super().__init__(name, store_none=True, utc=True, **kwargs)
        self._signal = hooks.Receivers(self.composer)

    def get_storage(self, **kwargs: Any) -> JobStorage:
        storage = self._make_storage()
        storage.compose, storage.limits = self.composer, self.limits
        return storage

    def periodic_task(
        self, validate_datetime: Timetable | Callable[[datetime.datetime], bool], retries: int | None = None,
        retry_delay: float | None = None, **options: Unpack[TaskOptions],
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]:  # fmt: skip
        """Huey's decorator. Accepts a timetable (cron, every, at, crontab) or a function of a minute."""
        warn_every_minute(validate_datetime)
        chosen = with_defaults(self.settings, retries, retry_delay, dict(options))
        return super().periodic_task(validate_datetime, timetable=validate_datetime, **chosen)

    def create_consumer(self, **options: Any) -> DurableConsumer:
        from duey.worker.consumer_options import consumer_options, flag_given
        from duey.worker.supervisor import DurableConsumer

        chosen = consumer_options(self.settings, options)
        logs.tame_huey(self.settings, logfile=flag_given("logfile"), verbose=flag_given("verbose"))
        return DurableConsumer(self, **chosen)

    def task(
        self, retries: int | None = None, retry_delay: float | None = None, **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]:
        """Huey's decorator, with Duey's options and the defaults of [tasks]."""
        return super().task(**with_defaults(self.settings, retries, retry_delay, dict(options)))

    # claiming

    def dequeue(self) -> Task | None:
        """The next job as a task with its claim, or None."""
        claim = self.prefetcher.next_claim() if self.prefetcher is not None else self._take_alone()
        return None if claim is None else self.task_of(claim)

    def _take_alone(self) -> Claim | None:
        claims = self.storage.settle_and_claim(self.worker_number(), (), 1, ("*",)).claims
        if not claims:
            return None
        if self._alone is not None:
            self._alone.take(claims[0].token)
        return claims[0]

    def worker_number(self) -> int:
        """The number of this process as a worker. Registers it if it runs jobs outside of any consumer."""
        if self.storage.holder is None:
            from duey.execution.registration import register_alone

            self._alone = register_alone(self.storage)
            self.storage.holder = self._alone.n
        return self.storage.holder

    def task_of(self, claim: Claim) -> Task | None:
        """The claimed job as a Huey task. If it cannot be read, it is set aside or failed, and None is returned."""
        try:
            return os_process.call(self._read, claim)
        except HueyException:  # this consumer does not know the task; another one may
            self._settle_unread(claim, BLOCKED, None)
        except errors.TypeMisfit as exc:  # the classes of its arguments have changed since it was accepted
            logs.jobs.warning("job %s (%s) is set aside: its arguments do not fit: %s", claim.id, claim.task, exc)
            self._settle_unread(claim, BLOCKED, None)
        except errors.StorageUnavailable:  # the parts of its chord cannot be read now
            self._settle_unread(claim, RELEASED, None)
        except BaseException as exc:  # decoding may run an author's code
            why = errors.PayloadUndecodable(f"its stored payload cannot be read: {self.composer.text_of(exc)}")
            self._settle_unread(claim, FAILED, why)
        return None

    def _read(self, claim: Claim) -> Task:
        message = self.serializer.deserialize(claim.payload, of_job(claim))
        if (message.id, message.name) != (claim.id, claim.task):
            raise ValueError("it belongs to another job")  # the row was copied or edited
        task = self._registry.create_task(message)
        task.eta = None  # it was claimed, so it is due, whatever the clock of this host says
        task.retries, task.retry_delay = claim.retries, claim.retry_delay_s
        if claim.chord is not None:
            parts = self.storage.chord_results(claim.chord)
            uses = [of_part(claim.chord, index, len(parts), claim.id) for index in range(len(parts))]
            task.extend_data(([self.serializer.deserialize(*each) for each in zip(parts, uses, strict=True)],))
        task.claim = claim
        return task

    def _settle_unread(self, claim: Claim, outcome: str, error: errors.JobError | None) -> None:
        settlement = self.composer.end(claim, outcome, error)
        settlement.reason = "unknown" if outcome == BLOCKED else None
        self._finish(settlement)
        self.composer.log_failures()

    # executing

    def execute(self, task: Task, timestamp: Any = None) -> Any:
        """Run a claimed task and settle its claim. A task without a claim runs as in Huey."""
        claim: Claim | None = getattr(task, "claim", None)
        if claim is None:
            return super().execute(task, timestamp)
        settlement = Settlement(claim)
        here = self._here
        here.settlement, here.task, here.context, here.by = settlement, task, claim.context, claim.by
        value = None
        try:
            if self._revoked(claim, task):
                self._emit(signals.SIGNAL_REVOKED, task)
                self._abort_chord_member(task, SKIPPED)
            elif claim.expires_at is not None and claim.expires_at < clock.now():
                settlement.outcome = EXPIRED
                self._emit(signals.SIGNAL_EXPIRED, task)
                self._abort_chord_member(task, SKIPPED)
            else:
                # In a copy, so that context variables of one job are not visible to the next.
                value = contextvars.copy_context().run(self._run_claimed, task, timestamp)
        except BaseException as exc:  # something outside the body failed: the job must end nevertheless
            if isinstance(exc, errors.StorageUnavailable) and settlement.started_at is None:
                settlement.outcome = RELEASED  # it is unknown whether it is revoked, and its body has not begun
            else:
                settlement.outcome = FAILED
                self.composer.write_error(settlement, exc)
        finally:
            here.settlement = here.task = here.context = here.by = None
        if value is not None and settlement.outcome == DONE and (mask := current.handler_mask()) is not None:
            self.composer.mask_result(settlement, mask, value)
        current.forget()
        settlement.finished_at = clock.now()
        settlement.keep_s = getattr(task, "keep_for", None)
        if settlement.outcome in ENDED and settlement.outcome != DONE:
            self.composer.tell(settlement)
        if settlement.outcome == FAILED:
            self.composer.exhausted(settlement)
        if settlement.logs or settlement.outcome != DONE:
            self.composer.seal(settlement)
        self._finish(settlement)
        if settlement.outcome != DONE:
            logs.log_failure(settlement, self.composer.redactor)
        return value

    def _run_claimed(self, task: Task, timestamp: Any) -> Any:
        self._emit(signals.SIGNAL_EXECUTING, task)
        return self._execute(task, timestamp)

    def run_body(self, task: Task, body: Callable[[Task], Any]) -> Any:
        """Run the function of a task. What it enqueues is durable at once. What is raised is always an Exception."""
        here = self._here
        settlement, here.settlement = here.settlement, None
        if settlement is None:  # immediate mode, or a task without a claim
            return body(task)
        claim = settlement.claim
        here.job_id = claim.id
        settlement.started_at = clock.now()
        said = current.activate(self, claim)
        job_log_handler.begin()
        ended = False
        try:
            self._begin(settlement)
            value = timed(self.timeouts, said, functools.partial(body, task))
            ended = True
            settlement.result = os_process.call(self.serializer.serialize, value, "its result", of_result(claim.id))
            return value
        except TaskLockedException as exc:  # the lock is held: wait, without spending a retry
            settlement.started_at = None  # this does not count as an attempt
            if (name := getattr(exc, "lock", None)) is not None:
                settlement.reason = f"lock {said.mask.text(str(name))[:LOCK_NAME_MAX]}"
            self._emit(signals.SIGNAL_LOCKED, task)
            wait = current.Retry(lock_wait_s(clock.now() - claim.enqueued_at), str(exc))
            self._judge(settlement, task, wait)
            raise wait from exc
        except RateLimitExceeded as exc:
            if not exc.retry:
                self._judge(settlement, task, exc)
                raise
            self._emit(signals.SIGNAL_RATE_LIMITED, task)
            wait = current.Retry(task.retry_delay or exc.delay, str(exc))
            self._judge(settlement, task, wait)
            raise wait from exc
        except Exception as exc:
            self._judge(settlement, task, exc, ended)
            raise
        except BaseException as exc:  # sys.exit, CancelledError ...: they must not end the worker
            self._judge(settlement, task, exc, ended)
            raise errors.TaskExit(type(exc).__name__, self.composer.text_of(exc)) from exc
        finally:
            settlement.logs = job_log_handler.end()
            current.deactivate(said)
            if self.prefetcher is not None:
                self.prefetcher.body_ended(settlement)
            here.job_id, here.settlement = None, settlement

    def _begin(self, settlement: Settlement) -> None:
        try:
            if self.prefetcher is not None:
                self.prefetcher.begin(settlement)
            elif self._alone is not None:
                self._alone.begin(settlement.claim.token, settlement.started_at or 0.0)
        except errors.StorageUnavailable as exc:  # it must not run twice, so it must not begin without its mark
            settlement.started_at = None
            raise current.Retry(HOLD_AGAIN_S, str(exc)) from exc

    def _judge(self, settlement: Settlement, task: Task, error: BaseException, ended: bool = False) -> None:
        if ended:  # its work is done, and running it again would not help
            task.retries, settlement.why = 0, "its body has ended, and only its result cannot be stored"
        elif not allows(settlement, getattr(task, "policy", None), error):
            task.retries = 0

    def _requeue_task(self, task: Task, timestamp: datetime.datetime, retry_eta: Any = None) -> None:
        settlement = self._here.settlement
        if settlement is not None and settlement.eta is not None:
            retry_eta = naive_utc(settlement.eta)
        super()._requeue_task(task, timestamp, retry_eta)

    def _timeout_context(self, task: Task) -> AbstractContextManager[None]:
        """Does nothing. Huey's alarm could raise within Huey or Duey; see duey.execution.thread_timeouts."""
        return nullcontext()

    def _revoked(self, claim: Claim, task: Task) -> bool:
        if self.prefetcher is not None and not self.prefetcher.revocations:
            return False
        return self.is_revoked(task, self._get_timestamp(), False)

    def _finish(self, settlement: Settlement) -> None:
        os_process.leave_fork()  # whatever forked: the outcome is not this process's to write
        if settlement.finished_at is None:
            settlement.finished_at = clock.now()
        if self.prefetcher is not None:
            self.prefetcher.ack(settlement)
            return
        lost = self.storage.settle_and_claim(self.worker_number(), [settlement], 0, ()).lost
        if self._alone is not None:
            self._alone.finish()
        if lost:
            raise errors.ClaimLost(f"the claim of job {settlement.claim.id} is gone: nothing was written")

    def _run_pre_execute(self, task: Task) -> None:
        hooks.call(self.composer, "pre_execute", self._pre_execute, task, passing=(CancelExecution,))

    def _run_post_execute(self, task: Task, task_value: Any, exception: BaseException | None) -> None:
        exception = None if exception is None else current.meant(exception)
        settlement = self._here.settlement
        if settlement is not None:
            if exception is None:
                settlement.outcome = DONE
            else:
                discarded = isinstance(exception, current.Discard)
                canceled = isinstance(exception, CancelExecution) and not task.retries and not discarded
                settlement.outcome = CANCELED if canceled else FAILED
                self.composer.write_error(settlement, exception)
        hooks.call(self.composer, "post_execute", self._post_execute, task, task_value, exception)

    def build_error_result(self, task: Task, exception: BaseException) -> dict[str, Any]:
        """Huey's error record. Works even for an exception whose repr raises."""
        return self.composer.error_record(task.id, current.meant(exception), task.retries, self.composer.mask_of(task))
