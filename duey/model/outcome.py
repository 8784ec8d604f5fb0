"""What becomes of a claimed job."""

from __future__ import annotations

from typing import NamedTuple

from duey.model.job import BLOCKED, FAILED, RELEASED, RETRYING, ChordPart, Claim, JobRecord


class Ttl(NamedTuple):
    """How long an ended job is kept, in seconds."""

    result_s: float
    failed_s: float


class Outcome(NamedTuple):
    """What becomes of a claimed job, decided before it is written. The storage writes it in one transaction, if the
    claim still stands."""

    claim: Claim
    state: str  # DONE, FAILED, CANCELED, EXPIRED; or RETRYING, RELEASED, BLOCKED: the job goes on
    started_at: float | None = None  # None: its body has not begun, or waited for a lock only
    finished_at: float = 0.0
    result: bytes | None = None
    detail: str | None = None  # JSON of the event: error, traceback, log lines
    follow_ups: tuple[JobRecord, ...] = ()  # the next step of a pipeline, an error handler, an on_failed handler
    others: tuple[tuple[str, bytes], ...] = ()  # results of later steps of a pipeline, which will not run
    chord_part: ChordPart | None = None
    reason: str | None = None  # why it is set aside, or what it waits for before a retry: lock NAME
    eta: float | None = None  # this and the next four for RETRYING: when it runs again
    retries: int = 0
    retry_delay_s: float = 0.0
    failures: int = 0
    failed_at: float | None = None
    keep_s: float | None = None  # how long the ended job is kept, if its task says so
    discarded: bool = False  # its task declares the error as expected

    @property
    def attempts(self) -> int:
        """How many attempts have ended, including this one if its body has run."""
        return self.claim.job.attempt + (self.started_at is not None and self.state not in (RELEASED, BLOCKED))

    def gone_at(self, ttl: Ttl) -> float:
        """Until when the ended job is kept: a failed one so that it can be retried, others as the task says."""
        if self.state == FAILED:
            return self.finished_at + ttl.failed_s
        return self.finished_at + (ttl.result_s if self.keep_s is None else self.keep_s)

    @property
    def made_ready(self) -> list[str]:
        """The queue of each job that it makes ready: a retry, a pipeline's next job, a chord's callback."""
        queues = [self.claim.job.queue] if self.state == RETRYING else []
        queues += [job.queue for job in self.follow_ups]
        if self.chord_part is not None:
            queues.append(self.chord_part.callback.queue)
        return queues
