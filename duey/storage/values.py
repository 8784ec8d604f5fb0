"""The values that a storage takes and returns, besides those of duey.model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from duey import errors
from duey.model.job import ENDED, QUEUED, RETRYING, SCHEDULED, Claim, JobRecord
from duey.model.outcome import Outcome
from duey.storage.presence import Slot

TRIES = 20  # attempts at a job that keeps changing


KEY_LIFE_S = 24 * 3600.0  # how long an idempotency key is known


def worker_of(token: int) -> int | None:
    """The number of the worker that had the claim, None if no worker was involved."""
    return token >> 32 if token > 0 else None


def busy(job_id: str) -> errors.StorageBusy:
    """The error for a job that kept changing."""
    return errors.StorageBusy(f"job {job_id} keeps changing: try again")


class EnqueuedJob(NamedTuple):
    """The answer for one enqueued job: its id, or that of the job that it duplicates; `fresh` if it is new."""

    id: str
    fresh: bool


class EnqueueResult(NamedTuple):
    """The answers for all jobs of one call, in order. `replayed`: the idempotency key was known. `must_end`: nothing
    was stored, because these waiting jobs have to end first."""

    accepted: tuple[EnqueuedJob, ...]
    replayed: bool = False
    must_end: tuple[str, ...] = ()


class ClaimResult(NamedTuple):
    """The answer of `settle_and_claim`. `lost`: tokens whose claim was gone; `more`: more jobs are ready."""

    claims: list[Claim]
    lost: frozenset[int]
    more: bool
    next_due: float | None  # when the next job becomes ready
    revocations: bool  # whether any task or job is revoked
    stopping: frozenset[int] = frozenset()  # tokens that were not settled: their jobs were asked to stop


class StoredJob(NamedTuple):
    """A job in its place, as it was read."""

    job: JobRecord
    place: str  # ready, scheduled, blocked, claimed or finished
    state: str  # as it is shown
    reason: str | None  # why it does not run, as KIND NAME
    token: int  # of its claim; 0 if no worker holds it
    worker: int | None
    started_at: float | None
    finished_at: float | None
    result: bytes | None
    stopping: bool
    version: tuple[Any, ...] = ()  # of the storage, to change the job only if it has not changed since

    @property
    def claim(self) -> Claim:
        """For the outcome by which it ends."""
        return Claim(self.token, self.job)

    def as_it_runs(self, slots: Iterable[Slot]) -> StoredJob:
        """A claimed job with the instant at which its body began, from the `slots` of its worker. If no thread handles
        it, it is shown as queued."""
        began = [slot.started_at for slot in slots if slot.token == self.token]
        return self._replace(started_at=began[0] or None) if began else self._replace(started_at=None, state=QUEUED)

    @property
    def waits(self) -> bool:
        """Whether no worker holds it, and it has not ended."""
        return self.place not in ("claimed", "finished")


def called(
    job_id: str, task: str, queue: str, chord: str | None, context: str | None, payload: bytes
) -> JobRecord:  # fmt: skip
    """A job of which only the call is known, and what its payload is signed for."""
    return JobRecord(
        job_id, task, queue, 0.0, 0.0, None, None, 0, 0.0, None, 0, None, None, chord, context, payload
    )  # fmt: skip


def found_as(
    found: StoredJob | None, job_id: str, verb: str, states: Collection[str], was: str | None
) -> StoredJob:  # fmt: skip
    """The job that was found, to be changed by `verb`. Raises UnknownJob if there is none, StateConflict if it is in
    none of these states, or not in `was` if that is given."""
    if found is None:
        raise errors.UnknownJob(job_id)
    if found.state not in states or was not in (None, found.state):
        raise errors.StateConflict(job_id, verb, found.state)
    return found


def found_to_queue(found: StoredJob | None, job_id: str, retries: int | None, was: str | None) -> StoredJob:
    """The job that was found, to be queued again, or (`retries` None) before its time. Raises like `found_as`."""
    verb, states = ("run", (SCHEDULED,)) if retries is None else ("retry", (*ENDED, RETRYING))
    return found_as(found, job_id, verb, states, was)


class EventRow(NamedTuple):
    """An event as it is stored. duey.execution.events makes an Event of it."""

    seq: int
    kind: str
    token: int
    at: float
    started_at: float | None
    attempt: int
    worker: int | None
    detail: str | None  # JSON
    result: bytes | None  # of its job, with DONE
    job: JobRecord | None  # as it is now, its payload only with ENQUEUED, RETRIED and DONE (b"" if it is very large);
    # None: it was removed, or the event belongs to none (JOBLESS)


ALONE = "alone"  # kind of a process that claims jobs without a supervisor, such as a script


class Registration(NamedTuple):
    """What a worker process states when it registers."""

    consumer: str
    host: str
    pid: int
    threads: int
    kind: str  # thread, process or ALONE
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    code: str = ""  # fingerprint of the task modules


class DeadWorker(NamedTuple):
    """A dead worker, and how to treat its claims. `charge`: count its death for the jobs that it handled."""

    worker: int
    host: str
    pid: int
    charge: bool = True
    timed_out: frozenset[int] = frozenset()  # tokens whose body was killed at its time-out: a failed attempt
    stack: str = ""  # where that body stood, as the frames of a traceback
    too_much: str = ""  # how much memory that body used, if it was killed for that and not at its time-out
    asks: bool = True  # whether back-off functions of authors may be called for them
    tree: bool = False  # its whole consumer died
    company: int = 0  # number of jobs that were handled by all workers that died together, as far as known
    marks: Mapping[int, Slot] = MappingProxyType({})  # what its threads handled, by token; the storage adds it
    overdue: bool = False  # its lease has expired; nothing happens if it was renewed
    how: str = ""  # by SIGKILL, with exit code 1; "" if nobody saw it

    def handled(self, slots: Iterable[Slot]) -> DeadWorker:
        """A copy with the jobs that its threads handled."""
        return self._replace(marks={slot.token: slot for slot in slots})


class Fate(NamedTuple):
    """What happens to one claim.

    Without an outcome the job goes back to the queue, with an event if `kind` is set.
    """

    outcome: Outcome | None = None
    crashes: int | None = None  # the new count, if the death is charged
    tree_deaths: int | None = None  # the new count, if the whole consumer died
    kind: str | None = None
    detail: str | None = None


End = tuple[StoredJob, Outcome]  # a waiting job, and how it ends


class Released(Enum):
    """What became of the attempt to release the claims of a dead worker."""

    DONE = "done"
    CHANGED = "changed"  # it has other claims, or other jobs were asked to stop, than when they were read
    GONE = "gone"  # another rescuer was first, or the worker has renewed its lease


class Orphans(NamedTuple):
    """The claims of a dead worker, each with whether its job was asked to stop. `dead`: completed from what was
    stored."""

    dead: DeadWorker
    claims: list[tuple[Claim, bool]]
