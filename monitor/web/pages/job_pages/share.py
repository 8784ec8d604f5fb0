"""Links for a person who waits for one job: without a log-in, its state and progress are shown until the link expires.

A link holds the id of the job and when it expires, with an HMAC of both by the secret of this installation, so that
nothing is stored and nobody can make one or change it. It shows no arguments, no result, no error and no log.
"""

from __future__ import annotations

import base64
import hmac

from duey import errors
from duey.model.job import RUNNING, Job
from duey.monitor.web.display.formats import DAY_S, HOUR_S
from duey.monitor.web.display.text import clip
from duey.monitor.web.pages.job_pages.job_view import JobView
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import Route, View, get, post
from duey.monitor.web.services import Services

LIFETIMES_S = {"1h": HOUR_S, "1d": DAY_S, "7d": 7 * DAY_S}
PURPOSE, MARK_CHARS = "share", 32
UNKNOWN = "this link shows no job: ask whoever sent it for another one"

ONLY_FOR_THEM = {"X-Robots-Tag": "noindex, nofollow"}


class SharePage:
    """POST /jobs/ID/share, GET /shared/TICKET."""

    def __init__(self, services: Services) -> None:
        self._services, self._look = services, JobView(services)

    def routes(self) -> list[Route]:
        return [
            post("/jobs/<job_id:path>/share", self.share),
            get("/shared/<ticket>", self.show, open_to_all=True),
        ]

    def share(self, request: Request, job_id: str) -> View:
        job, lifetime_s = self._job(job_id), LIFETIMES_S.get(request.form.get("for", "1d"))
        if job is None:
            raise errors.UnknownJob(job_id)
        if lifetime_s is None:
            raise Refusal(422, f"expected {', '.join(LIFETIMES_S)}, found {request.form.get('for')[:40]!r}")
        expires_at = int(request.now + lifetime_s)
        text = f"{expires_at}.{base64.urlsafe_b64encode(job.id.encode()).decode().rstrip('=')}"
        path = self._services.links.to(f"/shared/{text}.{self._mark(text)}")
        url = self._services.base_url(request) + path
        self._services.record(request, "share job", job.id, detail=f"until {request.times.exact(expires_at)}")
        data = {"url": url, "expires_at": float(expires_at), "job": job.id}
        return View("share_made", f"A link to {clip(job.task, 60)}", data, {"task": job.task}, "jobs")

    def show(self, request: Request, ticket: str) -> View:
        text, _, mark = ticket.rpartition(".")
        expires, _, coded = text.partition(".")
        if not hmac.compare_digest(mark.encode("utf-8", "replace"), self._mark(text).encode()):
            raise Refusal(404, UNKNOWN)
        if int(expires) < request.now:
            raise Refusal(410, f"this link expired at {request.times.exact(int(expires))}: ask for another one")
        job = self._job(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode())
        if job is None:
            raise Refusal(404, "this job is no longer kept")
        shown = {
            "task": job.task, "state": job.state, "enqueued_at": job.enqueued_at, "eta": job.eta,
            "started_at": job.started_at, "finished_at": job.finished_at,
            "progress": job.progress if job.state == RUNNING else None,
        }  # fmt: skip
        title = f"{clip(job.task, 60)} {job.state}"
        data = {"job": shown, "expires_at": float(expires)}
        return View("shared", title, data, section="shared", regions=("state",), headers=ONLY_FOR_THEM)

    def _job(self, job_id: str) -> Job | None:
        live, past = self._look.look_up(job_id)
        return live or (past.row.job if past else None)

    def _mark(self, text: str) -> str:
        return self._services.access.csrf.mark(PURPOSE, text)[:MARK_CHARS]
