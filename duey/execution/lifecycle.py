"""Operations on stored jobs for which something must be decided first: jobs that are replaced, canceled, or left behind
by a dead worker, and jobs whose task no consumer knows.

Each reads, decides without holding any lock, because deciding may call an author's code, and hands the decision to the
storage, which applies it only if nothing has changed since. Otherwise it starts again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from duey import clock, errors, logs
from duey.execution.deaths import death_of, fate_of
from duey.execution.display import Display
from duey.execution.events import event_of
from duey.execution.outcomes import Outcomes
from duey.model.event import JOBLESS, Event, OutboxOwner
from duey.model.job import CANCELED, ENDED, FAILED, Claim, Idempotency, JobRecord
from duey.model.log_lines import Line, with_marks
from duey.model.outcome import Outcome
from duey.storage.contract import JobStorage
from duey.storage.values import TRIES, ClaimResult, DeadWorker, EnqueueResult, Released, StoredJob, busy

UNKNOWN_TASK_S = 24 * 3600.0  # how long a job waits whose task no consumer knows


class Lifecycle:
    """For one storage."""

    def __init__(self, storage: JobStorage, outcomes: Outcomes, display: Display) -> None:
        self.storage, self._outcomes, self._display = storage, outcomes, display

    def enqueue_jobs(
        self, jobs: Sequence[JobRecord], idempotency: Idempotency | None = None, max_pending: int = 0
    ) -> EnqueueResult:
        """Store all jobs durably, or none. See JobStorage.enqueue_jobs."""
        result = self.storage.enqueue_jobs(jobs, idempotency, max_pending)
        tries = 0
        while result.must_end:
            tries += 1
            if tries > TRIES:
                raise busy(result.must_end[0])
            ends = [end for job_id in result.must_end if (end := self._replaced(job_id, jobs)) is not None]
            result = self.storage.enqueue_jobs(jobs, idempotency, max_pending, ends)
        return result

    def _replaced(self, job_id: str, jobs: Sequence[JobRecord]) -> tuple[StoredJob, Outcome] | None:
        """The end of a waiting job that one of these replaces; None if it does not wait any more."""
        seen = self.storage.look(job_id)
        if seen is None or not seen.waits:
            return None
        by = next((job.id for job in jobs if job.unique_key == seen.job.unique_key), "another")
        end = self._outcomes.end(seen.claim, CANCELED)
        return seen, end._replace(detail=json.dumps({"reason": f"replaced by job {by}"}))

    def settle(self, worker: int, outcomes: Sequence[Outcome]) -> ClaimResult:
        """Settle claims without claiming new ones. Jobs that were asked to stop end as canceled."""
        result = self.storage.settle_and_claim(worker, outcomes, 0, ())
        stopped = [self.stopped(each) for each in outcomes if each.claim.token in result.stopping]
        if stopped:
            result = result._replace(lost=result.lost | self.storage.settle_and_claim(worker, stopped, 0, ()).lost)
        return result

    def stopped(self, outcome: Outcome) -> Outcome:
        """In place of an outcome that would return a job to the queue that was asked to stop: it ends as canceled."""
        end = self._outcomes.end(outcome.claim, CANCELED)
        return end._replace(started_at=outcome.started_at, detail=outcome.detail)

    def settle_one_by_one(self, worker: int, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Settle claims one by one, and fail the jobs whose outcome cannot be stored, so that it does not block the
        others for ever. Returns what is still to be settled."""
        kept: list[Outcome] = []
        for outcome in outcomes:
            try:
                self.settle(worker, [outcome])
            except errors.StorageUnavailable:
                kept.append(outcome)
            except Exception as exc:
                kept.append(self._outcomes.end(outcome.claim, FAILED, exc))
        return kept

    def cancel(self, job_id: str, was: str | None = None) -> str:
        """End a waiting job as canceled, or ask a running one to stop. Returns the state before. `was`: change the job
        only if it is in this state. Raises UnknownJob, StateConflict."""
        for _ in range(TRIES):
            seen = self.storage.look(job_id)
            if seen is None:
                raise errors.UnknownJob(job_id)
            if seen.state in ENDED or was not in (None, seen.state):
                raise errors.StateConflict(job_id, "cancel", seen.state)
            if seen.waits:
                done = self.storage.end(seen, self._outcomes.end(seen.claim, CANCELED))
            else:
                done = self.storage.ask_to_stop(seen)
            if done:
                return seen.state
        raise busy(job_id)

    def rescue(self, max_crashes: int, own: Sequence[int] = (), consumer: str = "") -> list[str]:
        """Find dead workers, except those in `own`, and release their claims. Returns the ids of the jobs that they
        handled. Dead workers of another consumer than `consumer` died with their whole consumer."""
        found: list[str] = []
        for dead in self.storage.dead_workers(own, consumer):
            found += self.reap(dead, max_crashes)
        return found

    def reap(self, dead: DeadWorker, max_crashes: int) -> list[str]:
        """Release a dead worker's claims as duey.execution.deaths decides, and remove its row and files. Returns the
        ids of the jobs that its threads handled. Does nothing if it is alive, or if another rescuer handles it."""
        with self.storage.seized(dead) as seized:
            while seized is not None:
                orphans = self.storage.orphans(dead)
                if orphans is None:
                    seized.reap()
                    break
                dead = orphans.dead
                fates = [
                    fate_of(*each, dead, max_crashes, self._outcomes, self._lines_of(each[0], dead))
                    for each in orphans.claims
                ]
                done = self.storage.release(orphans, fates, death_of(dead, fates))
                if done is Released.CHANGED:
                    continue
                seized.reap()
                if done is Released.GONE:
                    break
                for fate in fates:
                    if fate.outcome is not None:
                        logs.log_failure(fate.outcome, self._display.redactor)
                return [claim.job.id for claim, _ in orphans.claims if claim.token in dead.marks]
        return []

    def _lines_of(self, claim: Claim, dead: DeadWorker) -> list[Line]:
        """What the body of a dead worker's claim logged, as far as it was written while it ran."""
        return with_marks(self.storage.log_of(claim.token)) if claim.token in dead.marks else []

    def run_maintenance(self, limit: int = 1000) -> bool:
        """Remove up to `limit` of what has expired, and fail jobs that have waited for a day because no consumer knows
        their task. True if there is more to remove."""
        for job_id in self.storage.unknown_before(clock.now() - UNKNOWN_TASK_S):
            seen = self.storage.look(job_id)
            if seen is not None and seen.waits and (seen.reason or "").startswith("unknown "):
                outcome = self._outcomes.end(seen.claim, FAILED, errors.TaskUnknown(seen.claim.job.task))
                if self.storage.end(seen, outcome):
                    logs.log_failure(outcome, self._display.redactor)
        return self.storage.run_maintenance(limit)

    def read_events(self, limit: int, term: int | None = None) -> list[Event]:
        """The oldest events, in order, redacted. The same are returned again until they are deleted. Events of jobs
        that were removed are left out. For this and the next ones see the outbox in duey.storage.contract."""
        while True:
            rows = self.storage.read_outbox(limit, term)
            found = [event_of(self._display, row) for row in rows if row.job or row.kind in JOBLESS]
            if found or not rows:
                return found
            self.storage.delete_events(rows, term or 0)

    def delete_events(self, events: Sequence[Event], term: int = 0) -> None:
        self.storage.delete_events(events, term)

    def own_outbox(self, history: str, where: str, take_over: bool = False) -> OutboxOwner:
        return self.storage.own_outbox(history, where, take_over)

    def leave_outbox(self, term: int) -> None:
        self.storage.leave_outbox(term)
