"""DurableHuey: claim, execute, acknowledge, all through Huey's own hooks.

The life of a job here: `enqueue` hands the storage a whole job and returns when it is durable. A worker's `dequeue`
brings a claim as a Huey task. `execute` runs Huey's own `_execute`, but what Huey would write after the body (result,
retry, pipeline, chord, error handler) is collected in the claim's Settlement, and goes to the storage in one
transaction after Huey and all hooks have returned, so that no user code runs while a write lock is held.

Overridden (each pinned by tests/engine/test_huey_pins.py): enqueue, dequeue, execute, add_schedule, put_result, delete,
get_raw, _check_chord, _run_post_execute, _requeue_task's writes (through enqueue and add_schedule),
build_error_result, _get_timestamp, get_task_wrapper_class.
"""

from __future__ import annotations

import calendar
import datetime
import threading
from collections.abc import Callable, Sequence
from typing import Any

from huey import signals
from huey.api import Huey, ResultGroup, Task, chord, group
from huey.exceptions import CancelExecution, HueyException
from huey.utils import SKIPPED, ChordConfig

from config import Settings
from engine import clock, errors, inside, logs
from engine.composer import Composer
from engine.consumer import DurableConsumer
from engine.job_storage import JobStorage
from engine.jobs import (
    CANCELED,
    DEFAULT_QUEUE,
    DONE,
    EXPIRED,
    FAILED,
    ONCE,
    PARKED,
    RETRYING,
    ChordPart,
    Claim,
    NewJob,
    Settlement,
)  # fmt: skip
from engine.options import consumer_options, flag_given
from engine.wrapper import DurableTaskWrapper

EPOCH = datetime.datetime(1970, 1, 1)


class DurableHuey(Huey):
    """Huey whose jobs survive. `storage` is a JobStorage; the rest are Huey's own arguments."""

    storage: JobStorage

    def __init__(
        self,
        name: str = "dewey",
        *,
        settings: Settings,
        make_storage: Callable[[], JobStorage],
        **kwargs: Any,
    ) -> None:
        self.settings = settings
        self._make_storage = make_storage
        self._here = Here()
        self.desk: Any = None  # batches claims and acknowledgements inside a consumer: engine.desk
        self._alone: Any = None  # this process as a worker outside of any consumer
        self.composer = Composer(self)
        super().__init__(name, store_none=True, utc=True, **kwargs)

    def get_storage(self, **kwargs: Any) -> JobStorage:
        storage = self._make_storage()
        storage.compose = self.composer
        return storage

    def create_consumer(self, **options: Any) -> DurableConsumer:
        chosen = consumer_options(self.settings, options)
        logs.tame_huey(logfile=flag_given("logfile"), verbose=flag_given("verbose"))
        return DurableConsumer(self, **chosen)

    def task(self, retries: int | None = None, retry_delay: float | None = None, **options: Any) -> Any:
        """Huey's decorator, with Dewey's options and the service's own defaults."""
        return super().task(
            retries=self.settings.tasks.retries if retries is None else retries,
            retry_delay=self.settings.tasks.backoff_s if retry_delay is None else retry_delay,
            **options,
        )

    def get_task_wrapper_class(self) -> type[DurableTaskWrapper]:
        return DurableTaskWrapper

    def _get_timestamp(self) -> datetime.datetime:
        return naive_utc(clock.now())

    # deferring

    def enqueue(self, task: Any) -> Any:
        """Defer a task, group or chord: durable when this returns. Raises StorageUnavailable, TooManyPending, ..."""
        if self._immediate:
            return super().enqueue(task)
        if self._here.gathering is not None:
            return self._gather(task, self._here.gathering)
        if self._here.settlement is not None:
            return self._collect(self._here.settlement, task)
        return self.defer([task])[0]

    def defer(self, tasks: Sequence[Any]) -> list[Any]:
        """Defer several in one transaction, all or none; their result handles."""
        jobs: list[NewJob] = []
        handles = [self._gather(task, jobs) for task in tasks]
        for task in tasks:
            if isinstance(task, Task):
                self._emit(signals.SIGNAL_SCHEDULED if task.eta else signals.SIGNAL_ENQUEUED, task)
        self.storage.accept(jobs, None, self.settings.tasks.max_pending)
        return handles

    def _gather(self, item: Any, jobs: list[NewJob]) -> Any:
        """Turn a task, group or chord into rows; answers the handle that Huey's caller expects."""
        if isinstance(item, group):
            return ResultGroup([self._gather(task, jobs) for task in item.tasks])
        if isinstance(item, chord):
            # Huey enqueues the members one by one: gather them, so that a chord is stored whole or not at all.
            outer, self._here.gathering = self._here.gathering, jobs
            try:
                return self._enqueue_chord(item)
            finally:
                self._here.gathering = outer
        jobs.append(self.new_job(item))
        handles = self._pipeline_results(item)
        return ResultGroup(handles) if len(handles) > 1 else handles[0]

    def new_job(self, task: Task, chord_id: str | None = None) -> NewJob:
        """The row of a task: what is in columns here wins over the payload when it is claimed."""
        cls = type(task)
        if task.expires and task.expires_resolved is None:
            task.resolve_expires(self.utc)
        # (a relative `expires` is fixed once, at defer, and never again)
        timeout = task.timeout
        return NewJob(
            task.id,
            self._registry.task_to_string(cls),
            getattr(task, "queue", DEFAULT_QUEUE),
            float(task.priority or 0),
            clock.now(),
            epoch(task.eta) if task.eta is not None else None,
            epoch(task.expires_resolved) if task.expires_resolved is not None else None,
            int(task.retries),
            float(task.retry_delay),
            None if timeout is None else float(timeout),
            ONCE if getattr(cls, "on_crash", "retry") == "fail" else 0,
            getattr(task, "unique_value", None),
            self._here.job_id,
            chord_id,
            getattr(task, "job_context", None),
            self.serialize_task(task),
        )

    # claiming

    def dequeue(self) -> Task | None:
        """The next job as a task that carries its claim, or None."""
        claim = self.desk.take() if self.desk is not None else self._take_alone()
        return None if claim is None else self.task_of(claim)

    def _take_alone(self) -> Claim | None:
        claims = self.storage.turn(self.worker_number(), (), 1, ("*",)).claims
        return claims[0] if claims else None

    def worker_number(self) -> int:
        """This process's number as a worker; registers it when it runs jobs outside of any consumer."""
        if self.storage.holder is None:
            from engine.crew import register_alone

            self._alone = register_alone(self.storage)
            self.storage.holder = self._alone.n
        return self.storage.holder

    def task_of(self, claim: Claim) -> Task | None:
        """The claimed job as a Huey task; one that cannot be read is set aside or failed, and None is answered."""
        try:
            message = self.serializer.deserialize(claim.payload)
            if (message.id, message.name) != (claim.id, claim.task):
                raise ValueError("it belongs to another job")  # a row that was copied or edited
        except Exception as exc:
            self._settle_unread(claim, FAILED, errors.PayloadUndecodable(f"its stored payload cannot be read: {exc}"))
            return None
        try:
            task = self._registry.create_task(message)
        except HueyException:  # this consumer does not know the task: perhaps another does, or soon will
            self._settle_unread(claim, PARKED, None)
            return None
        task.eta = None  # it is due, whatever this host's clock says
        task.retries, task.retry_delay = claim.retries, claim.retry_delay_s
        if claim.chord is not None:
            parts = self.storage.chord_results(claim.chord)
            task.extend_data(([self.serializer.deserialize(part) for part in parts],))
        task.claim = claim
        return task

    def _settle_unread(self, claim: Claim, outcome: str, error: errors.JobError | None) -> None:
        settlement = self.composer.end(claim, outcome, error)
        settlement.reason = "unknown" if outcome == PARKED else None
        self._finish(settlement)

    # executing

    def execute(self, task: Task, timestamp: Any = None) -> Any:
        """Run a claimed task and settle its claim; a task without a claim runs as in stock Huey."""
        claim: Claim | None = getattr(task, "claim", None)
        if claim is None:
            return super().execute(task, timestamp)
        settlement = Settlement(claim)
        here = self._here
        here.settlement, here.task = settlement, task
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
                self._emit(signals.SIGNAL_EXECUTING, task)
                value = self._execute(task, timestamp)
        except Exception as exc:  # Huey's own code failed around the body: the job must still end
            settlement.outcome = FAILED
            self.composer.write_error(settlement, exc)
        finally:
            here.settlement = here.task = None
        settlement.finished_at = clock.now()
        self._finish(settlement)
        return value

    def run_body(self, task: Task, body: Callable[[Task], Any]) -> Any:
        """Run a task's own function. What it defers is durable at once; what it raises is always an Exception."""
        here = self._here
        settlement, here.settlement = here.settlement, None
        if settlement is None:  # immediate mode, or a task without a claim
            return body(task)
        claim = settlement.claim
        here.job_id = claim.id
        settlement.started_at = clock.now()
        if self.desk is not None:
            self.desk.begin(settlement)
        said = inside.enter(self, claim)
        try:
            value = body(task)
            settlement.result = self.serializer.serialize(value)
            return value
        except Exception:
            raise
        except BaseException as exc:  # sys.exit, CancelledError, ...: a worker is never lost to a task
            raise errors.TaskExit(type(exc).__name__, self.composer.text_of(exc)) from exc
        finally:
            inside.leave(said)
            if self.desk is not None:
                self.desk.body_ended()
            here.job_id, here.settlement = None, settlement

    def _revoked(self, claim: Claim, task: Task) -> bool:
        if self.desk is not None and not self.desk.revocations:
            return False
        return self.is_revoked(task, self._get_timestamp(), False)

    def _finish(self, settlement: Settlement) -> None:
        if settlement.finished_at is None:
            settlement.finished_at = clock.now()
        if self.desk is not None:
            self.desk.finish(settlement)
            return
        lost = self.storage.turn(self.worker_number(), [settlement], 0, ()).lost
        if lost:
            raise errors.ClaimLost(f"the claim of job {settlement.claim.id} is gone: nothing was written")

    # what Huey writes after the body, collected

    def _collect(self, settlement: Settlement, task: Any) -> Any:
        if task is self._here.task:  # Huey's retry without a delay
            self._will_retry(settlement, task, clock.now())
            return None
        jobs: list[NewJob] = [] if settlement.next_jobs is None else settlement.next_jobs
        settlement.next_jobs = jobs
        return self._gather(task, jobs)

    def add_schedule(self, task: Task) -> None:
        settlement = self._here.settlement
        if settlement is None or task is not self._here.task:
            self.enqueue(task)
            return
        eta = task.eta
        self._will_retry(settlement, task, clock.now() if eta is None else epoch(eta))
        self._emit(signals.SIGNAL_SCHEDULED, task)

    def _will_retry(self, settlement: Settlement, task: Task, eta: float) -> None:
        settlement.outcome = RETRYING
        settlement.eta, settlement.retries, settlement.retry_delay_s = eta, task.retries, task.retry_delay

    def put_result(self, key: str, data: Any) -> Any:
        settlement = self._here.settlement
        if settlement is None:
            return super().put_result(key, data)
        if key != settlement.claim.id:  # an error is the result of the pipeline's later tasks, too
            settlement.others = [*(settlement.others or ()), (key, self.serializer.serialize(data))]
        return None

    def delete(self, key: Any) -> bool:
        settlement = self._here.settlement
        if settlement is not None and key == f"r:{settlement.claim.id}":
            return False  # a revocation ends with its job, in the finishing transaction
        return super().delete(key)

    def get_raw(self, key: str, peek: bool = False) -> Any:
        """Results are read without being consumed: they expire."""
        return super().get_raw(key, True)

    def _check_chord(self, cc: ChordConfig, value: Any) -> None:
        settlement = self._here.settlement
        if settlement is None:
            return super()._check_chord(cc, value)
        settlement.chord_part = self.chord_part(cc, value)
        return None

    def chord_part(self, cc: ChordConfig, value: Any) -> ChordPart:
        """One member's part. The callback keeps a reference to the parts; they are read when it is claimed."""
        callback = self.new_job(cc.callback, chord_id=cc.cid)
        return ChordPart(cc.cid, cc.idx, cc.size, self.serializer.serialize(value), callback)

    def _run_post_execute(self, task: Task, task_value: Any, exception: BaseException | None) -> None:
        settlement = self._here.settlement
        if settlement is not None:
            if exception is None:
                settlement.outcome = DONE
            else:
                discarded = isinstance(exception, inside.Discard)
                canceled = isinstance(exception, CancelExecution) and not task.retries and not discarded
                settlement.outcome = CANCELED if canceled else FAILED
                self.composer.write_error(settlement, exception)
        super()._run_post_execute(task, task_value, exception)

    def build_error_result(self, task: Task, exception: BaseException) -> dict[str, Any]:
        """Huey's error record, also for an exception whose own repr is broken."""
        return self.composer.error_record(task.id, exception, task.retries)


class Here(threading.local):
    """What this thread is doing: the settlement being collected, the task that runs, the job it belongs to."""

    settlement: Settlement | None = None
    task: Task | None = None
    job_id: str | None = None
    gathering: list[NewJob] | None = None


def epoch(moment: datetime.datetime) -> float:
    """Huey's naive UTC datetime as UTC epoch seconds."""
    return calendar.timegm(moment.timetuple()) + moment.microsecond / 1e6


def naive_utc(instant: float) -> datetime.datetime:
    """UTC epoch seconds as Huey's naive UTC datetime."""
    return EPOCH + datetime.timedelta(seconds=instant)
