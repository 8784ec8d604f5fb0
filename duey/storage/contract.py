"""The contract of a storage, implemented on SQLite and on Redis.

A job is accepted (`enqueue_jobs`), then claimed and settled (`settle_and_claim`). It is always in exactly one
place. Every method that changes something is one transaction: if a process dies at any line, all of it happened or
nothing. Huey's own storage interface (duey.storage.huey_adapter) is implemented as well, for its locks and results.

Every method raises StorageUnavailable or a subclass if the storage cannot be used. Nothing was changed then, unless
the `stored` of the error is None, which means that it is not known.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from duey.model.event import Event
from duey.model.job import Claim, Counts, Idempotency, NewJob, QueueInfo, Settlement, WorkerInfo
from duey.model.limits import Limit
from duey.model.schedule import ScheduleStore
from duey.storage.deaths import DeadWorker
from duey.storage.huey_adapter import HueyStorage
from duey.storage.presence import Slot


class EnqueuedJob(NamedTuple):
    """The answer for one enqueued job: its id, or that of the job that it duplicates; `fresh` if it is new."""

    id: str
    fresh: bool


class EnqueueResult(NamedTuple):
    """The answers for all jobs of one call, in order. `replayed`: the idempotency key was known."""

    accepted: tuple[EnqueuedJob, ...]
    replayed: bool


class ClaimResult(NamedTuple):
    """The answer of `settle_and_claim`. `lost`: tokens whose claim was gone; `more`: more jobs are ready."""

    claims: list[Claim]
    lost: frozenset[int]
    more: bool
    next_due: float | None  # when the next job becomes ready
    revocations: bool  # whether any task or job is revoked


class StoredJob(NamedTuple):
    """A job as it is stored, unredacted. `place` is ready, scheduled, blocked, claimed or finished."""

    seq: int
    id: str
    task: str
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    expires_at: float | None
    attempt: int
    crashes: int
    retries: int
    context: str | None
    chord: str | None
    parent: str | None
    by: str | None
    payload: bytes
    place: str
    state: str  # as it is shown
    reason: str | None
    worker: int | None
    started_at: float | None
    finished_at: float | None
    result: bytes | None
    stopping: bool


class EventRow(NamedTuple):
    """An event as it is stored, joined with its job's row. `compose.event` makes an Event of it."""

    seq: int
    kind: str
    token: int
    at: float
    started_at: float | None
    attempt: int
    worker: int | None
    detail: str | None  # JSON
    job_id: str
    task: str
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    expires_at: float | None
    retries: int
    parent: str | None
    by: str | None
    context: str | None  # JSON
    chord: str | None
    payload: bytes | None  # with ENQUEUED, RETRIED and DONE; b"" if it is very large
    result: bytes | None  # with DONE

    @property
    def id(self) -> str:
        """The id of its job."""
        return self.job_id


class Registration(NamedTuple):
    """What a worker process states when it registers."""

    consumer: str
    host: str
    pid: int
    threads: int
    kind: str  # thread or process
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    code: str = ""  # fingerprint of the task modules


class JobStorage(HueyStorage):
    """The contract. The tests in `tests/contracts/` run against every implementation."""

    backend = ""
    schedule_store: ScheduleStore  # schedules and their slots; set by the subclass
    limits: Mapping[str, Limit] = MappingProxyType({})  # of the tasks that this process knows; set by DurableHuey
    compose: Any = None  # creates stored bytes and display values; set by DurableHuey, which has the serializer

    # preparation

    @abstractmethod
    def prepare(self) -> list[str]:
        """Create or migrate tables and check that they can be used. Returns warnings, one sentence each."""

    @abstractmethod
    def warnings(self) -> list[str]:
        """What an admin should know about this storage, one sentence each."""

    # accepting jobs

    @abstractmethod
    def enqueue_jobs(
        self, jobs: Sequence[NewJob], idempotency: Idempotency | None = None, max_pending: int = 0,
    ) -> EnqueueResult:  # fmt: skip
        """Store all jobs durably, or none. A job whose id belongs to an unfinished job is not stored again. A job whose
        unique key is held is answered with the holder. Raises DuplicateJob if the id belongs to a job that has ended,
        KeyReused if the idempotency key came with other jobs, TooManyPending above `max_pending` (0: no limit),
        UniqueConflict if a task asks for that."""

    # running jobs

    @abstractmethod
    def register(self, registration: Registration) -> Any:
        """Register this process as a worker. Returns its presence (duey.storage.presence)."""

    @abstractmethod
    def settle_and_claim(
        self, worker: int, settlements: Sequence[Settlement], want: int, queues: Sequence[str], notified: bool = False,
    ) -> ClaimResult:  # fmt: skip
        """Settle finished jobs and claim up to `want` new ones, in one transaction. `queues`: names in the order of
        preference, `*` for all queues that are not named, `!NAME` for a queue that `*` excludes. `notified`: the worker
        was woken, so that there is no need to check for jobs before taking the write lock. A settlement whose claim is
        gone writes nothing. A job that would go back to the queue but was asked to stop ends as canceled. A follow-up
        job that has already ended (its job was retried by hand) is left as it is. `next_due` of the answer is set only
        if nothing was claimed."""

    @abstractmethod
    def hold(self, presence: Any, token: int) -> bool:
        """Make the mark of a job that must not run twice visible to every rescuer, on other hosts and after a power
        cut. Called before the body begins. False if the claim is gone: the body must not begin then."""

    @abstractmethod
    def sync(self) -> None:
        """Make everything that was committed so far survive a power cut, if the storage is configured for that."""

    @abstractmethod
    def chord_results(self, cid: str) -> list[bytes]:
        """The parts of a complete chord, in the order of its members. They are kept while the callback can be
        retried."""

    @abstractmethod
    def control_signals(self, worker: int) -> tuple[bool, bool]:
        """Whether this worker was asked to be quiet (claim nothing), and whether it was asked to stop."""

    @abstractmethod
    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        """Return claims whose body never started to the queue. Nothing is counted."""

    @abstractmethod
    def reap(self, dead: DeadWorker, max_crashes: int) -> list[str]:
        """Release a dead worker's claims as duey.storage.deaths decides, and remove its row and files. Returns the ids
        of the jobs that its threads handled when it died."""

    @abstractmethod
    def rescue(self, max_crashes: int, own: Sequence[int] = (), consumer: str = "") -> list[str]:
        """Find dead workers, except those in `own`, and release their claims. Returns the ids of the jobs that they
        handled. Dead workers of another consumer than `consumer` died with their whole consumer."""

    @abstractmethod
    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        """Renew the heartbeat of these workers."""

    @abstractmethod
    def unregister(self, worker: int) -> None:
        """The clean end of a worker. Claims that it still holds go back to the queue."""

    @abstractmethod
    def slots(self, worker: int) -> list[Slot]:
        """What the threads of a worker on this host handle now."""

    @abstractmethod
    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        """Wake up to `count` sleeping workers that serve one of these queues (no queues: any worker)."""

    # operations by hand

    @abstractmethod
    def cancel(self, job_id: str, was: str | None = None) -> str | None:
        """End a waiting job as canceled, or ask a running one to stop. Returns the state before, None if nothing
        changed. `was`, here and below: change the job only if it is in this state. Raises UnknownJob, StateConflict."""

    @abstractmethod
    def stop_requested(self, seqs: Sequence[int]) -> set[int]:
        """Which of these running jobs were asked to stop."""

    @abstractmethod
    def stopping(self, workers: Sequence[int]) -> set[int]:
        """The tokens of the claims of these workers whose jobs were asked to stop."""

    @abstractmethod
    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        """Store data with the job, until the job is removed. False, and nothing is stored, if the claim is gone."""

    @abstractmethod
    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        """What was stored last under the key, or None. Retrying a job that was done removes its checkpoints."""

    @abstractmethod
    def put_progress(self, seq: int, data: str) -> None:
        """Store the progress of a running body (JSON)."""

    @abstractmethod
    def progress_of(self, seq: int) -> str | None:
        """The last progress of the job (JSON), or None."""

    @abstractmethod
    def retry(self, job_id: str, payload: bytes | None, retries: int, was: str | None = None) -> None:
        """Queue an ended or retrying job again, with a new payload if one is given. Raises UnknownJob,
        StateConflict."""

    @abstractmethod
    def forget(self, job_id: str, was: str | None = None) -> bool:
        """Remove an ended job. Raises StateConflict if it has not ended."""

    @abstractmethod
    def pause(self, kind: str, name: str) -> None:
        """Pause a task (kind 'task') or a queue (kind 'queue'). Its jobs are set aside when a claim meets them."""

    @abstractmethod
    def resume(self, kind: str, name: str) -> int:
        """End a pause and queue again what it held. Returns the number of jobs."""

    @abstractmethod
    def unblock_tasks(self, known: Sequence[str]) -> int:
        """Queue again jobs that were set aside because no consumer knew their task, if it is in `known`; and jobs over
        limits that these tasks no longer have. Returns the number of jobs."""

    @abstractmethod
    def pauses(self) -> set[tuple[str, str]]:
        """(kind, name) of every pause."""

    # reading

    @abstractmethod
    def get_job(self, job_id: str) -> StoredJob | None:
        """One job, or None."""

    @abstractmethod
    def list_jobs(
        self, state: str | None, task: str | None, q: str | None, limit: int, before: int | None, by: str | None = None
    ) -> list[StoredJob]:
        """Jobs that match, newest first, with a seq below `before`."""

    @abstractmethod
    def counts(self) -> Counts: ...

    @abstractmethod
    def queue_infos(self) -> list[QueueInfo]: ...

    @abstractmethod
    def worker_infos(self) -> list[WorkerInfo]: ...

    @abstractmethod
    def signal_worker(self, worker: int, what: str) -> bool:
        """Ask a worker to be 'quiet' or to 'stop'. False if it is unknown."""

    @abstractmethod
    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        """Wait until the job has ended, without polling. False if it has not ended within `timeout_s`."""

    # maintenance

    @abstractmethod
    def run_maintenance(self, limit: int = 1000) -> bool:
        """Remove up to `limit` of what has expired. True if there is more."""

    # the history

    @abstractmethod
    def read_events(self, limit: int) -> list[Event]:
        """The oldest events, in order, redacted. The same are returned again until they are deleted. Events of jobs
        that were removed are left out."""

    @abstractmethod
    def delete_events(self, events: Sequence[Event]) -> None:
        """Remove events that were read. They must be the oldest ones, without a gap."""
