"""The tree of named errors of the engine: each is named by its cause and composes its own sentence.

`DueyError` is the root. What a caller can mend (`BadRequest` and below) is told apart from what an
operator must mend (`StorageUnavailable` and below) and from what ended a job (`JobError` and below).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class DueyError(Exception):
    """Root of every error that the engine raises on purpose."""


# What the caller asked for cannot be done as asked; nothing was stored.


class BadRequest(DueyError):
    """The request cannot be accepted as it stands; nothing was stored and nothing will run."""


@dataclass(frozen=True)
class FieldError:
    """One refused field: `path` as in `args[0]` or `kwargs.to`, and a sentence."""

    path: str
    message: str


class InvalidArguments(BadRequest):
    """Arguments that the task's signature or type hints refuse, each named."""

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
    """The service itself makes the jobs of this task."""

    def __init__(self, name: str):
        super().__init__(f"jobs of {name[:200]} are made by the service alone, when a job of its task has failed")


class AmbiguousTask(BadRequest):
    """The short name is shared by several modules."""

    def __init__(self, name: str, qualnames: Sequence[str]):
        self.name, self.qualnames = name, tuple(qualnames)
        super().__init__(f"the name {name[:200]!r} is shared by {' and '.join(qualnames)}: use the full name")


class ScriptTask(BadRequest):
    """The task belongs to the script that was started, and has another name wherever jobs run."""

    def __init__(self, name: str):
        super().__init__(
            f"the task {name!r} is defined in the script that was started, where no consumer finds it: put it into a "
            "module that [tasks] modules names, and import it from there"
        )


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
    """One field of a schedule makes no sense; `field` is "" where it is the whole."""

    def __init__(self, field: str, message: str):
        self.field, self.message = field, message
        super().__init__(f"{field}: {message}" if field else message)


class Conflict(DueyError):
    """The state of a job (or a key) does not allow what was asked; nothing was changed."""


class StateConflict(Conflict):
    """A verb met a job whose state does not allow it."""

    def __init__(self, job_id: str, verb: str, state: str):
        self.job_id, self.verb, self.state = job_id, verb, state
        super().__init__(f"cannot {verb} job {job_id}: it is {state}; nothing was changed")


class DuplicateJob(Conflict):
    """A job with this id has already ended, so the id cannot be deferred again."""

    def __init__(self, job_id: str, state: str):
        self.job_id, self.state = job_id, state
        super().__init__(f"a job with the id {job_id} has already ended as {state}: use a new id or retry it")


class UniqueConflict(Conflict):
    """The unique key is held by another job and the task refuses duplicates."""

    def __init__(self, key: str, holder: str):
        self.key, self.holder = key, holder
        super().__init__(f"the unique key {key[:200]!r} is held by job {holder}")


class KeyReused(Conflict):
    """An idempotency key came again with another body."""

    def __init__(self, key: str):
        super().__init__(f"the Idempotency-Key {key[:100]!r} was used with another request within 24 hours")


class ScheduleExists(Conflict):
    """The name of a schedule is taken."""

    def __init__(self, name: str):
        super().__init__(f"a schedule named {name!r} exists: change it, or choose another name")


class ScheduleOfCode(Conflict):
    """A schedule of the code can be paused and run, and nothing else."""

    def __init__(self, name: str, verb: str):
        super().__init__(f"schedule {name!r} is written in the code and cannot be {verb} here: edit its decorator")


class ScheduleChanged(Conflict):
    """A schedule is no longer as it was when the request was decided."""

    def __init__(self, name: str):
        super().__init__(f"schedule {name!r} was changed in the meantime, or run, and nothing was done: look again")


class BrokenSchedule(Conflict):
    """A schedule that cannot be computed or called as it stands; the others go on."""


class SlotTaken(ScheduleChanged):
    """A slot that did not run was run by somebody else in the meantime."""


class TooManyPending(DueyError):
    """`[tasks] max_pending` is reached; nothing was stored."""

    def __init__(self, limit: int, retry_after_s: float = 5.0):
        self.limit, self.retry_after_s = limit, retry_after_s
        super().__init__(f"the queue holds its limit of {limit} waiting jobs: try again in {retry_after_s:g} s")


# The storage is away; a defer that meets these was stored or not, and says which.


class StorageUnavailable(DueyError):
    """The queue's storage cannot be used now. `stored` is False when nothing can have been stored."""

    retry_after_s = 2.0

    def __init__(self, sentence: str, stored: bool | None = False):
        self.stored = stored
        super().__init__(sentence)


class StorageBusy(StorageUnavailable):
    """Another process holds the write lock past the busy time-out."""


class StorageFull(StorageUnavailable):
    """The disk (or Redis) has no room."""


class StorageReadOnly(StorageUnavailable):
    """The file or its folder cannot be written."""


class StorageCorrupt(StorageUnavailable):
    """The file is no sound SQLite database."""


class SchemaMismatch(StorageUnavailable):
    """The storage was written by a newer (or an unknown) version."""


class Misconfigured(DueyError):
    """Something that must be mended before the start: a setting, a task file, a storage policy."""


# What ended a job (or an attempt) other than an exception of its own body.


class JobError(DueyError):
    """A cause of death that the engine itself writes into a job."""


AFTER_BODY = "; its body had ended, so its work may be done"


class WorkerDied(JobError):
    """The process that handled the job died `deaths` times, the last time perhaps after its body had ended."""

    def __init__(self, deaths: int, host: str, pid: int, once: bool = False, after: bool = False, what: str = "worker"):
        self.crashes, self.host, self.pid = deaths, host, pid
        how = f"its {what} died" + ("" if once else f" {deaths} times")
        super().__init__(f"{how}, last on {host} as pid {pid}" + (AFTER_BODY if after else ""))


class StoppedWhileItRan(JobError):
    """A stop that was forced cut off a job that must not run twice, perhaps after its body had ended."""

    def __init__(self, after_body: bool = False):
        super().__init__("stopped while it ran" + (AFTER_BODY if after_body else ""))


class TaskUnknown(JobError):
    """No consumer has known the job's task for a day."""

    def __init__(self, task: str):
        what = f"the task {task!r}, or the classes of its arguments, for 24 h"
        super().__init__(f"no consumer has known {what}: deploy them, then retry this job")


class PayloadUndecodable(JobError):
    """The stored payload cannot be read."""


class TaskExit(JobError):
    """The body raised SystemExit, KeyboardInterrupt, CancelledError or another BaseException."""

    def __init__(self, kind: str, message: str):
        self.kind = kind
        super().__init__(f"the task raised {kind}" + (f": {message}" if message else ""))


class ResultUnfit(JobError):
    """The body has ended, and what it returned cannot be handed to the next step of its pipeline."""

    def __init__(self, step: str, why: Exception):
        super().__init__(f"its body has ended, but its result cannot be handed to the next step, {step}: {why}")


class StepNotReached(JobError):
    """A pipeline ended before this step, as the step before it was canceled or expired."""

    def __init__(self, job_id: str, state: str):
        super().__init__(f"job {job_id}, a step before this one, ended as {state}: this step does not run")


class ClaimLost(JobError):
    """The claim is gone: another worker holds the job now, so this one wrote nothing."""


# What cannot be written to the storage, or read back from it.


class UnserializableError(BadRequest, TypeError):
    """A value that cannot be carried: `path` says which, as in `args[0].items["x"]`, `problem` says why."""

    def __init__(self, path: str, problem: str):
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


class TooDeepError(UnserializableError):
    """Nested past the limit, or a value that contains itself."""


class UndecodableError(DueyError, ValueError):
    """Stored bytes that cannot be read back; nothing in them was imported or executed."""


class PayloadTooLarge(UndecodableError):
    """Stored bytes above `max_bytes`, refused before they are looked at."""


class TypeMisfit(UndecodableError):
    """A registered class is no longer as it was when the value was stored: a deploy changed it, or will."""


class UnregisteredTypeError(TypeMisfit):
    """The store names an enum, dataclass or namedtuple that nobody has registered here."""

    def __init__(self, name: str):
        self.name = name
        super().__init__(
            f"the stored type {name[:200]!r} is not registered here: "
            "put @register_type above its class and import its module"
        )


class SignatureError(UndecodableError):
    """Stored bytes whose signature is missing, unexpected or wrong: edited, copied, or of another secret."""
