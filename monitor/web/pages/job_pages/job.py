"""One job: its page and the actions on it.

An action requires that the job is still in the state that the page showed (`was`). The engine compares the state as
it changes the job. If it is another one, nothing is changed, and the next page says so.
"""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode

from duey import errors
from duey.control.running import ask_stack
from duey.model.job import CANCELED, DONE, FAILED, QUEUED, RUNNING, Edit
from duey.monitor.web.display.text import clip
from duey.monitor.web.forms import inputs, typed
from duey.monitor.web.pages.job_pages import job_logs
from duey.monitor.web.pages.job_pages.job_view import JobView
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, File, Route, View, get, post, question
from duey.monitor.web.services import Services
from duey.monitor.web.verbs import Verbs
from duey.payload.plain import SEEN

GONE = (
    "its exact arguments are no longer kept (the queue's storage has deleted them), so it cannot run again as it was; "
    "the form on the page of its task runs a new one"
)


class JobPage:
    """GET /jobs/ID, POST /jobs/ID/retry, /run, /cancel, /stack, /again, /delete."""

    def __init__(self, services: Services) -> None:
        self._services, self._verbs, self._look = services, Verbs(services.control, services.history), JobView(services)

    def routes(self) -> list[Route]:
        return [
            post("/jobs/<job_id:path>/retry", self.retry),
            post("/jobs/<job_id:path>/cancel", self.cancel),
            post("/jobs/<job_id:path>/run", self.run),
            post("/jobs/<job_id:path>/again", self.again),
            post("/jobs/<job_id:path>/stack", self.stack),
            post("/jobs/<job_id:path>/delete", self.delete),
            get("/jobs/<job_id:path>", self.show),
        ]

    def show(self, request: Request, job_id: str) -> View | File:
        if request.query.get("download") == "log":
            return job_logs.download(self._services, job_id)
        return self._look.view(request, job_id)

    def retry(self, request: Request, job_id: str) -> View | Done:
        back = self._services.links.job(job_id)
        edit: Edit | None = None
        fields: list[inputs.Input] = []
        try:
            if "edit" in request.form:
                job = self._services.control.job(job_id, SEEN)
                fields = inputs.inputs_of_job(job, self._look.task(job))
                edit, problems = typed.read_edit(fields, request.form)
                if problems:
                    raise errors.InvalidArguments(job.task, problems)
            self._services.control.requeue(job_id, edit=edit, was=_was(request))
        except errors.InvalidArguments as error:
            shown, other = typed.with_problems(typed.as_typed(fields, request.form), error.errors)
            return self._look.view(request, job_id, shown, other)
        except errors.UnknownJob:
            return Done(back, f"Nothing was changed: {GONE}.", NOTE)
        except errors.UnknownTask as error:
            return Done(back, f"Nothing was changed: {error}.", NOTE)
        except errors.Conflict as error:
            return Done(back, _unchanged(error), NOTE)
        changed = edit not in (None, Edit())
        self._services.record(request, "retry job", job_id, detail="with edited arguments" if changed else "")
        return Done(back, "Queued again with the edited arguments." if changed else "Queued again.")

    def run(self, request: Request, job_id: str) -> Done:
        back = self._services.links.job(job_id)
        try:
            self._services.control.run_now(job_id)
        except errors.UnknownJob:
            return Done(back, f"Nothing was changed: {GONE}.", NOTE)
        except errors.Conflict as error:
            return Done(back, _unchanged(error), NOTE)
        self._services.record(request, "run job now", job_id)
        return Done(back, "Queued now, before its time.")

    def cancel(self, request: Request, job_id: str) -> Done:
        back = self._services.links.job(job_id)
        with contextlib.suppress(errors.Conflict, errors.UnknownJob):  # it does not run: there is nothing to see
            ask_stack(self._services.control, job_id)  # while it still stands where it does not come on
        try:
            job = self._services.control.cancel(job_id, _was(request))
        except errors.Conflict as error:
            return Done(back, _unchanged(error), NOTE)
        self._services.record(request, "cancel job", job_id)
        asked = "Asked to stop: it ends when its code checks canceled()." if job.state == RUNNING else "Canceled."
        return Done(back, asked)

    def stack(self, request: Request, job_id: str) -> Done:
        back = self._services.links.job(job_id)
        try:
            ask_stack(self._services.control, job_id)
        except errors.Conflict as error:
            return Done(back, _unchanged(error), NOTE)
        self._services.record(request, "show stack", job_id)
        return Done(back, "Its worker was asked where it stands: the answer appears here in a second or two.")

    def again(self, request: Request, job_id: str) -> Done:
        back = self._services.links.job(job_id)
        try:
            enqueued = self._services.control.again(job_id, request.who)
        except errors.UnknownJob:
            return Done(back, f"Nothing was run: {GONE}.", NOTE)
        except (errors.BadRequest, errors.Conflict) as error:
            return Done(back, f"Nothing was run: {clip(str(error), 300)}", NOTE)
        made = enqueued.jobs[0]
        if enqueued.held:
            message = "Nothing was run: this job holds the unique key of the call, and has not ended."
            return Done(self._services.links.job(made.id), message, NOTE)
        self._services.record(request, "run job again", job_id, detail=f"as {made.id}")
        return Done(self._services.links.job(made.id), "A new job with the same call.")

    def delete(self, request: Request, job_id: str) -> View | Done:
        if "sure" not in request.form:
            links, was = self._services.links, _was(request)
            action = links.job(job_id, "delete") + (f"?{urlencode({'was': was})}" if was else "")
            sentence = "It is taken out of the history with its attempts, and cannot be retried any more."
            keep = ("Keep it", links.job(job_id))
            return question(f"Delete job {clip(job_id, 60)}?", [sentence], action, "Delete it", keep, "jobs")
        try:
            self._verbs.forget(job_id, _was(request))
        except errors.Conflict as error:
            return Done(self._services.links.job(job_id), _unchanged(error), NOTE)
        self._services.record(request, "delete job", job_id)
        return Done(self._services.links.jobs(), f"Deleted job {clip(job_id, 60)}.")


def _was(request: Request) -> str | None:
    return request.query.get("was") or None


def _unchanged(error: errors.Conflict) -> str:
    if isinstance(error, errors.StateConflict):
        verb = {
            RUNNING: "It runs already",
            QUEUED: "It is queued already",
            DONE: "It is done already",
            FAILED: "It has failed already",
            CANCELED: "It is canceled already",
        }
        return f"{verb.get(error.state, f'It is {error.state}')}: nothing was changed."
    return f"Nothing was changed: {clip(str(error), 300)}."
