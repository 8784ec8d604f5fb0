"""The exceptions of the engine. Each class stands for one cause and builds its own one-sentence message.

`DueyError` is the root. `BadRequest` and below: errors that the caller can correct. `StorageUnavailable` and below:
errors that an operator must correct. `JobError` and below: reasons for which a job ended, other than an exception of
its body. `UnserializableError`, `UndecodableError` and below: values that cannot be encoded for the storage or decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class DueyError(Exception):
    """Root of all errors that the engine raises deliberately."""


class BadRequest(DueyError):
    """The request is invalid. Nothing was stored and nothing will run."""


@dataclass(frozen=True)
class FieldError:
    """One refused field: its `path`, such as `args[0]` or `kwargs.to`, and a sentence that says why."""

    path: str
    message: str


class InvalidArguments(BadRequest):
    """The arguments do not match the task's signature or type hints. Lists each bad argument."""

    def __init__(self, task: str, errors: Sequence[FieldError]):
        self.task, self.errors = task, tuple(errors)
        super().__init__(f"{task}: " + "; ".join(f"{e.path}: {e.message}" for e in self.errors))


class UnknownTask(BadRequest):
    """No registered task has this name."""

    def __init__(self, name: str, known: Sequence[str]):
        self.name = name
        self.nearest = get_close_matches(name[:200], known, n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(self.nearest)}?" if self.nearest else ""
        super().__init__(f"no task is named {name[:200]!r}{hint}")


class InternalTask(BadRequest):
    """The task is internal: only the service itself may create jobs of it."""

    def __init__(self, name: str):
        super().__init__(f"jobs of {name[:200]} are created by the service only, when a job of its task has failed")


class AmbiguousTask(BadRequest):
    """Several modules have a task with this short name."""

    def __init__(self, name: str, qualnames: Sequence[str]):
        self.name, self.qualnames = name, tuple(qualnames)
        super().__init__(f"the name {name[:200]!r} is shared by {' and '.join(qualnames)}: use the full name")


class ScriptTask(BadRequest):
    """The task is defined in the script that was started, so workers know it by another name."""

    def __init__(self, name: str):
        found = f"the task {name!r} is defined in the script that was started, where no consumer finds it"
        super().__init__(f"{found}: put it into a module that [tasks] modules names, and import it from there")


class UnknownJob(BadRequest):
    """No job with this id is in the storage."""

    def __init__(self, job_id: str):
        super().__init__(f"no job has the id {job_id[:100]!r}")


class UnknownWorker(BadRequest):
    """No worker process has this id."""

    def __init__(self, worker_id: str):
        super().__init__(f"no worker has the id {worker_id[:100]!r}")


class UnknownSchedule(BadRequest):
    """No schedule has this name."""

    def __init__(self, name: str, known: Sequence[str]):
        self.name = name
        self.nearest = get_close_matches(name[:200], known, n=3, cutoff=0.5)
        hint = f"; did you mean {', '.join(self.nearest)}?" if self.nearest else ""
        super().__init__(f"no schedule is named {name[:200]!r}{hint}")


class BadSchedule(BadRequest):
    """A field of a schedule is invalid. `field` is "" when the schedule as a whole is invalid."""

    def __init__(self, field: str, message: str):
        self.field, self.message = field, message
        super().__init__(f"{field}: {message}" if field else message)


class Conflict(DueyError):
    """The state of a job or a key does not allow the request. Nothing was changed."""


class StateConflict(Conflict):
    """The operation is not allowed in the job's present state."""

    def __init__(self, job_id: str, verb: str, state: str):
        self.job_id, self.verb, self.state = job_id, verb, state
        super().__init__(f"cannot {verb} job {job_id}: it is {state}; nothing was changed")


class DuplicateJob(Conflict):
    """A job with this id has already ended. The id cannot be used again."""

    def __init__(self, job_id: str, state: str):
        self.job_id, self.state = job_id, state
        super().__init__(f"a job with the id {job_id} has already ended as {state}: use a new id or retry it")


class UniqueConflict(Conflict):
    """Another job holds the unique key, and the task refuses duplicates."""

    def __init__(self, key: str, holder: str):
        self.key, self.holder = key, holder
        super().__init__(f"the unique key {key[:200]!r} is held by job {holder}")


class KeyReused(Conflict):
    """An idempotency key was used again with a different body."""

    def __init__(self, key: str):
        super().__init__(f"the Idempotency-Key {key[:100]!r} was used with another request within 24 hours")


class ScheduleExists(Conflict):
    """A schedule with this name already exists."""

    def __init__(self, name: str):
        super().__init__(f"a schedule named {name!r} exists: change it, or choose another name")


class ScheduleOfCode(Conflict):
    """The schedule is defined in code: it can only be run, paused and resumed."""

    def __init__(self, name: str, verb: str):
        super().__init__(f"schedule {name!r} is written in the code and cannot be {verb} here: edit its decorator")


class ScheduleChanged(Conflict):
    """The schedule was changed after the request was prepared."""

    def __init__(self, name: str):
        super().__init__(f"schedule {name!r} was changed or run meanwhile, nothing was done: reload it, then repeat")


class BrokenSchedule(Conflict):
    """The schedule cannot be computed, or its task cannot be called. Other schedules are not affected."""


class TooManyPending(DueyError):
    """`[tasks] max_pending` is reached. Nothing was stored."""

    def __init__(self, limit: int, retry_after_s: float = 5.0):
        self.limit, self.retry_after_s = limit, retry_after_s
        super().__init__(f"the queue holds its limit of {limit} waiting jobs: try again in {retry_after_s:g} s")


class StorageUnavailable(DueyError):
    """The queue's storage cannot be used now. `stored` is False when nothing can have been stored."""

    retry_after_s = 2.0

    def __init__(self, sentence: str, stored: bool | None = False):
        self.stored = stored
        super().__init__(sentence)


class StorageBusy(StorageUnavailable):
    """Another process held the write lock for longer than the busy time-out."""


class StorageFull(StorageUnavailable):
    """The disk or Redis is full."""


class StorageReadOnly(StorageUnavailable):
    """The file or its folder is not writable."""


class StorageCorrupt(StorageUnavailable):
    """The file is not a valid SQLite database."""


class SchemaMismatch(StorageUnavailable):
    """The storage was written by a newer or an unknown version."""


class Misconfigured(DueyError):
    """A setting, a task file or a storage policy must be corrected before the service can start."""


class JobError(DueyError):
    """A failure that the engine itself records for a job."""

    after_body = "; its body had ended, so its work may be done"


class WorkerDied(JobError):
    """The process that handled the job died `deaths` times. The last time, its body may already have ended."""

    def __init__(self, deaths: int, host: str, pid: int, once: bool = False, after: bool = False, what: str = "worker"):
        self.crashes, self.host, self.pid = deaths, host, pid
        how = f"its {what} died" + ("" if once else f" {deaths} times")
        super().__init__(f"{how}, last on {host} as pid {pid}" + (self.after_body if after else ""))


class StoppedWhileItRan(JobError):
    """A forced stop ended the job, which must not run twice. Its body may already have ended."""

    def __init__(self, after_body: bool = False):
        super().__init__("stopped while it ran" + (self.after_body if after_body else ""))


class TaskUnknown(JobError):
    """No consumer has had the job's task, or the classes of its arguments, for 24 hours."""

    def __init__(self, task: str):
        what = f"the task {task!r}, or the classes of its arguments, for 24 h"
        super().__init__(f"no consumer knew {what}: deploy them, then retry this job")


class PayloadUndecodable(JobError):
    """The stored payload cannot be decoded."""


class TaskExit(JobError):
    """The body raised SystemExit, KeyboardInterrupt, CancelledError or another BaseException."""

    def __init__(self, kind: str, message: str):
        self.kind = kind
        super().__init__(f"the task raised {kind}" + (f": {message}" if message else ""))


class ResultUnfit(JobError):
    """The body has ended, but its result cannot be passed to the next step of its pipeline."""

    def __init__(self, step: str, why: Exception):
        super().__init__(f"its body has ended, but its result cannot be handed to the next step, {step}: {why}")


class StepNotReached(JobError):
    """The pipeline ended before this step, because an earlier step was canceled or expired."""

    def __init__(self, job_id: str, state: str):
        super().__init__(f"job {job_id}, a step before this one, ended as {state}: this step does not run")


class ClaimLost(JobError):
    """The claim was lost: another worker now holds the job, so this worker wrote nothing."""


class UnserializableError(BadRequest, TypeError):
    """A value that cannot be encoded. `path` locates it, such as `args[0].items["x"]`; `problem` says why."""

    def __init__(self, path: str, problem: str):
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


class TooDeepError(UnserializableError):
    """The value is nested too deeply or contains itself."""


class UndecodableError(DueyError, ValueError):
    """Stored bytes that cannot be decoded. Nothing in them was imported or executed."""


class PayloadTooLarge(UndecodableError):
    """Stored bytes that are larger than `max_bytes`. They are refused before decoding."""


class TypeMisfit(UndecodableError):
    """A registered class differs from the one that wrote the value: the writer ran an older or a newer version."""


class UnregisteredTypeError(TypeMisfit):
    """The stored value is an enum, dataclass or namedtuple that is not registered in this process."""

    def __init__(self, name: str):
        self.name = name
        remedy = "put @register_type above its class and import its module"
        super().__init__(f"the stored type {name[:200]!r} is not registered here: {remedy}")


class SignatureError(UndecodableError):
    """The signature of stored bytes is missing, unexpected or wrong: edited, copied, or made with another secret."""
