"""What becomes of the jobs of a dead worker: decided here for both storages, which then apply it by token.

A death is charged to the jobs that the worker's threads handled, from the moment they left the prefetcher until their
outcomes were handed back. Claims that were merely on the desk return uncharged. A job that was alone in its process is
failed by `max_deliveries` deaths. One that died in company may be the innocent one: each such death makes it a suspect,
which runs alone (engine.desk), and only COMPANY times as many deaths fail it.

A job that must not run twice (`on_crash="fail"`) fails once its body has begun, whatever ends its worker: a death, a
time-out, a stop that was forced, a lease that ran out.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from engine import errors, events
from engine.job_storage import Dead
from engine.jobs import CANCELED, FAILED, ONCE, Claim, Settlement
from engine.liveness import BODY_ENDED, TAKEN

COMPANY = 3


class Fate(NamedTuple):
    """What becomes of one claim. Without a settlement its job goes back to the queue, with a word (`kind`) or none."""

    settlement: Settlement | None = None
    deliveries: int | None = None  # the new count, where the death is charged
    kind: str | None = None
    detail: str | None = None


def fate_of(claim: Claim, dead: Dead, stopping: bool, max_deliveries: int, compose: Any) -> Fate:
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
        return Fate(kind=events.RELEASED)
    deliveries = claim.deliveries + 1
    most = max_deliveries if len(dead.marks) == 1 else max_deliveries * COMPANY
    if once or deliveries >= most:
        error = errors.WorkerDied(deliveries, dead.host, dead.pid, once, mark.phase == BODY_ENDED)
        return Fate(compose.end(claim._replace(deliveries=deliveries), FAILED, error), deliveries)
    detail = {"host": dead.host, "pid": dead.pid, "deliveries": deliveries}
    return Fate(None, deliveries, events.RESCUED, json.dumps(detail))
