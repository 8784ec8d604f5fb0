"""The fire drill: a job that fails on purpose is followed through worker, recorder, rule and every channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from duey import errors
from duey.alerts.message import DRILL
from duey.alerts.service import AlertService, IncidentView
from duey.alerts.store import SELECT, incident_of
from duey.control.service import Control
from duey.model.job import BLOCKED, DEFAULT_QUEUE, FAILED
from duey.monitor.history import History
from duey.tasks import drill

POLL_S = 0.1
LIMITS_S = {"worker": 30.0, "recorder": 30.0, "rule": 30.0}
CHANNEL_S = 45.0  # two attempts
WHY = {  # a hop may not come
    "worker": "no worker ran the job: is a consumer running?",
    "recorder": "the failure was not recorded: is the web process (or `duey record`) running?",
    "rule": "no incident was opened: is the web process running?",
}
LAST = f"{SELECT} WHERE rule = '{DRILL}' ORDER BY n DESC LIMIT 10"
RECORDED = "SELECT 1 FROM jobs WHERE id = ? AND state = 'failed'"
BY_SUBJECT = f"{SELECT} WHERE subject = ?"


class Hop(NamedTuple):
    """One step of the way. `done`: it is behind; `failed`: it will not come. `answer`: what was seen, or why not."""

    name: str
    done: bool
    answer: str = ""
    failed: bool = False


class Timed(NamedTuple):
    """A hop, and how many seconds it took."""

    hop: Hop
    seconds: float


class DrillState(NamedTuple):
    """What the last drills proved: when every channel last took the message, and the first hop of the last drill that
    failed since."""

    proven_at: float | None
    failed_at: float | None
    problem: str


class Drill:
    """Starts drills, and follows them."""

    def __init__(self, control: Control, history: History, alerts: AlertService) -> None:
        self._control, self._history, self._alerts = control, history, alerts

    def start(self, by: str | None) -> str:
        """Enqueue the job that fails. Return its id. Raises StorageUnavailable."""
        served = [name for each in self._control.workers() if each.alive for name in each.queues if name != "*"]
        queue = DEFAULT_QUEUE if DEFAULT_QUEUE in served or not served else served[0]
        job = drill.new_job(self._control.huey, queue, by)
        self._control.huey.lifecycle.enqueue_jobs([job])
        return job.id

    def hops(self, job_id: str) -> tuple[Hop, ...]:
        """Return how far a drill is: worker, recorder, rule, and each channel. Raises HistoryUnavailable."""
        incident = self._incident(job_id)
        recorded = incident is not None or self._is_recorded(job_id)
        hops = [Hop("worker", True) if recorded else self._worker(job_id), Hop("recorder", recorded)]
        hops.append(Hop("rule", incident is not None, "" if incident is None else f"incident {incident.incident.id}"))
        if incident is None:
            return (*hops, *(Hop(f"channel {name}", False) for name in self._alerts.channels))
        if not incident.notifications:
            hops.append(Hop("channels", False, "none is configured: name one in [alerts]", True))
        for each in incident.notifications:
            name, answer = f"channel {each.channel}", each.answer or ""
            hops.append(Hop(name, each.state == "sent", answer, each.state == "failed"))
        return tuple(hops)

    def follow(self, job_id: str, wait: Callable[[float], object] = time.sleep) -> Iterator[Timed]:
        """Yield each hop when it is done, failed, or took too long, which counts as failed. What comes after a hop that
        failed is not waited for; channels do not wait for each other."""
        at, behind = time.monotonic(), set[str]()
        while True:
            now, hops = time.monotonic(), self.hops(job_id)
            for hop in hops:
                if hop.name in behind:
                    continue
                if not hop.done and not hop.failed and now - at <= LIMITS_S.get(hop.name, CHANNEL_S):
                    if hop.name in LIMITS_S:
                        break
                    continue
                behind.add(hop.name)
                if not hop.done:
                    hop = hop._replace(failed=True, answer=hop.answer or WHY.get(hop.name, ""))
                yield Timed(hop, now - at)
                if hop.name in LIMITS_S:
                    if not hop.done:
                        return
                    at = now
            if len(behind) == len(hops):
                return
            wait(POLL_S)

    def state(self) -> DrillState:
        """Return what the last drills proved. Raises HistoryUnavailable."""
        failed_at, problem = None, ""
        with self._history.database.reading() as db:
            found = [incident_of(row) for row in db.execute_sql(LAST).fetchall()]
        for incident in found:
            messages = self._alerts.incident(incident.id).notifications
            if messages and all(each.state == "sent" for each in messages):
                return DrillState(max(each.ended_at or 0.0 for each in messages), failed_at, problem)
            for each in messages:
                if failed_at is None and (each.state == "failed" or (each.attempts and each.state != "sent")):
                    failed_at, problem = incident.opened_at, f"channel {each.channel}: {each.answer or 'no answer'}"
        return DrillState(None, failed_at, problem)

    def _worker(self, job_id: str) -> Hop:
        try:
            job = self._control.job(job_id)
        except errors.UnknownJob:
            return Hop("worker", False, "the job is not in the queue any more", True)
        if job.state == FAILED:
            return Hop("worker", True)
        reason = f": {job.reason}" if job.state == BLOCKED and job.reason else ""
        return Hop("worker", False, f"the job is {job.state}{reason}")

    def _is_recorded(self, job_id: str) -> bool:
        with self._history.database.reading() as db:
            return db.execute_sql(RECORDED, (job_id,)).fetchone() is not None

    def _incident(self, job_id: str) -> IncidentView | None:
        with self._history.database.reading() as db:
            row = db.execute_sql(BY_SUBJECT, (f"{DRILL} {job_id}",)).fetchone()
        return None if row is None else self._alerts.incident(incident_of(row).id)
