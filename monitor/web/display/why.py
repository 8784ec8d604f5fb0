"""Says in one sentence why a job is not running, with the cause that an admin can act on first.

A hold has the form `kind name` (duey.model.job.Job.reason): task, queue, limit, rate, unknown; and lock, for a job
that is tried again at a fixed time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duey.model.job import BLOCKED, GONE, QUEUED, RETRYING, SCHEDULED, Job, WorkerInfo

HELD = {
    "task": "the task {name} is paused",
    "queue": "the queue {name} is paused",
    "unknown": "no consumer knows the task {name}, or its classes: deploy them, and the job runs; after 24 h it fails",
    "limit": "waiting for the limit of {name}",
    "rate": "the rate limit of {name} is used up for now",
    "lock": "the lock {name} is held",
    GONE: "the queue does not have it any more",
}
LOST = (
    "The queue does not have this job any more, and no end is recorded: Redis or the disk has lost its last changes, "
    "or another history recorded the end. Enqueue it again if it is still needed"
)


@dataclass(frozen=True)
class Because:
    """The sentence in parts: before a time (running since, or due at), the time, and after it."""

    text: str
    since: float | None = None
    due: float | None = None
    tail: str = ""


def held(reason: str) -> str:
    """Return a hold as text, for a list."""
    kind, _, name = reason.partition(" ")
    # Only the last part of a task's name. The module is on its page.
    name = name if kind in ("queue", "lock") else name.rpartition(".")[2]
    return HELD.get(kind, "held: {name}").format(name=name[:80] if kind in HELD else reason[:120])


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def why_not_running(
    job: Job, workers: Sequence[WorkerInfo], paused: tuple[str, float] | None = None, none_since: float | None = None
) -> Because | None:
    """Return the reason, or None for a job that runs or has ended. `paused`: who paused the hold, and when."""
    if job.reason == GONE:
        return Because(LOST)
    if job.state not in (QUEUED, BLOCKED, SCHEDULED, RETRYING):
        return None
    if job.state in (SCHEDULED, RETRYING) and job.eta is not None:
        first = "The last attempt failed; the next one is due " if job.state == RETRYING else "Due "
        if job.reason:
            first = f"{_capital(held(job.reason))}; the next attempt is due "
        return Because(first, due=job.eta)
    if job.reason:
        reason = _capital(held(job.reason))
        if job.reason.startswith("limit "):
            limited = job.reason.removeprefix("limit ")
            running = sum(run.task == limited for each in workers for run in each.running)
            reason += f" ({running} running)" if running else ""
        return Because(f"{reason}, by {paused[0]} ", due=paused[1]) if paused else Because(reason)
    serving = [each for each in workers if each.alive and each.worker_type != "alone"]
    if not serving:
        return (
            Because("No consumer is running for ", since=none_since)
            if none_since
            else Because("No consumer is running")
        )
    takers = [each for each in serving if not each.quiet]
    if not takers:
        return Because("All consumers are quiet: they finish what they run and take no new jobs")
    serving = [each for each in takers if job.queue in each.queues or "*" in each.queues]
    if not serving:
        return Because(f"No consumer serves the queue {job.queue[:80]}: add it to [consumer] queues")
    hands, busy = sum(each.workers for each in serving), sum(len(each.running) for each in serving)
    if busy >= hands:
        oldest = min((run.started_at for each in serving for run in each.running if run.started_at), default=None)
        reason = f"All {hands} workers are busy" if hands > 1 else "The only worker is busy"
        return Because(f"{reason}, the longest for ", since=oldest) if oldest else Because(reason)
    return Because("A worker will take it in a moment")
