"""The data of a job's page: the live state from the engine, and what is past from the history.

Either may have deleted the job while the other still has it. If both have it, the engine's state is shown, because
the history is a moment later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from duey import errors
from duey.model.job import BLOCKED, DONE, ENDED, FAILED, QUEUED, RETRYING, RUNNING, SCHEDULED, Failure, Job, TaskInfo
from duey.monitor.history import Attempt, HistoryUnavailable, JobHistory, Used
from duey.monitor.web.display import calls
from duey.monitor.web.display.formats import ago, duration, size, span, times_usual
from duey.monitor.web.display.frames import read_traceback
from duey.monitor.web.display.text import Html, as_json, clip
from duey.monitor.web.display.why import Because, why_not_running
from duey.monitor.web.forms import inputs
from duey.monitor.web.forms.filters import as_word
from duey.monitor.web.pages.job_pages import job_logs, job_running
from duey.monitor.web.pages.job_pages.jobs import row_of
from duey.monitor.web.request import Request
from duey.monitor.web.route import View
from duey.monitor.web.services import Services
from duey.payload.plain import SEEN

RESULT_CHARS = 8_000
HEAD_CHARS = 600  # of the error at the top of the page
KINDS = {
    "enqueued": "accepted",
    "started": "started",
    "asked": "asked to stop",
    "retrying": "failed, will be retried",
    "released": "returned to the queue at a shutdown",
    "rescued": "its worker died, queued again",
    "blocked": "blocked",
    "unblocked": "no longer blocked",
    "retried": "queued again by hand",
}


class JobView:
    """Makes the view of a job's page."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def view(
        self, request: Request, job_id: str, edited: Sequence[inputs.Input] | None = None, refused: Sequence[str] = ()
    ) -> View:
        """Return the view. With `edited` fields it is shown again, because they were refused."""
        storage = self._services.control.storage
        if request.fragment == "log":  # asked for every second while a job runs
            with storage.read_ahead(partial(storage.get_job, job_id)):
                return job_running.region(self._services, request, job_id)
        with storage.read_ahead(partial(storage.get_job, job_id), storage.pauses, storage.worker_infos):
            return self._view(request, job_id, edited, refused)

    def _view(
        self, request: Request, job_id: str, edited: Sequence[inputs.Input] | None, refused: Sequence[str]
    ) -> View:  # fmt: skip
        live, past = self.look_up(job_id)
        job = live or (past.row.job.unknown_to_queue() if past else None)
        if job is None:
            raise errors.UnknownJob(job_id)
        task = self.task(job)
        used = self._services.history.used(job.qualname) if past and past.attempts else None
        attempts = [self._attempt(each, used) for each in past.attempts] if past else []
        if not attempts and job.error:
            trace = read_traceback(job.error.traceback)
            attempts = [{"attempt": None, "trace": trace, "error": job.error, "logs": (), "resources": ("", "")}]
        if attempts:
            attempts[0]["is_above"] = _is_above(job, attempts[0]["error"])
        because = self.because(job)
        running = job_running.look(self._services, request, job)
        timeline = past.timeline if past else ()
        data = {
            "job": job,
            "why_not_running": sentence_of(because, request.now),
            "kept_by_engine": live is not None,
            "attempts": past.attempts if past else [],
            "timeline": job_running.steps(job, running, timeline) if running else timeline,
            "children": [row.job.id for row in past.children] if past else [],
            "runbook": task.runbook if task and job.error else "",
            "asked_to_stop": running is not None and running.asked_to_stop,
            "usual_p95_ms": running and running.usual_ms,
            "log": running.lines if running else [],
            "since_success": self._services.history.since_last_success(job.id) if past and job.error else None,
        }
        fields = list(edited) if edited is not None else inputs.inputs_of_job(job, task)
        more = {
            "seen": running,
            "seen_id": job.id,
            "because": self._shown_reason(request, because),
            "shown_attempts": attempts,
            "kinds": KINDS,
            "head_chars": HEAD_CHARS,
            "task": task,
            "python": calls.as_python(job),
            "command": calls.as_command(job),
            "curl": calls.as_curl(job, self._services.base_url(request) + self._services.links.prefix),
            "call": calls.preview(job.args, job.kwargs, 120),
            "result": _shown(job.result) if job.state == DONE else None,
            "fields": fields,
            "refused": refused,
            "can": _can(job, live is not None) - ({"again"} if task and task.internal else set()),
            "ended": job.state in ENDED,
            "gone": live is None,
            "rows": [row_of(row) for row in past.children] if past else [],
            "editing": edited is not None,
            "by_filter": as_word("by", job.by) if job.by else "",
            "fingerprint": past.row.fingerprint if past else None,
        }
        title = f"{clip(job.task, 60)} {job.state}"
        return View(
            "job", title, data, more, "jobs", ("state", "log", "record", "timeline"), 422 if edited is not None else 200
        )

    def look_up(self, job_id: str) -> tuple[Job | None, JobHistory | None]:
        """The job as the queue has it, and as the history has it."""
        live: Job | None = None
        past: JobHistory | None = None
        with contextlib.suppress(errors.UnknownJob):
            live = self._services.control.job(job_id, SEEN)
        try:
            past = self._services.history.job_history(job_id)
        except errors.UnknownJob:
            pass
        except HistoryUnavailable:
            if live is None:
                raise
        return live, past

    def task(self, job: Job) -> TaskInfo | None:
        try:
            return self._services.control.task(job.qualname)
        except errors.BadRequest:
            return None

    def _attempt(self, attempt: Any, used: Used | None) -> dict[str, Any]:
        error = attempt.error
        return {
            "resources": resources(attempt, used),
            "attempt": attempt,
            "error": error,
            "trace": read_traceback(error.traceback) if error and error.traceback else None,
            "logs": job_logs.of_attempt(attempt.logs),
            "kept_logs": len(attempt.logs),
        }

    def because(self, job: Job) -> Because | None:
        """Why the job does not run; None if it runs or has ended."""
        if job.state not in (QUEUED, BLOCKED, SCHEDULED, RETRYING):
            return why_not_running(job, ())
        control, history = self._services.control, self._services.history
        workers = control.workers()
        none_since = None
        if not any(each.alive for each in workers):
            try:
                none_since = max((each.seen_at for each in history.seen_workers()), default=None)
            except HistoryUnavailable:
                none_since = None
        return why_not_running(job, workers, self._paused_by(job), none_since)

    def _paused_by(self, job: Job) -> tuple[str, float] | None:
        kind, _, name = (job.reason or "").partition(" ")
        if kind not in ("task", "queue"):
            return None
        names = {name, name.rpartition(".")[2]}
        for action in (f"pause {kind}", "pause"):
            for entry in self._services.access.audit.page(limit=100, action=action):
                if entry.target in names:
                    return entry.who, entry.at
        return None

    def _shown_reason(self, request: Request, because: Because | None) -> tuple[str, Html, str] | None:
        if because is None:
            return None
        if because.since is not None:
            return because.text, request.times.running(because.since), because.tail
        return because.text, request.times.when(because.due) if because.due is not None else Html(""), because.tail


def resources(attempt: Attempt, used: Used | None) -> tuple[str, str]:
    """Return what an attempt used as text, and how much more that is than usual, if it is unusual."""
    if attempt.cpu_ms is None:
        return "", ""
    parts, times = [f"{duration(attempt.cpu_ms)} of processor"], ""
    if attempt.peak_bytes is not None:
        parts.append(f"at most {size(attempt.peak_bytes)} of memory")
        times = times_usual(attempt.peak_bytes, used.peak_p95_bytes if used else None)
    return ", ".join(parts), times


def _can(job: Job, kept: bool) -> set[str]:
    """Return the actions that the current state allows."""
    if job.state in ENDED:
        return {"retry", "again", "delete"} if kept else {"delete"}
    if not kept:
        return set()
    return {"cancel"} | {RETRYING: {"retry"}, RUNNING: {"stack"}, SCHEDULED: {"run"}}.get(job.state, set())


def _is_above(job: Job, error: Failure | None) -> bool:
    """Return whether the top of the page shows the whole error already."""
    if error is None or job.error is None or job.state not in (FAILED, RETRYING):
        return False
    is_it = (error.type, error.message) == (job.error.type, job.error.message)
    return is_it and len(error.message) <= HEAD_CHARS


def sentence_of(because: Because | None, now: float) -> str | None:
    """The reason as one sentence without markup."""
    if because is None:
        return None
    middle = ""
    if because.since is not None:
        middle = span(now - because.since)
    elif because.due is not None:
        middle = ago(now - because.due)
    return f"{because.text}{middle}{because.tail}."


def _shown(value: Any) -> str:
    text = as_json(value, 2)
    return (
        text
        if len(text) <= RESULT_CHARS
        else f"{text[:RESULT_CHARS]}\n… {len(text) - RESULT_CHARS} more characters: see JSON"
    )
