"""Turns calls into jobs. They are durable when `enqueue` returns, also if a body or a hook enqueues them.

What follows a job (the next step of a pipeline, an error handler, a chord's part) becomes a part of its Outcome.
"""

from __future__ import annotations

import copy
import datetime
import uuid
from collections.abc import Sequence
from typing import Any, overload

from huey import signals
from huey.api import ChordResult as HueyChordResult
from huey.api import Result as HueyResult
from huey.api import ResultGroup, Task
from huey.constants import EmptyData
from huey.utils import ChordConfig

from duey import clock, errors
from duey.config import Settings
from duey.execution.lifecycle import Lifecycle
from duey.model.job import DEFAULT_QUEUE, JobRecord
from duey.model.sequel import NOTHING, sequel_of, written
from duey.payload.serializer import Use, of_new_job, of_result
from duey.storage.contract import JobStorage
from duey.tasks import current
from duey.tasks.call_options import inherited
from duey.tasks.decorator import DurableTaskWrapper
from duey.tasks.lock import Lock
from duey.tasks.options import check_call
from duey.tasks.typed import Call, ChordResult, Pipeline, R, Result, TypedHuey, chord, group
from duey.tasks.typed import ResultGroup as Results

Row = tuple[Task, JobRecord]  # a call and the row that it becomes


class EnqueuingHuey(TypedHuey):
    """Huey with durable enqueuing. Its subclass DurableHuey runs the jobs."""

    storage: JobStorage
    settings: Settings
    lifecycle: Lifecycle

    def lock_task(self, lock_name: str, ttl: float | None = None) -> Lock:
        return Lock(self, lock_name, ttl)

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
        latest = current.latest_job_context()
        if latest is not None and latest.result is not None and latest.claim.job.id == key:
            return latest.result
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
        return self.enqueue_jobs([task])[0]

    def enqueue_jobs(self, tasks: Sequence[Any]) -> list[Any]:
        """Enqueue several tasks in one transaction, all or none. Returns their result handles."""
        rows: list[Row] = []
        handles = [self._gather(task, rows) for task in tasks]
        accepted = self.lifecycle.enqueue_jobs([job for _, job in rows], None, self.settings.tasks.max_pending).accepted
        fresh = []
        for (task, job), answer in zip(rows, accepted, strict=True):
            if answer.fresh:
                fresh.append(task)
            elif answer.id != job.id:  # its unique key is held: the handle is for the job that holds it
                task.id, task.revoke_id = answer.id, f"r:{answer.id}"
        # Huey sends signals before it writes, even if the write fails. Here signals are sent for stored jobs only.
        self._announce(fresh)
        return handles

    def _emit(self, signal: str, task: Task, *args: Any, **kwargs: Any) -> None:
        receivers = self._signal.receivers
        if receivers["any"] or receivers.get(signal):  # mostly nobody listens
            self._signal.send(signal, task, *args, **kwargs)

    def _announce(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._emit(signals.SIGNAL_SCHEDULED if task.eta else signals.SIGNAL_ENQUEUED, task)

    def _gather(self, item: Any, rows: list[Row]) -> Any:
        """Append the rows of a task, group or chord. Returns the result handle that Huey's caller expects."""
        if isinstance(item, group):
            return ResultGroup([self._gather(task, rows) for task in item.tasks])
        if isinstance(item, chord):
            return self._gather_chord(item, rows)
        rows.append((item, self.new_job(item)))
        handles = self._pipeline_results(item)
        return ResultGroup(handles) if len(handles) > 1 else handles[0]

    def _gather_chord(self, item: Any, rows: list[Row]) -> HueyChordResult:
        """The same for a chord. Huey (`Huey._enqueue_chord`) enqueues its members one by one; here they are stored
        together or not at all."""
        cid, results = str(uuid.uuid4()), []
        for index, member in enumerate(item.tasks):
            if isinstance(member, group):
                raise ValueError("a group cannot be a member of a chord: make it a chord with .then() first")
            head: Any = member.callback if isinstance(member, chord) else member  # type: ignore[attr-defined]
            tail = head
            while tail.on_complete is not None:
                tail = tail.on_complete
            tail.chord_config = ChordConfig(cid, len(item.tasks), index, item.callback)
            if isinstance(member, chord):
                self._gather_chord(member, rows)
            else:
                rows.append((head, self.new_job(head, follows=True)))
            results.append(HueyResult(self, tail))
        if not item.tasks:
            callback = copy.copy(item.callback)
            callback.extend_data(([],))
            rows.append((callback, self.new_job(callback, follows=True)))
        handles = self._pipeline_results(item.callback)
        return HueyChordResult(results, handles[0], ResultGroup(handles) if len(handles) > 1 else None)

    def follow_ups(self, task: Task) -> tuple[JobRecord, ...]:
        """The row of a task that follows the job of this thread. It is stored with the outcome of that job."""
        job, before = self.new_job(task, follows=True), current.latest_job_context()
        self._announce([task])
        return (job if before is None else job._replace(parent=before.claim.job.id),)

    def new_job(
        self, task: Task, chord_id: str | None = None, context: str | None = None, by: str | None = None,
        follows: bool = False,
    ) -> JobRecord:  # fmt: skip
        """The row of a task. When the job is claimed, its columns override the payload. `context` and `by` are those of
        the job that this one follows, if that is not the job that runs in this thread. `follows`: it is a step of a
        pipeline, a member of a chord or an error handler, which is stored even if its unique key is held."""
        cls = type(task)
        if getattr(cls, "internal", False):
            raise errors.InternalTask(self._registry.task_to_string(cls))
        name = self._registry.task_to_string(cls)
        if (
            cls.__module__ == "__main__" and self.storage.holder is None
        ):  # not in a worker: it may be a script that runs its own tasks
            raise errors.ScriptTask(name)
        if not (follows or chord_id) and (arity := getattr(cls, "arity", None)) is not None:
            arity.check(name, task.args, task.kwargs)
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
        unique_key, unique_s = getattr(task, "unique_value", None), None
        uniqueness = getattr(cls, "uniqueness", None)
        if follows or chord_id is not None:
            unique_key = None
        elif uniqueness is not None:
            unique_s = uniqueness.hold_s
            if unique_key is None:
                unique_key = uniqueness.key_of(cls.key_name, task.args, task.kwargs)
        running, latest = current.current_job_context(), current.latest_job_context()
        if latest is not None:
            context, by = context or latest.claim.job.context, by or latest.claim.job.by
        context = inherited(getattr(task, "job_context", None), context)
        goes_on = task.on_complete is not None or task.chord_config is not None
        return JobRecord(
            task.id,
            name,
            getattr(task, "queue", DEFAULT_QUEUE),
            float(task.priority or 0),
            clock.now(),
            clock.epoch(task.eta) if task.eta is not None else None,
            clock.epoch(task.expires_resolved) if task.expires_resolved is not None else None,
            int(task.retries),
            float(task.retry_delay),
            None if timeout is None else float(timeout),
            getattr(cls, "job_flags", 0),
            unique_key,
            None if running is None else running.claim.job.id,
            chord_id,
            context,
            self.serialize_task(task, of_new_job(task.id, name, context, chord_id)),
            unique_s,
            written(sequel_of(self, task, context, by)) if goes_on else NOTHING,
            by,
        )

    def put_result(self, key: str, data: Any) -> Any:
        return self.storage.put_data(key, self.serializer.serialize(data, use=of_result(key)), is_result=True)

    def get_task_wrapper_class(self) -> type[DurableTaskWrapper]:
        return DurableTaskWrapper

    def _get_timestamp(self) -> datetime.datetime:
        return clock.naive_utc(clock.now())
