"""Schedules and slots, and the contract of their storage.

A slot is handled once, by whichever consumer is first: `fire` does nothing if the schedule has changed since the caller
read it, and it moves `last` in the transaction that accepts the jobs of the slots. A recorded slot is never run again,
unless it was missed. So a clock that is set back repeats nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from duey.model.job import JobRecord

# How many slots of a schedule are kept, up to its `last`. Slots that wait, slots whose job has not ended, and slots
# after `last` (a clock was ahead) are kept in addition, because a recorded slot is not run again.
KEPT = 500
WAITING_MAX = 100  # slots of a schedule that wait for the previous run; more are skipped
GAPS_KEPT = 50  # times without a scheduler that are kept
GAP_S = 20.0  # shorter times without a scheduler are not recorded
STANDS_S = 30.0  # after so long without a scheduler a problem is reported

DEFERRED, WAITING, SKIPPED, MISSED = "deferred", "waiting", "skipped", "missed"  # stored outcomes of a slot
SKIP_IF_RUNNING, QUEUE_BEHIND = "overlap", "queue"  # outcomes that `fire` decides
# Why a slot did not run; %s is the id of a job.
STILL_GOING = "the run before it (job %s) had not ended"
KEY_HELD = "its unique key is held by job %s"
PAUSED = "it was paused"
FULL = f"{WAITING_MAX} slots waited already"


class ScheduleRow(NamedTuple):
    """A schedule as it is stored. `last`: slots up to this instant have been handled."""

    name: str
    source: str  # 'code' or 'made'
    spec: str  # JSON: see duey.scheduling.entry
    paused: bool
    last: float
    since: float
    waiting: float | None = None  # the first slot that waits for the previous run
    waits: int = 0  # how many slots wait


class OccurrenceRow(NamedTuple):
    """A due time of a schedule, and its outcome."""

    schedule: str
    at: float
    outcome: str  # DEFERRED, WAITING, SKIPPED or MISSED
    job_id: str | None
    reason: str | None
    noted_at: float


class Tick(NamedTuple):
    """What a scheduler has decided about the slots of one schedule up to `new_last`. `row`: the schedule as it was
    read."""

    row: ScheduleRow
    new_last: float
    slots: Sequence[OccurrenceRow]
    jobs: Sequence[JobRecord]


class Gap(NamedTuple):
    """A time without a scheduler, and the reason in words."""

    since: float
    until: float
    why: str


class ScheduleStore(Protocol):
    """The storage of schedules and slots. Every method is one transaction."""

    def schedules(self, name: str | None = None) -> list[ScheduleRow]:
        """Every schedule on record, by name, or only the one of this name."""

    def add(self, row: ScheduleRow) -> bool:
        """Keep a schedule; False when the name is taken."""

    def replace(self, seen: ScheduleRow, spec: str, last: float) -> bool:
        """Give a schedule another spec and `last`; False when one of both is not as the caller saw it any more."""

    def remove(self, name: str) -> bool:
        """Remove a schedule and its slots. False if there is none."""

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
