"""What becomes of the jobs of a dead worker: decided here for both storages, which then apply it by token.

A death is charged to the jobs that the worker's threads handled, from the moment they left the prefetcher until their
outcomes were handed back. Claims that were merely on the desk return uncharged. A job that was alone in its process is
failed by `max_crashes` deaths. One that died in company may be the innocent one: each such death makes it a suspect,
which runs alone (duey.worker.prefetcher), and only COMPANY times as many deaths fail it.

A job that must not run twice (`on_crash="fail"`) fails once its body has begun, whatever ends its worker: a death, a
time-out, a stop that was forced, a lease that ran out.

Where the whole consumer died (somebody killed all of it, the host went down) it is as a rule no job's doing: nothing
is charged. These deaths are counted apart, for a job may be what kills the consumer each time: TREE times as many as
a worker's own deaths fail it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from duey import errors
from duey.model import event
from duey.model.job import CANCELED, FAILED, ONCE, Claim, Settlement
from duey.storage.presence import BODY_ENDED, TAKEN, Slot

COMPANY = 3
TREE = 10


class Dead(NamedTuple):
    """How a dead worker's claims are to be treated. `charge`: count its death for the jobs that it handled."""

    worker: int
    host: str
    pid: int
    charge: bool = True
    timed_out: frozenset[int] = frozenset()  # tokens whose body was killed for its timeout: a failed attempt
    tree: bool = False  # its whole consumer died: nobody was left to see this death but a rescuer
    company: int = 0  # how many jobs were handled in all that died together, as far as is known
    marks: Mapping[int, Slot] = MappingProxyType({})  # the jobs that its threads handled, by token: the storage adds it

    def handled(self, slots: Iterable[Slot]) -> Dead:
        """With what is known of the jobs that its threads handled."""
        return self._replace(marks={slot.token: slot for slot in slots})


class Fate(NamedTuple):
    """What becomes of one claim. Without a settlement its job goes back to the queue, with a word (`kind`) or none."""

    settlement: Settlement | None = None
    deliveries: int | None = None  # the new count, where the death is charged
    tree_deaths: int | None = None  # the new count, where the whole consumer died
    kind: str | None = None
    detail: str | None = None


def fate_of(claim: Claim, dead: Dead, stopping: bool, max_crashes: int, compose: Any) -> Fate:
    """Decide on one claim. `stopping`: the job was asked to stop. `compose` composes the ends."""
    mark = dead.marks.get(claim.token)
    if stopping:  # nobody wants it to run again
        return Fate(compose.end(claim, CANCELED))
    if claim.token in dead.timed_out:
        return Fate(compose.timed_out(claim, mark.started_at if mark else None))
    if mark is None:
        return Fate()
    once = bool(claim.flags & ONCE) and mark.phase != TAKEN
    if not dead.charge:
        if once:
            return Fate(compose.end(claim, FAILED, errors.StoppedWhileItRan(mark.phase == BODY_ENDED)))
        return Fate(kind=event.RELEASED)
    deliveries = claim.deliveries + (not dead.tree)
    deaths = claim.tree_deaths + 1 if dead.tree else deliveries
    company = max(dead.company, len(dead.marks)) if dead.tree else len(dead.marks)
    most = max_crashes * (TREE if dead.tree else 1) * (COMPANY if company > 1 else 1)
    if once or deaths >= most:
        what = "consumer" if dead.tree else "worker"
        error = errors.WorkerDied(deaths, dead.host, dead.pid, once, mark.phase == BODY_ENDED, what)
        return Fate(compose.end(claim._replace(deliveries=deliveries), FAILED, error), deliveries)
    detail = json.dumps({"host": dead.host, "pid": dead.pid, "deliveries": deliveries})
    if dead.tree:
        return Fate(None, None, deaths, event.RESCUED, detail)
    return Fate(None, deliveries, None, event.RESCUED, detail)


def is_suspect(claim: Claim, max_crashes: int) -> bool:
    """Whether one more death would fail the job, or its consumer has died often with it: then it begins alone."""
    return claim.deliveries >= max(1, max_crashes - 1) or claim.tree_deaths >= max_crashes * TREE // 2
