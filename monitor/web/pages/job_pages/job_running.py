"""A running job on its page: how long it runs beside what is usual, whether it was asked to stop and what that can do,
its log, and where its body stands."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from duey.control.running import RunningBody, running_body
from duey.errors import UnknownJob
from duey.model.job import RUNNING, Job, WorkerInfo
from duey.monitor.access import AuditEntry
from duey.monitor.history import HistoryUnavailable, LogLine, Step
from duey.monitor.web.display.formats import DAY_S, times_usual
from duey.monitor.web.display.frames import read_traceback
from duey.monitor.web.pages.job_pages.job_logs import last_of
from duey.monitor.web.request import Request
from duey.monitor.web.route import View
from duey.monitor.web.services import Services
from duey.payload.plain import IN_LIST

IN_A_THREAD = (
    "A thread cannot be stopped from outside: the job ends when its code looks (canceled, check_canceled), or at its "
    "time-out."
)
IN_A_PROCESS = (
    "If its code does not look (canceled, check_canceled), its process is killed ten seconds after the request."
)


@dataclass(frozen=True)
class Running:
    """What the page shows of a running job besides the job itself."""

    usual_ms: float | None = None  # the p95 of its task in a week
    times: str = ""  # as many times as that it runs, if that is unusual
    worker: WorkerInfo | None = None
    asked_to_stop: bool = False
    asked: AuditEntry | None = None  # by whom, if that is on record
    consequence: str = ""
    progress_at: float | None = None
    lines: list[LogLine] = field(default_factory=list)
    stack: Any = None  # display.frames.Traceback
    stack_at: float = 0.0


def look(services: Services, request: Request, job: Job) -> Running | None:
    """Return what there is to see of a running job; None if it does not run."""
    if job.state != RUNNING or (body := _body(services, job.id)) is None:
        return None
    usual_ms = None
    with contextlib.suppress(HistoryUnavailable):
        figures = services.history.task(job.qualname, 7 * DAY_S, 1)
        usual_ms = figures.figures.run.p95_ms if figures else None
    times = times_usual((request.now - job.started_at) * 1000, usual_ms) if job.started_at else ""
    worker = next((each for each in services.control.workers() if each.id == job.worker), None)
    asked = None
    if body.asked_to_stop:
        entries = services.access.audit.about(job.id, ("cancel job", "cancel"), 1)
        asked = entries[0] if entries else None
    in_thread = worker is None or worker.worker_type == "thread"
    return Running(
        usual_ms, times, worker, body.asked_to_stop, asked, IN_A_THREAD if in_thread else IN_A_PROCESS,
        body.progress_at, **_shown(request, body),
    )  # fmt: skip


def region(services: Services, request: Request, job_id: str) -> View:
    """Return the live region with the log and the stack, which is asked for every second."""
    running = None
    with contextlib.suppress(UnknownJob):  # the queue may have removed it: then it does not run
        job = services.control.job(job_id, IN_LIST)
        body = _body(services, job.id) if job.state == RUNNING else None
        running = body and Running(**_shown(request, body))
    etag = "" if running else "it does not run"
    return View("job", "", {"seen": running, "seen_id": job_id}, regions=("log",), etag=etag)


def steps(job: Job, running: Running, past: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the timeline of a running job, newest first: what the history does not know yet, and what it knows."""
    found = list(past)
    happened: list[tuple[float | None, str, str | None, str | None]] = [(job.started_at, "started", job.worker, None)]
    if running.asked_to_stop and running.asked is not None:
        happened.append((running.asked.at, "asked", None, f"by {running.asked.who}"))
    for at, kind, worker, reason in happened:
        if at is not None:
            since_ms = max(0.0, at - found[0].at) * 1000 if found else None
            found.insert(0, Step(at, kind, since_ms, worker, reason))
    return tuple(found)


def _body(services: Services, job_id: str) -> RunningBody | None:
    try:
        return running_body(services.control, job_id)
    except UnknownJob:
        return None


def _shown(request: Request, body: RunningBody) -> dict[str, Any]:
    shown: dict[str, Any] = {"lines": last_of(body.lines)}
    if body.stack is not None and request.is_admin:
        shown |= {"stack_at": body.stack[0], "stack": read_traceback(body.stack[1])}
    return shown
