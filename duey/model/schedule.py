"""The ledger of schedules and slots: the contract that SQLite and Redis both keep.

A slot is dealt with once, by whoever comes first: `fire` happens only if the schedule is still as its caller saw it,
and moves `last` in the same transaction that accepts the slots' jobs. What is on record is never run again, unless it
was missed: so a clock that is set back repeats nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from duey.model.job import NewJob

# Slots of a schedule that are kept, counted back from its `last`. Beside them stay those that wait, those whose job has
# not ended, however long it runs, and those after `last` (a clock was ahead): what is on record is not run again.
KEPT = 500
WAITING_MAX = 100  # slots of a schedule that wait for the run before them; more are skipped
GAPS_KEPT = 50  # times in which no scheduler lived
GAP_S = 20.0  # shorter ones are not worth a word
STANDS_S = 30.0  # when no scheduler was noted for so long, schedules stand still

DEFERRED, WAITING, SKIPPED, MISSED = "deferred", "waiting", "skipped", "missed"  # as a slot is kept
SKIP_IF_RUNNING, QUEUE_BEHIND = "overlap", "queue"  # as a slot is given to `fire`, which decides
# why a slot did not run, with the id of a job
STILL_GOING = "the run before it (job %s) had not ended"
KEY_HELD = "its unique key is held by job %s"
PAUSED = "it was paused"
FULL = f"{WAITING_MAX} slots waited already"


class ScheduleRow(NamedTuple):
    """A schedule as it is kept. `last` is the last instant that was dealt with: nothing up to it falls due again."""

    name: str
    source: str  # 'code' or 'made'
    spec: str  # JSON: see duey.scheduling.entry
    paused: bool
    last: float
    since: float
    waiting: float | None = None  # the first slot that waits for the run before it ...
    waits: int = 0  # ... and how many do


class OccurrenceRow(NamedTuple):
    """A due time of a schedule, and what became of it."""

    schedule: str
    at: float
    outcome: str  # DEFERRED, WAITING, SKIPPED or MISSED
    job_id: str | None
    reason: str | None
    noted_at: float


class Tick(NamedTuple):
    """What a scheduler decided about the slots of one schedule up to `new_last`; `row` is what it saw."""

    row: ScheduleRow
    new_last: float
    slots: Sequence[OccurrenceRow]
    jobs: Sequence[NewJob]


class Gap(NamedTuple):
    """A time in which no scheduler lived, and how that is said."""

    since: float
    until: float
    why: str


class ScheduleStore(Protocol):
    """Schedules, and what became of each of their slots. Every verb is one transaction."""

    def schedules(self) -> list[ScheduleRow]:
        """Every schedule on record, by name."""

    def add(self, row: ScheduleRow, replace: bool = False) -> bool:
        """Keep a schedule; False when the name is taken, unless `replace`: then its spec and `last` are changed."""

    def remove(self, name: str) -> bool:
        """Forget a schedule and its slots; False when there is none."""

    def pause(self, name: str, paused: bool) -> bool:
        """Pause or resume; False when there is none."""

    def fire(self, ticks: Sequence[Tick]) -> Mapping[str, Collection[str]]:
        """Note slots, accept their jobs and move `last`, for each schedule whose `last` and `paused` are as its caller
        saw them: name to the ids of the jobs that were accepted.

        An outcome SKIP_IF_RUNNING becomes DEFERRED, or SKIPPED when a job of the schedule has not ended; QUEUE_BEHIND
        becomes DEFERRED, WAITING when one has not ended or another slot waits, or SKIPPED when WAITING_MAX wait. A slot
        on record stays as it is, unless it was missed; a job whose id is known is not accepted again, and one whose
        unique key is held leaves its slot SKIPPED."""

    def release(self, name: str, at: float, job: NewJob | None, reason: str | None = None) -> bool:
        """Accept the job of the first slot that waits, if it still does, all jobs of the schedule have ended, and it is
        not paused; whether it was accepted. Without a job the slot becomes MISSED then, with this reason."""

    def run_now(self, slot: OccurrenceRow, job: NewJob) -> bool:
        """Note a slot that a person asked for and accept its job; False when one is on record that was neither missed
        nor skipped. Raises UniqueConflict."""

    def slots_of(self, name: str, limit: int, until: float = math.inf) -> list[tuple[OccurrenceRow, str | None]]:
        """The newest slots up to `until`, each with its job's state: a final one, 'unfinished', or None when it is not
        here."""

    def note_alive(self, now: float, why: str) -> float | None:
        """Note that a scheduler lives, and when one was last noted before; a time of more than GAP_S between the two
        becomes a Gap, with `why`."""

    def noted_s(self) -> float | None:
        """How many seconds ago a scheduler was last noted to live, by the storage's own clock where it has one; None
        when none ever was."""

    def gaps(self) -> list[Gap]:
        """The newest gaps, oldest first."""
