"""Schedules and slots (duey.storage.contract.ScheduleStore keeps them)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
