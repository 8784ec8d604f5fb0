"""What changed in the last day or week, as one list: code, errors, incidents, and what people did; and slower tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from duey.monitor.access.audit import AuditEntry
from duey.monitor.history.tallies import percentile_ms
from duey.monitor.web.display.formats import DAY_S
from duey.monitor.web.display.text import clip
from duey.monitor.web.request import Request
from duey.monitor.web.route import Route, View, get
from duey.monitor.web.services import Services
from duey.monitor.web.situation import asked

WINDOWS = {"24h": DAY_S, "7d": 7 * DAY_S}
LISTED, SLOWER_LISTED = 200, 10
SLOWER, LEAST_MS, LEAST_RUNS = 2.0, 100.0, 5  # percentiles are exact within a factor of 2
VISITS = ("log in", "log out")  # they change nothing


@dataclass(frozen=True)
class Change:
    """One thing that changed. `path`: of the page that tells more, below the host; '' for none."""

    at: float
    kind: str
    text: str
    path: str
    who: str = ""


@dataclass(frozen=True)
class Slower:
    """A task whose p95 in the window is much above that of the four windows before."""

    task: str
    qualname: str
    p95_ms: float
    usual_ms: float


class ChangesPage:
    """GET /changes."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[Route]:
        return [get("/changes", self.show)]

    def show(self, request: Request) -> View:
        window = request.query.get("window") if request.query.get("window") in WINDOWS else "24h"
        length_s = WINDOWS[window]
        found = sorted(self._found(request.now - length_s), key=lambda each: -each.at)
        slower = self._slower(length_s)
        data = {"window": window, "changes": found[:LISTED], "left_out": max(0, len(found) - LISTED), "slower": slower}
        to = self._services.links.to
        more = {"windows": [(each, to("/changes", window=each), each == window) for each in WINDOWS]}
        return View("changes", "What changed", data, more, "overview")

    def _found(self, since: float) -> Iterator[Change]:
        services, links = self._services, self._services.links
        for at, code in asked(lambda: services.history.deploys(since)) or ():
            yield Change(at, "new code", code, links.to("/workers"))
        groups = asked(lambda: services.history.error_groups(None, limit=LISTED))
        for each in groups.groups if groups else ():
            text = f"{each.type} in {each.task}: {clip(each.message, 160)}"
            if each.first_seen >= since:
                yield Change(each.first_seen, "new error", text, links.error(each.fingerprint))
            if each.regressed_at is not None and each.regressed_at >= since:
                yield Change(each.regressed_at, "regressed error", text, links.error(each.fingerprint))
        incidents = asked(services.alerts.incidents)
        for view in incidents.rows if incidents else ():
            incident = view.incident
            if incident.opened_at >= since:
                yield Change(incident.opened_at, "incident", incident.title, links.to("/alerts"))
            if incident.closed_at is not None and incident.closed_at >= since:
                yield Change(incident.closed_at, "incident over", incident.title, links.to("/alerts"))
        entries = asked(lambda: services.access.audit.page(limit=LISTED))
        yield from (self._by_person(each) for each in entries or () if each.at >= since and each.action not in VISITS)

    def _by_person(self, entry: AuditEntry) -> Change:
        many = f", {entry.count} of them" if entry.count > 1 else ""
        text = f"{entry.target}{many}{f' ({clip(entry.detail, 200)})' if entry.detail else ''}"
        path = self._services.links.to("/audit", who=entry.who, action=entry.action)
        return Change(entry.at, entry.action, text, path, entry.who)

    def _slower(self, length_s: float) -> list[Slower]:
        """Return the tasks that became slower than in the four windows before, the most first."""
        history, found = self._services.history, []
        now, both = asked(partial(history.tasks, length_s)) or (), asked(partial(history.tasks, 5 * length_s)) or ()
        whole = {each.qualname: each.run for each in both}
        for each in now:
            run, longer = each.run, whole.get(each.qualname, each.run)
            before = [long - short for long, short in zip(longer.buckets, run.buckets, strict=True)]
            usual_ms = percentile_ms(before, 0.95, longer.max_ms) if min(before) >= 0 else None
            if usual_ms and run.p95_ms and run.p95_ms >= max(LEAST_MS, SLOWER * usual_ms) and run.count >= LEAST_RUNS:
                found.append(Slower(each.task, each.qualname, run.p95_ms, usual_ms))
        return sorted(found, key=lambda each: -each.p95_ms / each.usual_ms)[:SLOWER_LISTED]
