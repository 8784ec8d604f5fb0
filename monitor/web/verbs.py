"""Actions on many jobs: retry, cancel or delete, one after the other.

Each action requires that the job is still in the state that the user saw. The engine compares the state as it
changes the job; other jobs are counted and not changed. The time is limited, so that the request ends; the answer
says what is left.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from duey import errors
from duey.control.service import Control
from duey.model.job import BLOCKED, CANCELED, DONE, EXPIRED, FAILED, QUEUED, RETRYING, RUNNING, SCHEDULED
from duey.monitor.history import History, JobFilter
from duey.monitor.web.display.formats import plural
from duey.monitor.web.listing import Listing

RETRY, CANCEL, DELETE = VERBS = ("retry", "cancel", "delete")
RESULTS = {RETRY: "queued again", CANCEL: "canceled, or asked to stop", DELETE: "deleted"}
# The states in which an action is wanted where the user chose no state. A job that is done is retried only where the
# user asked for done jobs: whatever it did happens a second time.
NEEDS = {
    RETRY: (FAILED, CANCELED, EXPIRED),
    CANCEL: (RUNNING, QUEUED, BLOCKED, RETRYING, SCHEDULED),
    DELETE: (FAILED, DONE, CANCELED, EXPIRED),
}
AT_ONCE_S = 20.0
IDS_AT_ONCE = 500
Chosen = tuple[str, "str | None"]  # the id of a job, and the state in which the user saw it
Clock = Callable[[], float]


@dataclass
class Tally:
    """The results."""

    done: int = 0
    refused: int = 0  # their state did not allow it
    unneeded: int = 0  # they did not need it
    left: bool = False  # the time was over

    def sentence(self, verb: str) -> str:
        parts = [f"{plural(self.done, 'job')} {RESULTS[verb]}"]
        if self.refused:
            parts.append(f"{plural(self.refused, 'job')} left alone: their state does not allow it any more")
        if self.unneeded:
            others = plural(self.unneeded, "job")
            parts.append(f"{others} left alone: to {verb} them as well, choose the tab of their state")
        if self.left:
            parts.append("time was up before all were reached: repeat it for the rest")
        return "; ".join(parts) + "."


class Verbs:
    """Carries out actions. `within_s`: the time for an action on many jobs."""

    def __init__(self, control: Control, history: History, within_s: float = AT_ONCE_S) -> None:
        self._control, self._history, self._within_s = control, history, within_s

    def one(self, verb: str, job_id: str, was: str | None) -> None:
        """Act on one job, if its state is `was` (None: any). Raises Conflict, UnknownJob, StorageUnavailable."""
        if verb == RETRY:
            self._control.requeue(job_id, was=was)
        elif verb == CANCEL:
            self._control.cancel(job_id, was)
        else:
            self.forget(job_id, was)

    def forget(self, job_id: str, was: str | None) -> None:
        """Delete an ended job from the history, and from the queue's storage if it is still there."""
        with contextlib.suppress(errors.UnknownJob):
            self._control.forget(job_id, was)
        self._history.forget(job_id)

    def many(self, verb: str, chosen: Sequence[Chosen], tally: Tally, clock: Clock = time.monotonic) -> Tally:
        """Act on each of these jobs, until the time is over."""
        end = clock() + self._within_s
        for job_id, was in chosen:
            if clock() > end:
                tally.left = True
                break
            try:
                self.one(verb, job_id, was)
                tally.done += 1
            except (errors.Conflict, errors.BadRequest):
                tally.refused += 1
        return tally

    def all(
        self, verb: str, states: Sequence[str], wanted: JobFilter, note: Callable[[Tally], None] = lambda tally: None
    ) -> Tally:  # fmt: skip
        """Act on all jobs in these states that match. `note` is called after each batch of them."""
        listing, tally = Listing(self._control, self._history), Tally()
        seen: set[str] = set()
        for state in states:
            cursor = None
            while not tally.left:
                ids, cursor = listing.ids(replace(wanted, state=state), IDS_AT_ONCE, cursor)
                fresh = [(each, state) for each in ids if each not in seen]
                seen.update(ids)
                self.many(verb, fresh, tally)
                note(tally)
                if cursor is None:
                    break
        return tally
