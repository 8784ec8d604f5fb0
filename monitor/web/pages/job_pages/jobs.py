"""The jobs: tabs by state, a filter, a page of rows, and actions on selected or on all matching jobs.

An action on many jobs has two steps. The first POST has the selected jobs (`STATE ID`, as each row showed it) or the
filter, and its answer shows the number by state and asks. The second has the same and the time of the first; jobs that
changed since then are left out. Without a tab's state, an action leaves the jobs alone that do not need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from duey.model.job import BLOCKED, CANCELED, DONE, EXPIRED, FAILED, QUEUED, RETRYING, RUNNING, SCHEDULED
from duey.monitor.history import Count, JobFilter, JobRow
from duey.monitor.web.display import calls
from duey.monitor.web.display.formats import count
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.forms.filters import Filter, read_filter
from duey.monitor.web.listing import Listing
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View, get, post, unchanged
from duey.monitor.web.services import Services, live_etag
from duey.monitor.web.verbs import CANCEL, DELETE, NEEDS, RETRY, VERBS, Tally, Verbs

# (state, label), the most important first.
TABS = (
    ("", "All"),
    (FAILED, "Failed"),
    (RUNNING, "Running"),
    (QUEUED, "Queued"),
    (BLOCKED, "Blocked"),
    (RETRYING, "Retrying"),
    (SCHEDULED, "Scheduled"),
    (DONE, "Done"),
    (CANCELED, "Canceled"),
    (EXPIRED, "Expired"),
)
PAGE, LONGEST_PAGE = 25, 200
EMPTY = {
    "": "Every job that is still in the history. Run a task from its page under Tasks, or by the API.",
    FAILED: "Jobs that used up their retries, kept with arguments and traceback until they are retried or deleted.",
    RUNNING: "Jobs whose body runs now, with their progress. A consumer takes them from the queue.",
    QUEUED: "Jobs that wait for a worker.",
    BLOCKED: "Jobs whose task or queue is paused, whose limit is reached, or whose task no consumer knows.",
    RETRYING: "Jobs whose last attempt failed and that will run again by themselves.",
    SCHEDULED: "Jobs that start later (delay or eta).",
    DONE: "Jobs that succeeded.",
    CANCELED: "Jobs that were canceled before or while they ran.",
    EXPIRED: "Jobs that were not started in time (expires).",
}
KEYS_HELP = (
    "The filter takes text (in names, arguments, messages and ids) and task:import_csv, state:failed, error:KeyError, "
    "queue:slow, args.to:bob@, args.order.sku:A7, since:2h, until:2030-01-31T14:00Z, group:…, by:ana and parent:…"
)
# The actions on each tab. A job whose state does not allow one is not changed.
OFFERED = {
    "": VERBS,
    FAILED: (RETRY, DELETE),
    RUNNING: (CANCEL,),
    QUEUED: (CANCEL,),
    BLOCKED: (CANCEL,),
    RETRYING: (RETRY, CANCEL),
    SCHEDULED: (CANCEL,),
    DONE: (RETRY, DELETE),
    CANCELED: (RETRY, DELETE),
    EXPIRED: (RETRY, DELETE),
}


class JobsPage:
    """GET /jobs, POST /jobs."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._listing, self._verbs = (
            Listing(services.control, services.history),
            Verbs(services.control, services.history),
        )

    def routes(self) -> list[Route]:
        return [get("/jobs", self.show, reads=self._listing.reads), post("/jobs", self.post, fresh=_deletes)]

    def show(self, request: Request) -> View:
        etag = live_etag(self._services, request) if request.fragment else ""
        if request.knows(etag):
            return unchanged("jobs", etag)
        asked = read_filter(request.query, request.now)
        cursor = request.query.get("cursor") or None
        page = self._listing.page(asked.wanted, _limit(request.query), cursor)
        counts = self._listing.counts(asked.wanted)
        data = {
            "filter": asked.wanted,
            "problems": (*asked.problems, *asked.notes),
            "counts": counts,
            "jobs": page.rows,
            "next": page.next,
            "searched_back_to": page.searched_back_to,
        }
        more = {
            "asked": asked,
            "tabs": self._tabs(asked, counts),
            "rows": [row_of(each) for each in page.rows],
            "older": asked.query(cursor=page.next, limit=request.query.get("limit")) if page.next else None,
            "newest": asked.query() if cursor else None,
            "hint": EMPTY[asked.state],
            "keys": KEYS_HELP,
            "offered": OFFERED[asked.state],
            "matching": counts.get(asked.state) if asked.state else _sum(counts),
        }
        return View("jobs", _title(asked), data, more, "jobs", ("list",), etag=etag)

    def _tabs(self, asked: Filter, counts: dict[str, Count]) -> list[tuple[str, str, str, bool]]:
        return [
            (
                label,
                self._services.links.jobs(**asked.query(state=state)),
                count(counts[state]) if state else "",
                asked.state == state,
            )
            for state, label in TABS
        ]

    # actions on many jobs

    def post(self, request: Request) -> View | Done:
        form, verb = request.form, request.form.get("verb")
        if verb not in VERBS:
            raise Refusal(400, f"expected retry, cancel or delete, found {verb[:50]!r}")
        asked = read_filter(form, request.now)
        if asked.problems:
            raise Refusal(422, asked.problems[0])
        back = self._services.links.jobs(**asked.query())
        ids = [] if "every" in form else list(dict.fromkeys(form.all("id")))
        if not ids and "every" not in form:
            return Done(back, "No job was selected: nothing was changed.", NOTE)
        if "sure" not in form:
            return self._ask(request, verb, asked, ids, back)
        states = _states(verb, asked)
        chosen = [each for each in map(_ticked, ids) if each[1] in states]
        if ids:
            tally = self._verbs.many(verb, chosen, Tally(unneeded=len(ids) - len(chosen)))
            target = ids[0].partition(" ")[2] if len(ids) == 1 else "ticked"
        else:
            tally = self._verbs.all(verb, states, self._bounded(asked, form))
            target = f"{asked.state or 'all'} {asked.task} {asked.box}".strip()
        self._services.record(request, f"{verb} jobs", target, tally.done, f"left alone: {tally.refused}")
        return Done(back, tally.sentence(verb), "good" if tally.done else NOTE)

    def _ask(self, request: Request, verb: str, asked: Filter, ids: list[str], back: str) -> View:
        if ids:
            counts = {state: Count(number) for state, number in Counter(_ticked(each)[1] for each in ids).items()}
        elif asked.state:
            counts = {asked.state: self._listing.count(asked.wanted)}
        else:
            counts = {state: number for state, number in self._listing.counts(asked.wanted).items() if number.number}
        states = _states(verb, asked)
        acted = {state: each for state, each in counts.items() if state in states}
        number = _sum(acted)
        shown = replace(asked.wanted, state=next(iter(acted), None))
        page = self._listing.page(shown, 5, None) if acted and not ids else None
        selection = f"{count(number)} {'job' if number.number == 1 else 'jobs'}"
        data = {"verb": verb, "number": number, "ids": ids, "by_state": acted}
        more = {
            "these": selection,
            "by_state": _by_state(acted),
            "left": _by_state({state: each for state, each in counts.items() if state not in states}),
            "repeats": verb == RETRY and acted.get(DONE),
            "asked": asked,
            "back": back,
            "examples": [row_of(each) for each in page.rows] if page else [],
            "until": f"{request.now:.3f}",
        }
        return View("jobs_sure", f"{verb.capitalize()} {selection}?", data, more, "jobs")

    def _bounded(self, asked: Filter, form: Fields) -> JobFilter:
        try:
            until = float(form.get("until"))
        except ValueError:
            raise Refusal(400, "the form lacks the time of its question: open the page again") from None
        return replace(asked.wanted, until=min(until, asked.wanted.until or until))


def _states(verb: str, asked: Filter) -> tuple[str, ...]:
    """The states of the jobs on which an action acts: that of the tab, or those that need it."""
    return (asked.state,) if asked.state else NEEDS[verb]


def _by_state(counts: Mapping[str, Count]) -> str:
    return ", ".join(f"{count(each)} {state}" for state, each in counts.items())


def _deletes(form: Fields) -> bool:
    return form.get("verb") == DELETE and "sure" in form


def _ticked(text: str) -> tuple[str, str]:
    was, _, job_id = text.partition(" ")
    return job_id, was


def row_of(row: JobRow) -> dict[str, Any]:
    """Return the values of a job that a list shows."""
    job = row.job
    return {
        "job": job,
        "call": calls.preview(job.args, job.kwargs),
        "changed_at": row.changed_at,
        "error": job.error if job.state in (FAILED, RETRYING) else None,
        "attempt": job.attempt + 1 if job.state == RUNNING else job.attempt,
        "waits_since": max(job.enqueued_at, job.eta or 0) if job.state in (QUEUED, BLOCKED) else None,
    }


def _limit(query: Fields) -> int:
    text = query.get("limit")
    return max(1, min(LONGEST_PAGE, int(text))) if text.isascii() and text.isdigit() and len(text) < 5 else PAGE


def _sum(counts: dict[str, Count]) -> Count:
    return Count(sum(each.number for each in counts.values()), any(each.capped for each in counts.values()))


def _title(asked: Filter) -> str:
    label = dict(TABS)[asked.state]
    return "Jobs" if not asked.state else f"{label} jobs"
