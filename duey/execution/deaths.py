"""Decides what happens to the jobs of a dead worker. Both storages apply the decision by token.

A death is charged to the jobs that the worker's threads handled, from when they left the prefetcher until their
outcomes were handed back. Jobs that were claimed but not begun go back uncharged. A job that was alone in its process
fails after `max_crashes` deaths. A job that died together with others may be innocent. It becomes a suspect, which runs
alone (duey.worker.poison_suspects), and only COMPANY times as many such deaths fail it.

A job with `on_crash="fail"` fails if its worker ends after its body has begun, whatever the reason: a death, a
time-out, a forced stop, an expired lease.

The death of a whole consumer (it was killed, the host went down) is rarely caused by a job, so no job is charged. These
deaths are counted separately, because a job might kill the consumer each time: TREE times `max_crashes` fail it. From
the second one on it runs alone in its consumer, so that what runs beside it does not die with it each time.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from duey import errors
from duey.execution.outcomes import Outcomes, Ran
from duey.model import event
from duey.model.job import CANCELED, FAILED, ONCE, Claim, JobRecord
from duey.model.log_lines import Line
from duey.storage.presence import BODY_ENDED, TAKEN
from duey.storage.values import DeadWorker, Fate

COMPANY = 3
TREE = 10


def fate_of(
    claim: Claim, stopping: bool, dead: DeadWorker, max_crashes: int, outcomes: Outcomes, lines: Sequence[Line] = ()
) -> Fate:
    """Decide on one claim. `stopping`: the job was asked to stop. `lines`: that its body logged, as far as they were
    written while it ran."""
    mark, ran = dead.marks.get(claim.token), Ran(lines=lines)
    if stopping:  # it must not run again
        return Fate(outcomes.end(claim, CANCELED, ran=ran))
    if claim.token in dead.timed_out:
        return Fate(outcomes.killed(claim, dead, lines))
    if mark is None:
        return Fate()
    once = bool(claim.job.flags & ONCE) and mark.phase != TAKEN
    if not dead.charge:
        if once:
            stopped = errors.StoppedWhileItRan(mark.phase == BODY_ENDED)
            return Fate(outcomes.end(claim, FAILED, stopped, ran=ran))
        return Fate(kind=event.RELEASED, detail=json.dumps(ran.detail) if lines else None)
    crashes = claim.job.crashes + (not dead.tree)
    deaths = claim.job.tree_deaths + 1 if dead.tree else crashes
    company = max(dead.company, len(dead.marks)) if dead.tree else len(dead.marks)
    most = max_crashes * (TREE if dead.tree else 1) * (COMPANY if company > 1 else 1)
    if once or deaths >= most:
        what = "consumer" if dead.tree else "worker"
        error = errors.WorkerDied(deaths, dead.host, dead.pid, once, mark.phase == BODY_ENDED, what)
        counted = claim._replace(job=claim.job._replace(crashes=crashes))
        return Fate(outcomes.end(counted, FAILED, error, ran=ran), crashes)
    detail = json.dumps({"host": dead.host, "pid": dead.pid, "crashes": crashes, **ran.detail})
    if dead.tree:
        return Fate(None, None, deaths, event.RESCUED, detail)
    return Fate(None, crashes, None, event.RESCUED, detail)


def death_of(dead: DeadWorker, fates: Sequence[Fate]) -> str:
    """The detail of an event about the death itself, as JSON; '' if the supervisor meant it, or an event of a job says
    so."""
    if not dead.charge or dead.timed_out or any(fate.kind or fate.crashes is not None for fate in fates):
        return ""
    how = "its lease has expired" if dead.overdue else dead.how
    return json.dumps({"host": dead.host, "pid": dead.pid, "how": how})


def is_poison_suspect(job: JobRecord, max_crashes: int) -> bool:
    """Whether the job must run alone in its process: one more death would fail it."""
    return job.crashes >= max(1, max_crashes - 1)


def is_tree_suspect(job: JobRecord) -> bool:
    """Whether the job must run alone in its consumer, which has died twice while it ran."""
    return job.tree_deaths >= 2
