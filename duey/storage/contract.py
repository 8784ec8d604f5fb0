"""The contract of a storage, implemented on SQLite and on Redis: one port for each group of callers.

A job is accepted (`enqueue_jobs`), then claimed and settled (`settle_and_claim`). It is always in exactly one
place. Ports take values and return values. Every method that changes something is one transaction: if a process dies
at any line, all of it happened or nothing. Huey's own storage interface (duey.storage.huey_adapter) is implemented as
well, for its locks and results.

Every method raises StorageUnavailable or a subclass if the storage cannot be used. Nothing was changed then, unless
the `stored` of the error is None, which means that it is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Protocol

from duey.model.event import Event, OutboxOwner
from duey.model.job import Claim, Counts, Idempotency, JobRecord, QueueInfo, WorkerInfo
from duey.model.limits import Limit
from duey.model.outcome import Outcome
from duey.model.schedule import Gap, OccurrenceRow, ScheduleRow, Tick
from duey.storage.huey_adapter import HueyStorage
from duey.storage.presence import DeadPresence, Slot
from duey.storage.reports import Reports
from duey.storage.values import (
    ClaimResult,
    DeadWorker,
    End,
    EnqueueResult,
    EventRow,
    Fate,
    Orphans,
    Registration,
    Released,
    StoredJob,
)  # fmt: skip


class Work(Protocol):
    """Jobs are accepted, claimed and settled."""

    def enqueue_jobs(
        self, jobs: Sequence[JobRecord], idempotency: Idempotency | None = None, max_pending: int = 0,
        ends: Sequence[End] = (),
    ) -> EnqueueResult:  # fmt: skip
        """Store all jobs durably, or none. A job whose id belongs to an unfinished job is not stored again. A job whose
        unique key is held is answered with the holder. Raises DuplicateJob if the id belongs to a job that has ended,
        KeyReused if the idempotency key came with other jobs, TooManyPending above `max_pending` (0: no limit),
        UniqueConflict if a task asks for that. If a job replaces waiting ones that are not among `ends`, nothing is
        stored, and the answer names these."""

    def settle_and_claim(
        self, worker: int, outcomes: Sequence[Outcome], want: int, queues: Sequence[str], notified: bool = False,
        ahead: int = 0,
    ) -> ClaimResult:  # fmt: skip
        """Settle finished jobs and claim up to `want` new ones, in one transaction. `queues`: names in the order of
        preference, `*` for all queues that are not named, `!NAME` for a queue that `*` excludes. `notified`: the worker
        was woken, so that there is no need to check for jobs before taking the write lock. An outcome whose claim is
        gone writes nothing. An outcome that would return a job to the queue that was asked to stop is not written, and
        its token is in `stopping` of the answer. A follow-up job that has already ended (its job was retried by hand)
        is left as it is. `next_due` of the answer is set only if nothing was claimed. `ahead`: so many more may be
        claimed that begin later, but none of a task with limits."""

    def release_claims(self, worker: int, claims: Sequence[Claim]) -> None:
        """Return claims whose body never started to the queue. Nothing is counted."""

    def hold(self, presence: Any, token: int) -> bool:
        """Make the mark of a job that must not run twice visible to every rescuer, on other hosts and after a power
        cut. Called before the body begins. False if the claim is gone: the body must not begin then."""

    def sync(self) -> None:
        """Make everything that was committed so far survive a power cut, if the storage is configured for that."""

    def chord_results(self, cid: str, most: int | None = None) -> list[bytes] | None:
        """The parts of a complete chord, in the order of its members. They are kept while the callback can be
        retried. None if there are more than `most`."""

    def wake(self, count: int = 1, queues: Sequence[str] = ()) -> None:
        """Wake up to `count` sleeping workers that serve one of these queues (no queues: any worker)."""


class Workers(Protocol):
    """The worker processes: which are alive, what they hold, what they were asked."""

    def register(self, registration: Registration) -> Any:
        """Register this process as a worker. Returns its presence (duey.storage.presence)."""

    def unregister(self, worker: int) -> None:
        """The clean end of a worker. Claims that it still holds go back to the queue."""

    def beat(self, workers: Sequence[int], lease_s: float) -> None:
        """Renew the heartbeat of these workers. Raises StorageUnavailable."""

    def slots(self, worker: int) -> list[Slot]:
        """What the threads of a worker on this host handle now."""

    def control_signals(self, worker: int) -> tuple[bool, bool]:
        """Whether this worker was asked to be quiet (claim nothing), and whether it was asked to stop."""

    def signal_worker(self, worker: int, what: str) -> bool:
        """Ask a worker to be 'quiet' or to 'stop'. False if it is unknown."""

    def worker_infos(self) -> list[WorkerInfo]: ...

    def stopping(self, workers: Sequence[int]) -> set[int]:
        """The tokens of the claims of these workers whose jobs were asked to stop."""

    def dead_workers(self, own: Sequence[int] = (), consumer: str = "") -> list[DeadWorker]:
        """Dead workers, except those in `own`. Those of another consumer than `consumer` died with their whole
        consumer."""

    def seized(self, dead: DeadWorker) -> AbstractContextManager[DeadPresence | None]:
        """The lock file of a dead worker while this process holds it. None if the worker is alive or another rescuer
        handles it."""

    def orphans(self, dead: DeadWorker) -> Orphans | None:
        """The claims of a dead worker. None if another rescuer has released them."""

    def release(self, orphans: Orphans, fates: Sequence[Fate], died: str = "") -> Released:
        """Release all claims of a dead worker, each as its fate says, and remove its row and its locks. `died`: detail
        of an event DIED, '' for none; a worker that had no row gets none. Nothing is changed unless the answer is
        DONE."""


class Commands(Protocol):
    """Operations by hand. Some are decided first, of the job that `look` returned, and applied if it has not changed
    since."""

    def look(self, job_id: str) -> StoredJob | None:
        """A job, in order to change it if it has not changed since. None if it is unknown."""

    def end(self, seen: StoredJob, outcome: Outcome) -> bool:
        """End a waiting job. False, and nothing is changed, if it has changed since it was read."""

    def ask_to_stop(self, seen: StoredJob) -> bool:
        """Ask a claimed job to stop. False if it has changed since it was read."""

    def retry(self, job_id: str, payload: bytes | None, retries: int | None, was: str | None = None) -> None:
        """Queue an ended or retrying job again, with a new payload if one is given. `retries` None: a scheduled job,
        which keeps its retries. `was`, here and below: change the job only if it is in this state. Raises UnknownJob,
        StateConflict."""

    def forget(self, job_id: str, was: str | None = None) -> None:
        """Remove an ended job. Raises StateConflict if it has not ended."""

    def pause(self, kind: str, name: str) -> None:
        """Pause a task (kind 'task') or a queue (kind 'queue'). Its jobs are set aside when a claim meets them."""

    def resume(self, kind: str, name: str) -> int:
        """End a pause and queue again what it held. Returns the number of jobs."""

    def unblock_tasks(self, known: Sequence[str]) -> int:
        """Queue again jobs that were set aside because no consumer knew their task, if it is in `known`; and jobs over
        limits that these tasks no longer have. Returns the number of jobs."""


class Queries(Protocol):
    """Reading, without changing anything."""

    def read_ahead(self, *reads: Callable[[], object]) -> AbstractContextManager[None]:
        """Make these reads, which change nothing, in as few round trips as possible. Within the block the same ones by
        this thread are answered by that; what changes meanwhile is not seen. No error is raised here."""

    def get_job(self, job_id: str) -> StoredJob | None:
        """One job, or None."""

    def list_jobs(
        self, state: str | None, tasks: Sequence[str] | None, q: str | None, limit: int, before: int | None,
        by: str | None = None,
    ) -> list[StoredJob]:  # fmt: skip
        """Jobs that match, newest first, with a seq below `before`."""

    def counts(self) -> Counts: ...

    def queue_infos(self) -> list[QueueInfo]: ...

    def pauses(self) -> set[tuple[str, str]]:
        """(kind, name) of every pause."""

    def stop_requested(self, seqs: Sequence[int]) -> set[int]:
        """Which of these running jobs were asked to stop."""

    def wait_ended(self, job_id: str, timeout_s: float) -> bool:
        """Wait until the job has ended, without polling. False if it has not ended within `timeout_s`."""


class Maintenance(Protocol):
    """Preparation and cleaning."""

    def prepare(self) -> list[str]:
        """Create or migrate tables and check that they can be used. Returns warnings, one sentence each."""

    def warnings(self) -> list[str]:
        """What an admin should know about this storage, one sentence each."""

    def fence(self) -> str | None:
        """Why every start is refused: the queue was moved, or is being moved. None if it was not."""

    def problems(self) -> list[str]:
        """What keeps jobs from being accepted now, one sentence each: no room on the disk or in memory, or the
        queue was moved."""

    def unknown_before(self, instant: float) -> list[str]:
        """The ids of some jobs that were set aside before the instant because no consumer knew their task."""

    def run_maintenance(self, limit: int = 1000) -> bool:
        """Remove up to `limit` of what has expired. True if there is more."""


class Outbox(Protocol):
    """The events for the history."""

    def read_outbox(self, limit: int, term: int | None = None) -> list[EventRow]:
        """The oldest events, in order. The same are returned again until they are deleted. A row without a job's id
        belongs to a job that was removed. `term`: that of the history that will record them; without one they are only
        looked at. Raises OutboxLost if another history owns them."""

    def delete_events(self, events: Sequence[Event | EventRow], term: int = 0) -> None:
        """Remove events that were read. They must be the oldest ones, without a gap. Raises OutboxLost, and removes
        nothing, unless `term` is that of the owner. 0: as long as there is none."""

    def own_outbox(self, history: str, where: str, take_over: bool = False) -> OutboxOwner:
        """Let a history own the events, if none does, if it does already, or if it is to `take_over`. Returns the owner
        as it is then. The owner says so again every few seconds. If it is recorded at two places, the one that said so
        first keeps it, until it is silent for OWNER_S."""

    def leave_outbox(self, term: int) -> None:
        """The owner is recorded no longer where it was: it may be recorded at another place at once. It stays the
        owner. Nothing happens if `term` is not that of the owner."""

    def outbox_owner(self) -> OutboxOwner | None:
        """The owner of the events. None before the first history was recorded."""


class ScheduleStore(Protocol):
    """Schedules and their slots. A slot is handled once, by whichever consumer is first: `fire` does nothing if the
    schedule has changed since the caller read it, and it moves `last` in the transaction that accepts the jobs of the
    slots. A recorded slot is never run again, unless it was missed. So a clock that is set back repeats nothing."""

    def schedules(self, name: str | None = None) -> list[ScheduleRow]:
        """Every schedule on record, by name, or only the one of this name."""

    def add(self, row: ScheduleRow) -> bool:
        """Keep a schedule; False when the name is taken."""

    def replace(self, seen: ScheduleRow, spec: str, last: float) -> bool:
        """Give a schedule another spec and `last`; False when one of both is not as the caller saw it any more."""

    def remove(self, name: str) -> bool:
        """Remove a schedule and its slots. False if there is none."""

    def rename(self, name: str, new: str) -> bool:
        """Give a schedule with its slots another name. False if there is none, or if the new name is taken."""

    def pause(self, name: str, paused: bool) -> bool:
        """Pause or resume a schedule. False if there is none."""

    def fire(self, ticks: Sequence[Tick]) -> Mapping[str, Collection[str]]:
        """For each schedule whose `last` and `paused` have not changed: store the slots, accept their jobs and move
        `last`. Returns the ids of the accepted jobs by name of the schedule.

        The outcome SKIP_IF_RUNNING becomes DEFERRED, or SKIPPED if a job of the schedule has not ended. QUEUE_BEHIND
        becomes DEFERRED, WAITING if one has not ended or another slot waits, or SKIPPED if WAITING_MAX wait. A recorded
        slot is kept, unless it was missed. A job whose id is known is not accepted again, and a slot whose job's unique
        key is held becomes SKIPPED."""

    def release(self, name: str, at: float, job: JobRecord | None, reason: str | None = None) -> bool:
        """Accept the job of the first waiting slot, if it still waits, all jobs of the schedule have ended and the
        schedule is not paused. True if the job was accepted. Without a job the slot becomes MISSED, with this
        reason."""

    def run_now(self, slot: OccurrenceRow, job: JobRecord) -> bool:
        """Store a slot that is run by hand and accept its job. False if it is recorded and was neither missed nor
        skipped. Raises UniqueConflict."""

    def slots_of(self, name: str, limit: int, until: float = math.inf) -> list[tuple[OccurrenceRow, str | None]]:
        """The newest slots up to `until`, each with the state of its job: a final one, 'unfinished', or None if there
        is no job."""

    def note_alive(self, now: float, why: str) -> float | None:
        """Store that a scheduler lives at `now`. Returns the time of the note before. If that is more than GAP_S ago,
        the time in between becomes a Gap with the reason `why`."""

    def noted_s(self) -> float | None:
        """How many seconds ago a scheduler was last noted, by the clock of the storage if it has one. None if never."""

    def gaps(self) -> list[Gap]:
        """The newest gaps, in order of time."""


class JobStorage(HueyStorage, Work, Reports, Workers, Commands, Queries, Maintenance, Outbox):
    """All ports of a storage. The tests in `tests/contracts/` run against every implementation."""

    backend = ""
    schedule_store: ScheduleStore
    round_trip_s = 0.0  # how far away it is: how long the shortest question takes
    limits: Mapping[str, Limit] = MappingProxyType({})  # of the tasks that this process knows; set by DurableHuey
