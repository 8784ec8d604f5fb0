"""The operations that API, monitor and command line share.

`Control` checks a request (is the task known, do the arguments fit), passes it to the storage in one transaction, and
returns frozen values of duey.model.job. Operations on a job can be conditional on the state that the caller saw. Raises
errors of duey.errors: BadRequest, Conflict, TooManyPending, StorageUnavailable and their subclasses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from huey.api import Task

from duey import clock, errors
from duey.control.call import MAX_PROBLEMS, bind, call_schema
from duey.control.edit import FROM_MEMBERS, edited
from duey.control.health import Stranded, health, stranded
from duey.control.job_views import JobViews
from duey.control.schedules import ScheduleService
from duey.execution.huey import DurableHuey
from duey.model.job import (
    ENDED,
    Counts,
    Edit,
    EnqueueAnswer,
    Health,
    Idempotency,
    Job,
    JobRecord,
    JobRequest,
    Page,
    QueueInfo,
    TaskInfo,
    WorkerInfo,
)  # fmt: skip
from duey.payload.plain import ASKED, IN_LIST, JOB, Bounds
from duey.payload.serializer import of_job
from duey.scheduling.timetable import LONGEST_S
from duey.storage.values import StoredJob
from duey.tasks import registry
from duey.tasks.call_options import context_text
from duey.tasks.runbook import runbook_of

LIST_MAX = 500


class Control:
    """The operations on one `huey`."""

    def __init__(self, huey: DurableHuey) -> None:
        self.huey = huey
        self.storage = huey.storage
        self.known = registry.KnownTasks(huey)
        self.schedules = ScheduleService(huey, self.known)
        self._views = JobViews(huey, self.known)

    # enqueuing and reading

    def enqueue(
        self, requests: Sequence[JobRequest], idempotency: Idempotency | None = None, batch: bool = False,
        by: str | None = None,
    ) -> EnqueueAnswer:  # fmt: skip
        """Accept all requests in one transaction, or none. `by`: who asks. Errors in a batch have paths like
        `[3].args[0]`."""
        jobs = self._new_jobs(requests, batch or len(requests) != 1, by)
        acceptance = self.huey.lifecycle.enqueue_jobs(jobs, idempotency, self.huey.settings.tasks.max_pending)
        fresh = {job.id: (job, request) for job, request in zip(jobs, requests, strict=True)}
        shown = []
        for accepted in acceptance.accepted:
            if accepted.fresh:
                shown.append(self._views.just_enqueued(*fresh[accepted.id]))
            else:
                shown.append(self.job(accepted.id, IN_LIST if batch else ASKED))
        held = not acceptance.replayed and not all(a.fresh for a in acceptance.accepted)
        return EnqueueAnswer(tuple(shown), acceptance.replayed, held)

    def _new_jobs(self, requests: Sequence[JobRequest], batch: bool, by: str | None) -> list[JobRecord]:
        jobs: list[JobRecord] = []
        refused: list[errors.FieldError] = []
        for i, request in enumerate(requests):
            try:
                jobs.append(self.huey.new_job(self._task(request), by=by))
            except errors.InvalidArguments as exc:
                if not batch:
                    raise
                refused += [errors.FieldError(f"[{i}].{e.path}", e.message) for e in exc.errors]
            except errors.UnserializableError as exc:
                if not batch:
                    raise
                refused.append(errors.FieldError(f"[{i}].{exc.path}", exc.problem))
            if len(refused) >= MAX_PROBLEMS:
                break
        if refused:
            raise errors.InvalidArguments("batch", refused)
        return jobs

    def _task(self, request: JobRequest) -> Task:
        """The Huey task for a request, with checked and converted arguments."""
        cls = self.known.find(request.task)
        args, kwargs = bind(self.known.signature(cls), request.args, request.kwargs)
        now = clock.now()
        eta = request.eta if request.delay_s is None else now + request.delay_s
        if eta is not None and not 0 <= eta <= now + LONGEST_S:  # also NaN
            path, found = ("eta", request.eta) if request.delay_s is None else ("delay", request.delay_s)
            problem = f"expected a time since 1970 and within ten years from now, found {found!r} s"
            raise errors.InvalidArguments(request.task, [errors.FieldError(path, problem)])
        # Created here, because Huey's wrapper would take arguments named id, eta, delay, retries ... as options.
        task = cls(
            args, kwargs, id=request.id, eta=None if eta is None else clock.naive_utc(eta), retries=request.retries,
            priority=request.priority, expires=request.expires_s,
        )  # fmt: skip
        if request.queue is not None:
            task.queue = request.queue
        if request.unique is not None:
            task.unique_value = f"{cls.key_name}:{request.unique}"
        if request.context:
            task.job_context = context_text(request.context)
        return task

    def job(self, job_id: str, bounds: tuple[Bounds, Bounds] = ASKED) -> Job:
        """One job, with arguments and result within `bounds`. An ended job is known until `result_ttl_s` has passed.
        Raises UnknownJob."""
        return self._views.shown(self._stored(job_id), bounds)

    def jobs_of(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Those of these jobs that the queue knows, by id, with long values truncated."""
        with self.storage.read_ahead(*(partial(self.storage.get_job, each) for each in job_ids)):
            found = [stored for each in job_ids if (stored := self.storage.get_job(each)) is not None]
        return {job.id: job for job in self._views.all_shown(found, IN_LIST)}

    def _stored(self, job_id: str) -> StoredJob:
        if (stored := self.storage.get_job(job_id)) is None:
            raise errors.UnknownJob(job_id)
        return stored

    def wait(self, job_id: str, timeout_s: float) -> Job:
        """Like `job`, but waits until the job has ended, at most `timeout_s`."""
        if (job := self.job(job_id)).state not in ENDED and timeout_s > 0:
            self.storage.wait_ended(job_id, timeout_s)
            job = self.job(job_id)
        return job

    def jobs(
        self, state: str | None = None, task: str | None = None, q: str | None = None, limit: int = 50,
        cursor: str | None = None, by: str | None = None,
    ) -> Page:  # fmt: skip
        """A page of jobs, the newest first, at most `limit` (1 to 500), with long values truncated. `q`: id, or a part
        of the task's name. `by`: who enqueued it. Raises BadRequest for a bad cursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise errors.BadRequest("the cursor is not valid: start again without one")
        names = None if task is None else self.known.names(task)
        limit = max(1, min(LIST_MAX, limit))
        found = self.storage.list_jobs(state, names, q, limit + 1, None if cursor is None else int(cursor), by)
        more = str(found[limit - 1].job.seq) if len(found) > limit else None
        return Page(self._views.all_shown(found[:limit], IN_LIST), more)

    # operations on a job

    # `was`: the state that the caller saw. If the job is in another one, nothing changes, and StateConflict is raised.

    def cancel(self, job_id: str, was: str | None = None) -> Job:
        """End a waiting job as canceled, or ask a running one to stop. Raises UnknownJob, StateConflict."""
        self.huey.lifecycle.cancel(job_id, was)
        return self.job(job_id)

    def retry(
        self, job_id: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None,
        edit: Edit | None = None, was: str | None = None,
    ) -> Job:  # fmt: skip
        """Run an ended or retrying job again under the same id: unchanged, with all `args` or `kwargs` replaced, or
        with single arguments changed by `edit`."""
        self.requeue(job_id, args, kwargs, edit, was)
        return self.job(job_id)

    def run_now(self, job_id: str) -> None:
        """Run a scheduled job without waiting for its time. Raises UnknownJob, StateConflict."""
        self.storage.retry(job_id, None, None)

    def requeue(
        self, job_id: str, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None,
        edit: Edit | None = None, was: str | None = None,
    ) -> None:  # fmt: skip
        """Like `retry`, but the job is not read again to be shown."""
        stored = self._stored(job_id).job
        cls = self.known.find(stored.task, internal=True)
        payload = None
        if args is not None or kwargs is not None or edit is not None:
            if registry.is_internal(cls):
                raise errors.InternalTask(stored.task)  # the arguments of an on_failed handler must not be changed
            if stored.chord is not None:
                raise errors.InvalidArguments(stored.task, [FROM_MEMBERS])
            task = self.huey.deserialize_task(stored.payload, of_job(stored))
            old = task.args if args is None else args, task.kwargs if kwargs is None else kwargs
            if edit is not None:
                shown = partial(self.huey.display.shown_call, stored, JOB)
                old = edited(stored.task, task.args, task.kwargs, shown, edit)
            task.args, task.kwargs = bind(self.known.signature(cls), *old)
            payload = self.huey.serialize_task(task, of_job(stored))
        self.storage.retry(job_id, payload, cls.default_retries, was)

    def again(self, job_id: str, by: str | None = None) -> EnqueueAnswer:
        """Enqueue a new job with the stored arguments, queue, priority and context of another one. Raises UnknownJob if
        that is not stored any more, otherwise like enqueuing."""
        stored = self._stored(job_id).job
        cls = self.known.find(stored.task, internal=True)  # internal ones are refused by new_job
        old = self.huey.deserialize_task(stored.payload, of_job(stored))
        members = self.huey.results_of_members(stored, self.huey.serializer.deserialize)
        task = cls((*old.args, *members), old.kwargs, priority=stored.priority)
        task.queue, task.job_context = stored.queue, stored.context
        most = self.huey.settings.tasks.max_pending
        (made,) = self.huey.lifecycle.enqueue_jobs([self.huey.new_job(task, by=by)], None, most).accepted
        return EnqueueAnswer((self.job(made.id),), held=not made.fresh)

    def forget(self, job_id: str, was: str | None = None) -> None:
        """Remove an ended job. Raises UnknownJob, StateConflict."""
        self.storage.forget(job_id, was)

    # tasks, queues, workers

    def tasks(self, schemas: bool = False) -> list[TaskInfo]:
        """The registered tasks, by name, without the internal ones; `schemas`: with those of their parameters."""
        paused = {name for kind, name in self.storage.pauses() if kind == "task"}
        return [self._info(cls, paused, schemas) for cls in self.known.all()]

    def task(self, name: str) -> TaskInfo:
        """One task by short or full name, internal ones too, with the schemas of its parameters. Raises UnknownTask,
        AmbiguousTask."""
        paused = {name for kind, name in self.storage.pauses() if kind == "task"}
        return self._info(self.known.find(name, internal=True), paused, True)

    def runbook(self, name: str) -> str:
        """The section `When it fails:` of a task's docstring; '' if it has none or is not known."""
        try:
            return runbook_of(self.known.find(name, internal=True).__doc__)
        except errors.BadRequest:
            return ""

    def _info(self, cls: type[Task], paused: set[str], schemas: bool) -> TaskInfo:
        info = self.known.info(cls, paused)
        return replace(info, parameters=call_schema(self.known.signature(cls)).parameters) if schemas else info

    def pause_task(self, name: str) -> None:
        """Pause a task: no further job of it starts until it is resumed."""
        for each in self.known.names(name):
            self.storage.pause("task", each)

    def resume_task(self, name: str) -> None:
        """Resume: waiting jobs can start again."""
        for each in reversed(self.known.names(name)):
            self.storage.resume("task", each)

    def queues(self) -> list[QueueInfo]:
        """Every queue that has waiting jobs or is paused."""
        return self.storage.queue_infos()

    def pause_queue(self, name: str) -> None:
        """Pause a queue: no further job of it starts until it is resumed."""
        self.storage.pause("queue", name)

    def resume_queue(self, name: str) -> None:
        """Resume: waiting jobs can start again."""
        self.storage.resume("queue", name)

    def workers(self) -> list[WorkerInfo]:
        """The worker processes of all consumers, the oldest first."""
        return self.storage.worker_infos()

    def stranded(self, workers: Sequence[WorkerInfo], queues: Sequence[QueueInfo]) -> list[Stranded]:
        """The jobs that none of these workers will run although some are idle."""
        return stranded(self.storage, workers, queues)

    def quiet(self, worker_id: str) -> None:
        """Ask a worker process to take no more jobs."""
        self._ask(worker_id, "quiet")

    def stop(self, worker_id: str) -> None:
        """Ask a consumer to stop gracefully. The id may be that of any of its worker processes."""
        self._ask(worker_id, "stop")

    def _ask(self, worker_id: str, what: str) -> None:
        known = worker_id.isascii() and worker_id.isdigit() and len(worker_id) < 16
        if not (known and self.storage.signal_worker(int(worker_id), what)):
            raise errors.UnknownWorker(worker_id)

    # the service

    def counts(self) -> Counts:
        """How many jobs are in which state."""
        return self.storage.counts()

    def unrecorded_since(self) -> float | None:
        """When the oldest event happened that is not in the history yet."""
        return next((oldest.at for oldest in self.storage.read_outbox(1)), None)

    def health(self) -> Health:
        """Whether jobs are accepted and will run, with warnings (duey.control.health). Never raises."""
        return health(self.storage, self.schedules, self.huey.settings.schedule.timezone)
