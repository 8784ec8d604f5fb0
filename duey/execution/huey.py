"""DurableHuey claims, runs and settles jobs, by overriding methods of Huey.

`enqueue` returns when the storage has stored the job. A worker's `dequeue` returns a claim as a Huey task. `execute`
makes one Attempt at it, and hands its Outcome to the storage after Huey's hooks have returned, so that no author's code
runs while a write lock is held.

Each method of Huey that is overridden here or in enqueue.py is pinned by tests/execution/test_huey_pins.py.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, overload

from huey.api import Task
from huey.exceptions import CancelExecution, HueyException

from duey import errors, logs, os_process
from duey.config import Settings
from duey.execution import hooks
from duey.execution.attempt import Attempt
from duey.execution.body.thread_timeouts import Timeouts
from duey.execution.body.usage import Meter
from duey.execution.display import Display
from duey.execution.enqueue import EnqueuingHuey
from duey.execution.error_text import error_record, text_of
from duey.execution.lifecycle import Lifecycle
from duey.execution.outcomes import Outcomes
from duey.model.job import BLOCKED, DONE, FAILED, RELEASED, Claim, JobRecord
from duey.model.limits import Limit
from duey.model.outcome import Outcome
from duey.payload.serializer import Use, of_job, of_part
from duey.scheduling.huey_crontab import warn_every_minute
from duey.storage.contract import JobStorage
from duey.tasks import current
from duey.tasks.renamed import Renamed
from duey.tasks.retry import with_defaults
from duey.tasks.typed import P, R, TaskFunction, TaskOptions

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
        self.prefetcher: Any = None  # in a consumer: batches claims and outcomes (duey.worker.prefetcher)
        self.timeouts: Timeouts | None = None  # of bodies, in a worker process
        self.meter: Meter | None = None  # of what bodies use, in a worker process
        self.alone: Any = None  # presence of a process that runs jobs outside of any consumer
        self.display = Display(self)
        self.outcomes = Outcomes(self, self.display)
        self.limits: dict[str, Limit] = {}  # by the full name of a task
        self.renamed = Renamed()
        super().__init__(name, store_none=True, utc=True, **kwargs)
        self._signal = hooks.Receivers(self.display)

    def get_storage(self, **kwargs: Any) -> JobStorage:
        storage = self._make_storage()
        self.lifecycle = Lifecycle(storage, self.outcomes, self.display)
        storage.limits = self.limits
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

    @overload
    def task(self, retries: Callable[P, R], /) -> TaskFunction[P, R]: ...
    @overload
    def task(
        self, retries: int | None = None, retry_delay: float | None = None, **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
    def task(self, retries: Any = None, retry_delay: float | None = None, **options: Unpack[TaskOptions]) -> Any:
        """Huey's decorator, with Duey's options and the defaults of [tasks]; also without parentheses."""
        if callable(retries):
            return self.task()(retries)
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
        if self.alone is not None:
            self.alone.take(claims[0].token)
        return claims[0]

    def worker_number(self) -> int:
        """The number of this process as a worker. Registers it if it runs jobs outside of any consumer."""
        if self.storage.holder is None:
            from duey.execution.registration import register_alone

            self.alone = register_alone(self.storage)
            self.storage.holder = self.alone.n
        return self.storage.holder

    def task_of(self, claim: Claim) -> Task | None:
        """The claimed job as a Huey task. If it cannot be read, it is set aside or failed, and None is returned."""
        try:
            task = self._read(claim)
        except BaseException as exc:  # decoding may run an author's code
            os_process.leave_fork(exc)
            self._set_aside(claim, exc)
            return None
        os_process.leave_fork()
        return task

    def _set_aside(self, claim: Claim, exc: BaseException) -> None:
        """Hand in the outcome of a job that cannot be read."""
        if isinstance(exc, errors.TypeMisfit):  # the classes of its arguments have changed since it was accepted
            logs.jobs.warning(
                "job %s (%s) is set aside: its arguments do not fit: %s", claim.job.id, claim.job.task, exc
            )
        if isinstance(exc, (HueyException, errors.TypeMisfit)):  # another consumer may know the task or the classes
            outcome = self.outcomes.end(claim, BLOCKED, reason="unknown")
        elif isinstance(exc, errors.StorageUnavailable):  # the parts of its chord cannot be read now
            outcome = self.outcomes.end(claim, RELEASED)
        else:
            why = errors.PayloadUndecodable(f"its stored payload cannot be read: {text_of(exc)}")
            outcome = self.outcomes.end(claim, FAILED, why)
        self._finish(outcome)

    def _read(self, claim: Claim) -> Task:
        job = claim.job
        message = self.serializer.deserialize(job.payload, of_job(job))
        if (message.id, message.name) != (job.id, job.task):
            raise ValueError("it belongs to another job")  # the row was copied or edited
        task = self._registry.create_task(message)
        task.eta = None  # it was claimed, so it is due, whatever the clock of this host says
        task.retries, task.retry_delay = job.retries, job.retry_delay_s
        task.extend_data(self.results_of_members(job, self.serializer.deserialize))
        task.claim = claim
        return task

    def results_of_members(
        self, job: JobRecord, decode: Callable[[bytes, Use], Any], most: int | None = None
    ) -> tuple[Any, ...]:
        """The last argument of a chord's callback, as the only one: what its members returned. None in its place if
        they are more than `most`. () for any other job."""
        if job.chord is None:
            return ()
        parts = self.storage.chord_results(job.chord, most)
        if parts is None:
            return (None,)
        uses = [of_part(job.chord, index, len(parts), job.id) for index in range(len(parts))]
        return ([decode(*each) for each in zip(parts, uses, strict=True)],)

    # executing

    def execute(self, task: Task, timestamp: Any = None) -> Any:
        """Run a claimed task and hand its outcome to the storage. A task without a claim runs as in Huey."""
        if getattr(task, "claim", None) is None:
            return super().execute(task, timestamp)
        value, outcome = Attempt(self, task).run()
        self._finish(outcome)
        return value

    def _finish(self, outcome: Outcome) -> None:
        os_process.leave_fork()  # whatever forked: the outcome is not this process's to write
        if self.prefetcher is not None:
            self.prefetcher.ack(outcome)
        else:
            lost = self.lifecycle.settle(self.worker_number(), [outcome]).lost
            if self.alone is not None:
                self.alone.finish()
            if lost:
                raise errors.ClaimLost(f"the claim of job {outcome.claim.job.id} is gone: nothing was written")
        if outcome.state != DONE:
            logs.log_failure(outcome, self.display.redactor)

    # overridden for immediate mode, and called by an Attempt

    def _timeout_context(self, task: Task) -> AbstractContextManager[None]:
        """Does nothing. Huey's alarm could raise within Huey or Duey; see duey.execution.body.thread_timeouts."""
        return nullcontext()

    def _run_pre_execute(self, task: Task) -> None:
        if self._pre_execute:
            hooks.call(self.display, "pre_execute", self._pre_execute, task, passing=(CancelExecution,))

    def _run_post_execute(self, task: Task, task_value: Any, exception: BaseException | None) -> None:
        if self._post_execute:
            exception = None if exception is None else current.meant(exception)
            hooks.call(self.display, "post_execute", self._post_execute, task, task_value, exception)

    def build_error_result(self, task: Task, exception: BaseException) -> dict[str, Any]:
        """Huey's error record. Works even for an exception whose repr raises."""
        return error_record(task.id, current.meant(exception), task.retries, self.display.mask_of(task))
