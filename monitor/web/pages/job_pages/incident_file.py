"""An incident file: one HTML file with all that is known of a failed job, or of an error and its last failure.

It needs no server, no script and no other file, so that it can be attached to a ticket. It shows what the pages show:
hidden values are hidden here, too.
"""

from __future__ import annotations

import platform
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from duey import errors
from duey.model.job import FAILED
from duey.monitor.history import ErrorGroup, JobFilter, JobHistory, JobRow
from duey.monitor.web.display.text import as_json, clip
from duey.monitor.web.pages.job_pages.job_view import KINDS, JobView
from duey.monitor.web.pages.job_pages.jobs import row_of
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.render import Renderer
from duey.monitor.web.request import Request
from duey.monitor.web.route import File, Route, View, get
from duey.monitor.web.services import Services

NEAR_S, NEAR_LISTED = 600.0, 20
ATTEMPTS, LOG_LINES = 5, 2_000
SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


class IncidentFile:
    """GET /jobs/ID/incident, /errors/FINGERPRINT/incident."""

    def __init__(self, services: Services) -> None:
        self._services, self._look = services, JobView(services)
        self._renderer = Renderer({"link": services.links}, services.settings.service.name)

    def routes(self) -> list[Route]:
        return [
            get("/jobs/<job_id:path>/incident", self.of_job),
            get("/errors/<fingerprint>/incident", self.of_error),
        ]

    def of_job(self, request: Request, job_id: str) -> File:
        past = self._services.history.job_history(job_id)
        return self._file(request, past, self._group(past.row.fingerprint))

    def of_error(self, request: Request, fingerprint: str) -> File:
        group = self._group(fingerprint)
        if group is None:
            raise Refusal(404, "no error group has this fingerprint (any more)")
        newest = [group.last_job_id, *(row.job.id for row in self._services.history.failed_jobs(fingerprint, 1))]
        for job_id in newest:
            try:
                return self._file(request, self._services.history.job_history(job_id), group)
            except errors.UnknownJob:
                continue
        return self._file(request, None, group)

    def _group(self, fingerprint: str | None) -> ErrorGroup | None:
        return self._services.history.error_group(fingerprint) if fingerprint else None

    def _file(self, request: Request, past: JobHistory | None, group: ErrorGroup | None) -> File:
        services, job = self._services, past.row.job if past else None
        task = job.task if job else group.task if group else ""
        at = past.row.changed_at if past else group.last_seen if group else request.now
        values: dict[str, Any] = {
            "job": job,
            "group": group,
            "arguments": as_json({"args": job.args, "kwargs": job.kwargs}, 2) if job else "",
            "context": as_json(job.context, 2) if job and job.context else "",
            "attempts": past.attempts[:ATTEMPTS] if past else (),
            "log_lines": LOG_LINES,
            "timeline": past.timeline if past else (),
            "kinds": KINDS,
            "runbook": services.control.runbook(job.qualname if job else group.qualname if group else ""),
            "since_success": services.history.since_last_success(job.id) if job else None,
            "near": [row_of(row) for row in self._near(past, at)],
            "code": services.history.code_at(job.started_at if job and job.started_at else at),
            "versions": {"Duey": _version("duey"), "Huey": _version("huey"), "Python": platform.python_version()},
            "service": services.settings.service.name,
            "near_min": int(NEAR_S // 60),
        }
        view = View("incident_file", f"{clip(task, 60)}: {job.state if job else group.type if group else ''}", values)
        name = "".join(c if c in SAFE else "-" for c in clip(job.id if job else task, 60))
        content = self._renderer.file(view, request)
        return File(f"incident-{name}.html", "text/html; charset=utf-8", content.encode("utf-8", "replace"))

    def _near(self, past: JobHistory | None, at: float) -> list[JobRow]:
        """Return what else failed around that time, and jobs of the same task, the newest first."""
        around = JobFilter(since=at - NEAR_S, until=at + NEAR_S)
        wanted = [replace(around, state=FAILED)]
        if past:
            wanted.append(replace(around, task=past.row.job.qualname))
        found = {row.n: row for each in wanted for row in self._services.history.job_rows(each, NEAR_LISTED).rows}
        found.pop(past.row.n if past else 0, None)
        return [found[n] for n in sorted(found, reverse=True)][: 2 * NEAR_LISTED]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "from a checkout"
