"""One error group: how often it failed and since when, its jobs by state, the last trace, and who marked it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from duey.errors import UnknownJob
from duey.model.job import FAILED
from duey.monitor.history import ErrorGroup, JobFilter
from duey.monitor.history.queries.groups import STEP_HOURS
from duey.monitor.web.display import charts
from duey.monitor.web.display.formats import count, number
from duey.monitor.web.display.frames import read_traceback
from duey.monitor.web.display.text import Html, clip
from duey.monitor.web.listing import Listing
from duey.monitor.web.pages.errors import ACTIONS, BUTTONS
from duey.monitor.web.pages.job_pages.jobs import row_of
from duey.monitor.web.pages.overview import marks_of, starts_of
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import Route, View, get
from duey.monitor.web.services import Services
from duey.monitor.web.situation import asked

JOBS_SHOWN, MARKS_SHOWN = 10, 10


class ErrorPage:
    """GET /errors/FINGERPRINT."""

    def __init__(self, services: Services) -> None:
        self._services, self._listing = services, Listing(services.control, services.history)

    def routes(self) -> list[Route]:
        return [get("/errors/<fingerprint>", self.show, reads=self._listing.reads)]

    def show(self, request: Request, fingerprint: str) -> View:
        services = self._services
        group = services.history.error_group(fingerprint)
        if group is None:
            raise Refusal(404, "no error group has this fingerprint (any more)")
        found = self._listing.counts(JobFilter(fingerprint=fingerprint))
        states = {state: each for state, each in found.items() if each.number}
        rows = services.history.failed_jobs(fingerprint, JOBS_SHOWN)
        target = f"{group.type} in {group.task}"
        changes = asked(lambda: services.access.audit.about(target, ACTIONS, MARKS_SHOWN, fingerprint)) or ()
        data = {
            "group": group,
            "by_state": states,
            "runbook": services.control.runbook(group.qualname),
            "since_success": services.history.since_last_success(group.last_job_id),
            "changes": changes,
            "jobs": [row.job.id for row in rows],
        }
        links, q = services.links, f"group:{fingerprint}"
        more = {
            "spans": [
                (label, figure, links.jobs(q=f"{q} since:{span}"))
                for label, span, figure in (
                    ("Last hour", "1h", group.last_hour),
                    ("Last 24 h", "24h", group.last_day),
                    ("Last 7 days", "7d", group.last_week),
                )
            ],
            "states": [(name, each, links.jobs(state=name, q=q)) for name, each in states.items()],
            "failed": states.get(FAILED),
            "filter_text": q,
            "chart": self._chart(group, request),
            "marks": BUTTONS,
            "rows": [row_of(row) for row in rows],
            "sample": self._sample(group, [row.job.id for row in rows]),
            "here": links.error(fingerprint),
        }
        title = clip(f"{group.type} in {group.task}", 80)
        return View("error_group", title, data, more, "errors", ("figures",))

    def _sample(self, group: ErrorGroup, job_ids: list[str]) -> dict[str, Any] | None:
        """Return the newest failed attempt of the group that is kept."""
        for job_id in (group.last_job_id, *job_ids):
            try:
                attempts = self._services.history.attempts(job_id)
            except UnknownJob:
                continue
            for each in attempts:
                if each.fingerprint == group.fingerprint and each.error:
                    trace = read_traceback(each.error.traceback) if each.error.traceback else None
                    return {"at": each.finished_at, "error": each.error, "trace": trace}
        return None

    def _chart(self, group: ErrorGroup, request: Request) -> Html:
        step_s = STEP_HOURS * 3600
        end = request.now // 3600 * 3600 + 3600
        starts = [end - (len(group.sparkline) - n) * step_s for n in range(len(group.sparkline))]
        names = [datetime.fromtimestamp(at, request.times.zone).strftime("%d %b %H:%M") for at in starts]
        tips = [f"{name}: {number(each)} failed" for name, each in zip(names, group.sparkline, strict=True)]
        label = f"{count(group.last_week)} failed attempts in 7 days"
        axis = (names[0], names[len(names) // 2], "now")
        events = marks_of(starts_of(self._services.history, starts[0]), starts, request.times)
        return charts.stacked([(0, each) for each in group.sparkline], tips, axis, label, events=events)
