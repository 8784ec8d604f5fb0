"""Turns calls into jobs, which are stored at once or as a part of the settlement of the job that makes them.

What a body enqueues while it runs is stored at once. What Huey writes after the body (a retry, the next task of a
pipeline, an error handler, a chord's part, a result) is collected in the claim's Settlement and committed with it.
"""

from __future__ import annotations

import calendar
import copy
import datetime
import logging
import threading
from collections.abc import Sequence
from typing import Any, overload

from huey import signals
from huey.api import ResultGroup, Task
from huey.constants import EmptyData
from huey.utils import ChordConfig

from duey import clock, errors
from duey.config import Settings
from duey.model.job import DEFAULT_QUEUE, RETRYING, ChordPart, NewJob, Settlement
from duey.model.sequel import NOTHING, sequel_of, written
from duey.payload.serializer import Use, of_new_job, of_part, of_result
from duey.storage.contract import JobStorage
from duey.tasks import current
from duey.tasks.call_options import inherited
from duey.tasks.decorator import DurableTaskWrapper
from duey.tasks.options import check_call
from duey.tasks.typed import Call, ChordResult, Pipeline, R, Result, TypedHuey, chord, group
from duey.tasks.typed import ResultGroup as Results

logger = logging.getLogger("duey.consumer")
EPOCH = datetime.datetime(1970, 1, 1)
Row = tuple[Task, NewJob]  # a call and the row that it becomes


class Here(threading.local):
    """The state of this thread: the settlement that is collected, the task that runs, the job that it belongs to."""

    settlement: Settlement | None = None
    task: Task | None = None
    job_id: str | None = None
    context: str | None = None  # of the job that runs or has just ended
    by: str | None = None  # who enqueued that job
    gathering: list[Row] | None = None


def epoch(moment: datetime.datetime) -> float:
    """Huey's naive UTC datetime as UTC epoch seconds."""
    return calendar.timegm(moment.timetuple()) + moment.microsecond / 1e6


def naive_utc(instant: float) -> datetime.datetime:
    """UTC epoch seconds as Huey's naive UTC datetime."""
    return EPOCH + datetime.timedelta(seconds=instant)


def renewed(task: Task) -> Task:
    """A copy of a task and of what follows it, with new ids."""
    task = copy.copy(task)
    task.id = task.create_id()
    task.revoke_id = f"r:{task.id}"
    task.on_complete = None if task.on_complete is None else renewed(task.on_complete)
    task.on_error = None if task.on_error is None else renewed(task.on_error)
    return task


class EnqueuingHuey(TypedHuey):
    """Huey with durable enqueuing. Its subclass DurableHuey runs the jobs."""

    storage: JobStorage
    settings: Settings

    def __init__(self, name: str, **kwargs: Any) -> None:
        self._here = Here()
        super().__init__(name, **kwargs)

    def lock_task(self, lock_name: str, ttl: float | None = None) -> current.Lock:
        return current.Lock(self, lock_name, ttl)

    # stored values, signed for their use

    def serialize_task(self, task: Task, use: Use = ()) -> bytes:
        message = self._registry.create_message(task)
        return self.serializer.serialize(message, use=use) if use else self.serializer.serialize(message)

    def deserialize_task(self, data: bytes, use: Use | None = None) -> Task:
        message = self.serializer.deserialize(data) if use is None else self.serializer.deserialize(data, use)
        return self._registry.create_task(message)

    def put(self, key: str, data: Any) -> Any:
        return self.storage.put_data(key, self.serializer.serialize(data, use=of_result(key)))

    def put_if_empty(self, key: str, data: Any, ttl: float | None = None) -> Any:
        return self.storage.put_if_empty(key, self.serializer.serialize(data, use=of_result(key)), ttl)

    def get_raw(self, key: str, peek: bool = False) -> Any:
        """Reading does not remove a result; it expires. A hook or receiver of the job that has just run gets its result
        before it is stored."""
        settlement = self._here.settlement
        if settlement is not None and settlement.claim.id == key and settlement.result is not None:
            return settlement.result
        found = super().get_raw(key, True)
        if found is not EmptyData:
            self.serializer.check_use(found, of_result(key))
        return found

    # enqueuing

    @overload
    def enqueue(self, task: Pipeline) -> Results[Any]: ...
    @overload
    def enqueue(self, task: Call[R]) -> Result[R]: ...
    @overload
    def enqueue(self, task: group[R]) -> Results[R]: ...
    @overload
    def enqueue(self, task: chord[R]) -> ChordResult[R]: ...
    def enqueue(self, task: Any) -> Any:
        """Enqueue a task, group or chord. It is durable when this returns. Raises StorageUnavailable,
        TooManyPending."""
        if self._immediate:
            return super().enqueue(task)
        current.heed_timeout()
        if self._here.gathering is not None:
            return self._gather(task, self._here.gathering)
        if self._here.settlement is not None:
            return self._collect(self._here.settlement, task)
        return self.enqueue_jobs([task])[0]

    def enqueue_jobs(self, tasks: Sequence[Any]) -> list[Any]:
        """Enqueue several tasks in one transaction, all or none. Returns their result handles."""
        rows: list[Row] = []
        handles = [self._gather(task, rows) for task in tasks]
        accepted = self.storage.enqueue_jobs([job for _, job in rows], None, self.settings.tasks.max_pending).accepted
        for (task, job), answer in zip(rows, accepted, strict=True):
            if answer.id != job.id:  # its unique key is held: the handle is for the job that holds it
                task.id, task.revoke_id = answer.id, f"r:{answer.id}"
        # Huey sends signals before it writes, even if the write fails. Here signals are sent for stored jobs only.
        self._announce([row for row, answer in zip(rows, accepted, strict=True) if answer.fresh])
        return handles

    def _announce(self, rows: Sequence[Row]) -> None:
        for task, _ in rows:
            self._emit(signals.SIGNAL_SCHEDULED if task.eta else signals.SIGNAL_ENQUEUED, task)

    def _gather(self, item: Any, rows: list[Row]) -> Any:
        """Append the rows of a task, group or chord. Returns the result handle that Huey's caller expects."""
        if isinstance(item, group):
            return ResultGroup([self._gather(task, rows) for task in item.tasks])
        if isinstance(item, chord):
            # Huey enqueues members one by one. They are collected, so that a chord is stored as a whole or not at all.
            outer, self._here.gathering = self._here.gathering, rows
            try:
                return self._enqueue_chord(item)
            finally:
                self._here.gathering = outer
        rows.append((item, self.new_job(item)))
        handles = self._pipeline_results(item)
        return ResultGroup(handles) if len(handles) > 1 else handles[0]

    def new_job(
        self, task: Task, chord_id: str | None = None, context: str | None = None, by: str | None = None
    ) -> NewJob:
        """The row of a task. When the job is claimed, its columns override the payload. `context` and `by` are those of
        the job that this one follows, if that is not the job that runs in this thread."""
        cls = type(task)
        if getattr(cls, "internal", False):
            raise errors.InternalTask(self._registry.task_to_string(cls))
        name = self._registry.task_to_string(cls)
        if (
            cls.__module__ == "__main__" and self.storage.holder is None
        ):  # not in a worker: it may be a script that runs its own tasks
            raise errors.ScriptTask(name)
        if (
            task.retries is not cls.default_retries or task.retry_delay is not cls.default_retry_delay
            or task.priority is not cls.default_priority or task.timeout is not cls.default_timeout
            or task.expires is not cls.default_expires or task.retry_backoff is not cls.default_retry_backoff
        ):  # fmt: skip
            check_call(name, task)
        if task.expires and task.expires_resolved is None:
            task.resolve_expires(self.utc)
        # A relative `expires` is resolved once, when the job is enqueued.
        timeout = task.timeout
        here = self._here
        unique_key, unique_s = getattr(task, "unique_value", None), None
        uniqueness = getattr(cls, "uniqueness", None)
        if chord_id is not None or here.gathering is not None or here.settlement is not None:
            unique_key = None  # steps of pipelines and members of chords are never dropped
        elif uniqueness is not None:
            unique_s = uniqueness.hold_s
            if unique_key is None:
                unique_key = uniqueness.key_of(name, task.args, task.kwargs)
        context, by = inherited(getattr(task, "job_context", None), context or here.context), by or here.by
        follows = task.on_complete is not None or task.chord_config is not None
        return NewJob(
            task.id,
            name,
            getattr(task, "queue", DEFAULT_QUEUE),
            float(task.priority or 0),
            clock.now(),
            epoch(task.eta) if task.eta is not None else None,
            epoch(task.expires_resolved) if task.expires_resolved is not None else None,
            int(task.retries),
            float(task.retry_delay),
            None if timeout is None else float(timeout),
            getattr(cls, "job_flags", 0),
            unique_key,
            here.job_id,
            chord_id,
            context,
            self.serialize_task(task, of_new_job(task.id, name, context, chord_id)),
            unique_s,
            written(sequel_of(self, task, context, by)) if follows else NOTHING,
            by,
        )

    # what Huey writes after the body

    def _collect(self, settlement: Settlement, task: Any) -> Any:
        if task is self._here.task:  # Huey's retry without a delay
            self._will_retry(settlement, task, clock.now())
            self._emit(signals.SIGNAL_ENQUEUED, task)
            return None
        running = self._here.task
        handler = getattr(running, "on_error", None)
        is_handler = handler is not None and getattr(task, "id", None) == handler.id
        if settlement.claim.attempt and is_handler:
            task = renewed(task)  # an error handler runs for each failed attempt, and Huey uses the same task again
        rows: list[Row] = []
        if is_handler:
            task.args = tuple(current.meant(each) if isinstance(each, Exception) else each for each in task.args)
        try:
            handle = self._gather(task, rows)
        except errors.UnserializableError as exc:
            if running is not None and task is running.on_complete:
                raise errors.ResultUnfit(type(task).__name__, exc) from exc
            if not is_handler:
                raise
            text = f"the error handler of job {settlement.claim.id} cannot be stored and does not run: {exc}"
            logger.error(text)
            settlement.logs = [*(settlement.logs or ()), (clock.now(), "ERROR", text)]
            return None  # the attempt fails for its own reason, and is retried as if it had no handler
        settlement.next_jobs = [*(settlement.next_jobs or ()), *(job for _, job in rows)]
        self._announce(rows)
        return handle

    def add_schedule(self, task: Task) -> None:
        if self._immediate:
            super().add_schedule(task)
            return
        settlement = self._here.settlement
        if settlement is None or id(task) != id(self._here.task):
            self.enqueue(task)
            return
        eta: datetime.datetime | None = task.eta
        self._will_retry(settlement, task, clock.now() if eta is None else epoch(eta))
        self._emit(signals.SIGNAL_SCHEDULED, task)

    def _will_retry(self, settlement: Settlement, task: Task, eta: float) -> None:
        settlement.outcome = RETRYING
        settlement.eta, settlement.retries, settlement.retry_delay_s = eta, task.retries, task.retry_delay

    def put_result(self, key: str, data: Any) -> Any:
        settlement = self._here.settlement
        if settlement is None:
            return self.storage.put_data(key, self.serializer.serialize(data, use=of_result(key)), is_result=True)
        if key != settlement.claim.id:  # Huey stores an error as the result of the pipeline's later tasks, too
            settlement.others = [*(settlement.others or ()), (key, self.serializer.serialize(data, use=of_result(key)))]
        return None

    def delete(self, key: Any) -> bool:
        settlement = self._here.settlement
        if settlement is not None and key == f"r:{settlement.claim.id}":
            return False  # a revocation is removed with the end of its job, in the same transaction
        return super().delete(key)

    def _check_chord(self, cc: ChordConfig, value: Any) -> None:
        settlement = self._here.settlement
        if settlement is None:
            return super()._check_chord(cc, value)
        settlement.chord_part = self.chord_part(cc, value)
        return None

    def chord_part(self, cc: ChordConfig, value: Any) -> ChordPart:
        """The part of one member. The callback has a reference to the parts, which are read when it is claimed."""
        callback = self.new_job(cc.callback, cc.cid)
        stored = self.serializer.serialize(value, use=of_part(cc.cid, cc.idx, cc.size, callback.id))
        return ChordPart(cc.cid, cc.idx, cc.size, stored, callback)

    def get_task_wrapper_class(self) -> type[DurableTaskWrapper]:
        return DurableTaskWrapper

    def _get_timestamp(self) -> datetime.datetime:
        return naive_utc(clock.now())
