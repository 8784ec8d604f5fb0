"""What the engine asks of a storage: the contract that SQLite and Redis both keep.

A job is accepted (`accept`), claimed and settled (`turn`), and in between stands in exactly one place. Every verb
here is one transaction: all or nothing, whatever process dies at whatever line. Huey's own storage interface
(duey.storage.huey_adapter) is kept beside it, so that Huey's locks, rate limits and results work on it.

Every verb raises StorageUnavailable (or below) when the storage is away; then nothing was changed, unless its
`stored` is None ("maybe").
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from duey.model.event import Event
from duey.model.job import Claim, Counts, Idempotency, NewJob, QueueInfo, Settlement, WorkerInfo
from duey.model.limits import Limit
from duey.model.schedule import Ledger
from duey.storage.deaths import Dead
from duey.storage.huey_adapter import HueyStorage
from duey.storage.presence import Slot


class Accepted(NamedTuple):
    """What became of one deferred job: the id of the job that stands for it, and whether it is new."""

    id: str
    fresh: bool


class Acceptance(NamedTuple):
    """What became of all jobs of one defer, in order; `replayed` when an idempotency key answered."""

    accepted: tuple[Accepted, ...]
    replayed: bool


class Turn(NamedTuple):
    """What one turn of a worker gave: the claims taken, the tokens found lost, whether more waits, revocations."""

    claims: list[Claim]
    lost: frozenset[int]
    more: bool
    next_due: float | None
    revocations: bool


class StoredJob(NamedTuple):
    """A job as it stands in the storage, exact and unredacted; `place` is ready, due, parked, claims or ended."""

    seq: int
    id: str
    task: str
    queue: str
    priority: float
    enqueued_at: float
    eta: float | None
    expires_at: float | None
    attempt: int
    deliveries: int
    retries: int
    context: str | None
    chord: str | None
    parent: str | None
    by: str | None
    payload: bytes
    place: str
    state: str  # as people see it
    reason: str | None
    worker: int | None
    started_at: float | None
    finished_at: float | None
    result: bytes | None
    stopping: bool


class EventRow(NamedTuple):
    """An event as it is stored, with what its job's row adds: `compose.event` makes an Event of it."""

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
    payload: bytes | None  # with ENQUEUED and RETRIED
    result: bytes | None  # with DONE

    @property
    def id(self) -> str:
        """Its job's."""
        return self.job_id


class Registration(NamedTuple):
    """What a worker process says of itself when it registers."""

    consumer: str
    host: str
    pid: int
    threads: int
    kind: str  # thread or process
    queues: tuple[str, ...]
    tasks: tuple[str, ...]
    code: str = ""  # as loading.code() says


class JobStorage(HueyStorage):
    """The contract. `tests/contracts/` holds every implementation to it."""

    backend = ""
    ledger: Ledger  # schedules and their slots, set by the subclass
    limits: Mapping[str, Limit] = MappingProxyType({})  # of the tasks that this process knows; set by DurableHuey
    compose: Any = None  # makes stored bytes and shown values; set by DurableHuey, which knows the serializer

    # getting ready

    @abstractmethod
    def prepare(self) -> list[str]:
        """Make or upgrade what must exist and see that it is usable; answers warnings in sentences."""

    @abstractmethod
    def warnings(self) -> list[str]:
        """What an admin should know about this storage, in sentences."""

    # accepting work

    @abstractmethod
    def accept(
        self, jobs: Sequence[NewJob], idempotency: Idempotency | None = None, max_pending: int = 0,
    ) -> Acceptance:  # fmt: skip
        """Store all jobs, durably, or none. An id that is unfinished is not stored again; one that has ended raises
        DuplicateJob; a held unique key answers with its holder; KeyReused, TooManyPending."""

    # working

    @abstractmethod
    def register(self, registration: Registration) -> Any:
        """Enter this process as a worker; answers its `Worker` (number, slots, bell), see duey.storage.presence."""

    @abstractmethod
    def turn(
        self, worker: int, settlements: Sequence[Settlement], want: int, queues: Sequence[str], rung: bool = False,
    ) -> Turn:  # fmt: skip
        """Settle what was done and claim up to `want` jobs, in one transaction. `queues`: names in the order of
        preference, `*` for every queue that has no name in it, `!NAME` for one that `*` does not stand for.
        A settlement whose claim is gone writes nothing. What would go back to the queue although it was asked to stop
        ends as canceled. A next job that has ended before (its job was retried by hand) stays as it is. `rung`: there
        is something to claim, so that it need not be looked for first. `next_due` is for who has claimed nothing."""

    @abstractmethod
    def hold(self, life: Any, token: int) -> bool:
        """Before a marked body that must not run twice: see that any rescuer will find the mark, also on another host
        or after a power cut. False when the claim is gone: then the body must not begin."""

    @abstractmethod
    def sync(self) -> None:
        """What was committed so far survives a power cut, if the storage is set up for that."""

    @abstractmethod
    def chord_results(self, cid: str) -> list[bytes]:
        """The parts of a complete chord, in the order of its members; kept while the callback can be retried."""

    @abstractmethod
    def asked(self, worker: int) -> tuple[bool, bool]:
        """Whether this worker was asked to be quiet, and to stop."""

    @abstractmethod
    def give_back(self, worker: int, claims: Sequence[Claim]) -> None:
        """Return claims whose body never started, untouched, to where they were."""

    @abstractmethod
    def bury(self, dead: Dead, max_crashes: int) -> list[str]:
        """Release a dead worker's claims as storage.deaths decides, and remove what it left; ids of what it handled."""

    @abstractmethod
    def rescue(self, max_crashes: int, own: Sequence[int] = (), consumer: str = "") -> list[str]:
        """Find dead workers (never those in `own`) and bury them; ids of what these handled. Where they are not of this
        `consumer`, all of theirs has died."""

    @abstractmethod
    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        """Show that these workers are looked after."""

    @abstractmethod
    def unregister(self, worker: int) -> None:
        """The clean end of a worker; what it holds still goes back to the queue."""

    @abstractmethod
    def slots(self, worker: int) -> list[Slot]:
        """What a worker on this host handles now."""

    @abstractmethod
    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        """Ring for up to `count` sleeping workers that serve one of these queues (none given: any)."""

    # verbs

    @abstractmethod
    def cancel(self, job_id: str, was: str | None = None) -> str | None:
        """The state before, if anything was changed: waiting jobs end as canceled, running ones are asked to stop.
        `was`, here and below: the state it was decided on, in another nothing changes. UnknownJob, StateConflict."""

    @abstractmethod
    def stop_asked(self, seqs: Sequence[int]) -> set[int]:
        """Which of these running jobs were asked to stop."""

    @abstractmethod
    def stopping(self, workers: Sequence[int]) -> set[int]:
        """The tokens of the jobs that these workers hold and that were asked to stop."""

    @abstractmethod
    def put_checkpoint(self, claim: Claim, key: str, data: bytes) -> bool:
        """Keep data with the job until it is removed; False (and nothing kept) when the claim is gone."""

    @abstractmethod
    def checkpoint_of(self, claim: Claim, key: str) -> bytes | None:
        """What was kept last under the key. A job that had ended well and was retried by hand has nothing."""

    @abstractmethod
    def put_progress(self, seq: int, data: str) -> None:
        """What a running body says of itself (JSON)."""

    @abstractmethod
    def progress_of(self, seq: int) -> str | None:
        """What the job's body last said of itself."""

    @abstractmethod
    def retry(self, job_id: str, payload: bytes | None, retries: int, was: str | None = None) -> None:
        """Queue an ended or retrying job again, with a new payload if one is given. UnknownJob, StateConflict."""

    @abstractmethod
    def forget(self, job_id: str, was: str | None = None) -> bool:
        """Remove an ended job. StateConflict when it has not ended."""

    @abstractmethod
    def pause(self, kind: str, name: str) -> None:
        """Pause a task (kind 'task') or a queue (kind 'queue'): its waiting jobs are parked when they are met."""

    @abstractmethod
    def resume(self, kind: str, name: str) -> int:
        """End a pause and unpark what it held; how many."""

    @abstractmethod
    def unpark_tasks(self, known: Sequence[str]) -> int:
        """Queue again the jobs that were parked because no consumer knew their task, and one knows it now; and those
        that were over limits which these tasks no longer have."""

    @abstractmethod
    def pauses(self) -> set[tuple[str, str]]:
        """(kind, name) of every pause."""

    # looking

    @abstractmethod
    def look(self, job_id: str) -> StoredJob | None:
        """One job as it stands."""

    @abstractmethod
    def list_jobs(
        self, state: str | None, task: str | None, q: str | None, limit: int, before: int | None,
    ) -> list[StoredJob]:  # fmt: skip
        """Newest first, seq below `before`."""

    @abstractmethod
    def counts(self) -> Counts: ...

    @abstractmethod
    def queue_infos(self) -> list[QueueInfo]: ...

    @abstractmethod
    def worker_infos(self) -> list[WorkerInfo]: ...

    @abstractmethod
    def ask_worker(self, worker: int, what: str) -> bool:
        """Ask a worker to be 'quiet' or to 'stop'; False when it is unknown."""

    @abstractmethod
    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        """Wait without polling until the job has ended."""

    # keeping house

    @abstractmethod
    def keep_house(self, limit: int = 1000) -> bool:
        """One small step of removing what has expired; True when there is more."""

    # the books

    @abstractmethod
    def read_events(self, limit: int) -> list[Event]:
        """The oldest, in order, redacted; again until they are deleted. Those of a job that was removed are gone."""

    @abstractmethod
    def delete_events(self, events: Sequence[Event]) -> None:
        """Remove the oldest events as they were read, without leaving one out."""
