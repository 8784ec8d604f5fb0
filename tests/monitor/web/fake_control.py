"""A Control in memory for the pages: the verbs and errors of duey.control.service, with nothing behind them.

`finish` and `start` stand for a consumer; every verb raises `away`, when it is set.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from duey.control.edit import edited
from duey.control.service import Control
from duey.errors import (
    AmbiguousTask,
    BadRequest,
    DuplicateJob,
    FieldError,
    InvalidArguments,
    StateConflict,
    StorageUnavailable,
    UnknownJob,
    UnknownTask,
)
from duey.model.job import (
    CANCELED,
    DONE,
    ENDED,
    QUEUED,
    RETRYING,
    RUNNING,
    SCHEDULED,
    Counts,
    Edit,
    EnqueueAnswer,
    Health,
    Idempotency,
    Job,
    JobRequest,
    Page,
    QueueInfo,
    TaskInfo,
)


class FakeControl(Control):
    """Everything lives in dicts, under one lock."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.all: dict[str, Job] = {}
        self.unique: dict[str, str] = {}
        self.paused: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.away: Exception | None = None
        self.problems: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self._clock = clock

    # what a consumer would do

    def start(self, job_id: str) -> None:
        self._set(job_id, state=RUNNING, started_at=self._clock(), wait_ms=1.0)

    def finish(self, job_id: str, result: Any = None) -> None:
        self._set(job_id, state=DONE, result=result, finished_at=self._clock(), run_ms=2.0)

    def _set(self, job_id: str, **changes: Any) -> Job:
        self.all[job_id] = job = replace(self.all[job_id], **changes)
        return job

    # defer and look up

    def enqueue(
        self, requests: Sequence[JobRequest], idempotency: Idempotency | None = None, batch: bool = False,
        by: str | None = None,
    ) -> EnqueueAnswer:  # fmt: skip
        self._reach()
        checked = [(request, self._checked(request)) for request in requests]
        held = [self._holder(request) for request in requests]
        jobs = tuple(holder or self._accept(*each, by) for holder, each in zip(held, checked, strict=True))
        return EnqueueAnswer(jobs, False, any(held))

    def _checked(self, request: JobRequest) -> TaskInfo:
        task = self.task(request.task)
        if task.name == "add":
            given = dict(zip("ab", request.args, strict=False)) | dict(request.kwargs)
            errors = [
                FieldError(f"kwargs.{name}", "expected int") for name, value in given.items() if type(value) is not int
            ]
            errors += [FieldError("args[0]", "a is missing")] * ("a" not in given)
            if errors or len(request.args) > 2 or set(given) - {"a", "b"}:
                raise InvalidArguments(task.qualname, errors or [FieldError("args[2]", "surplus")])
        return task

    def _holder(self, request: JobRequest) -> Job | None:
        if request.id is not None and (job := self.all.get(request.id)):
            if job.state in ENDED:
                raise DuplicateJob(job.id, job.state)
            return job
        holder = self.all.get(self.unique.get(request.unique or "", ""))
        return holder if holder and holder.state not in ENDED else None

    def _accept(self, request: JobRequest, task: TaskInfo, by: str | None) -> Job:
        now = self._clock()
        eta = now + request.delay_s if request.delay_s else request.eta
        job = Job(
            id=request.id or str(uuid.uuid4()), task=task.name, qualname=task.qualname, by=by,
            queue=request.queue or "default", args=list(request.args), kwargs=dict(request.kwargs),
            state=SCHEDULED if eta else QUEUED, priority=request.priority or 0.0,
            attempt=0, crashes=0, enqueued_at=now, eta=eta,
            retries_left=task.options.get("retries", 0) if request.retries is None else request.retries,
            expires_at=now + request.expires_s if request.expires_s else None, context=dict(request.context),
        )  # fmt: skip
        self.all[job.id] = job
        if request.unique:
            self.unique[request.unique] = job.id
        return job

    def job(self, job_id: str, bounds: Any = None) -> Job:
        self._reach()
        if job_id not in self.all:
            raise UnknownJob(job_id)
        return self.all[job_id]

    def jobs(
        self, state: str | None = None, task: str | None = None, q: str | None = None, limit: int = 50,
        cursor: str | None = None, by: str | None = None,
    ) -> Page:  # fmt: skip
        self._reach()
        if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
            raise BadRequest(f"cursor: expected the `next` of another page, found {cursor[:50]!r}")
        qualname = task and self.task(task).qualname
        found = [
            job
            for job in reversed(self.all.values())
            if state in (None, job.state)
            and qualname in (None, job.qualname)
            and (q or "") in job.id + job.task
            and by in (None, job.by)
        ]
        first = int(cursor or 0)
        page = found[first : first + limit]
        return Page(tuple(page), str(first + limit) if first + limit < len(found) else None)

    # verbs on a job

    def cancel(self, job_id: str, was: str | None = None) -> Job:
        job = self.job(job_id)
        if job.state in ENDED or was not in (None, job.state):
            raise StateConflict(job_id, "cancel", job.state)
        return job if job.state == RUNNING else self._set(job_id, state=CANCELED, finished_at=self._clock())

    def forget(self, job_id: str, was: str | None = None) -> None:
        self._reach()
        job = self.job(job_id)
        if job.state not in ENDED or was not in (None, job.state):
            raise StateConflict(job_id, "delete", job.state)
        del self.all[job_id]

    def retry(
        self, job_id: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None,
        edit: Edit | None = None, was: str | None = None,
    ) -> Job:  # fmt: skip
        job = self.job(job_id)
        if (job.state not in ENDED and job.state != RETRYING) or was not in (None, job.state):
            raise StateConflict(job_id, "retry", job.state)
        args, kwargs = job.args if args is None else args, job.kwargs if kwargs is None else kwargs
        if edit is not None:
            args, kwargs = edited(job.qualname, args, kwargs, (list(args), dict(kwargs)), edit)
        self._checked(JobRequest(job.qualname, args, kwargs))
        return self._set(job_id, state=QUEUED, args=list(args), kwargs=dict(kwargs), finished_at=None, error=None)

    def again(self, job_id: str, by: str | None = None) -> EnqueueAnswer:
        job = self.job(job_id)
        request = JobRequest(
            job.qualname, job.args, job.kwargs, priority=job.priority, queue=job.queue, context=job.context
        )
        return self.enqueue((request,), by=by)

    # tasks, queues, workers

    def task(self, name: str) -> TaskInfo:
        found = [task for task in self.tasks() if name in (task.name, task.qualname)]
        if not found:
            raise UnknownTask(name, [task.name for task in self.registered.values()])
        if len(found) > 1:
            raise AmbiguousTask(name, [task.qualname for task in found])
        return found[0]

    def pause_task(self, name: str) -> None:
        self.paused.add(self.task(name).qualname)

    def resume_task(self, name: str) -> None:
        self.paused.discard(self.task(name).qualname)

    def queues(self) -> list[QueueInfo]:
        self._reach()
        names = {job.queue for job in self.all.values()} | {"default"} | self._paused_queues()
        return [QueueInfo(name, self._pending(name), None, f"queue:{name}" in self.paused) for name in sorted(names)]

    def pause_queue(self, name: str) -> None:
        self._reach()
        self.paused.add(f"queue:{name}")

    def resume_queue(self, name: str) -> None:
        self._reach()
        self.paused.discard(f"queue:{name}")

    def quiet(self, worker_id: str) -> None:
        self._ask(worker_id, "quiet")

    def stop(self, worker_id: str) -> None:
        self._ask(worker_id, "stop")

    # the whole

    def counts(self) -> Counts:
        self._reach()
        states = [job.state for job in self.all.values()]
        waiting = [job.enqueued_at for job in self.all.values() if job.state == QUEUED]
        scheduled, queued, running, retrying = map(states.count, (SCHEDULED, QUEUED, RUNNING, RETRYING))
        return Counts(scheduled, queued, running, retrying, 0, min(waiting, default=None), len(states))

    def health(self) -> Health:
        problems = (*self.problems, *([str(self.away)] if self.away else []))
        return Health(not problems, problems, self.warnings, usable=self.away is None)

    def _reach(self) -> None:
        if self.away:
            raise self.away

    def _pending(self, queue: str | None = None) -> int:
        return sum(job.state in (SCHEDULED, QUEUED) and queue in (None, job.queue) for job in self.all.values())

    def _paused_queues(self) -> set[str]:
        return {name.partition(":")[2] for name in self.paused if name.startswith("queue:")}


def storage_away(stored: bool | None = False) -> StorageUnavailable:
    """The error of a storage that is away."""
    return StorageUnavailable("the storage is locked by another process", stored)
