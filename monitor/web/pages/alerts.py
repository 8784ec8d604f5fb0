"""The alerts: incidents, open ones first, then the channels that tell of them, the fire drill, and the rules."""

from __future__ import annotations

from typing import Any

from duey.alerts.drill import Drill
from duey.alerts.service import IncidentView, Notification, UnknownIncident
from duey.config.alerts import RULES, QuietHours
from duey.monitor.web.display.formats import plural, read_local
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import BAD, GOOD, Done, Route, View, get, post
from duey.monitor.web.services import Services

PAGE, OPEN_PAGE = 10, 50
SPANS_S = {"1h": 3600.0, "8h": 8 * 3600.0, "1d": 86400.0, "7d": 7 * 86400.0}
LONGEST_S = 366 * 86400.0
SHOWN = (
    "id", "rule", "title", "state", "opened_at", "closed_at", "count", "lines", "facts", "link", "flapping", "acked_at",
    "acked_by", "muted_until",
)  # fmt: skip
STATES = {"waiting": "queued", "sent": "done", "failed": "failed", "merged": "canceled"}  # marks of the stylesheet


class AlertsPage:
    """GET /alerts, POST /alerts/ID/ack, /alerts/ID/mute, /alerts/channels/NAME/test, /alerts/drill."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._drill = Drill(services.control, services.history, services.alerts)

    def routes(self) -> list[Route]:
        return [
            get("/alerts", self.show),
            post("/alerts/channels/<name>/test", self.test),
            post("/alerts/drill", self.drill),
            post("/alerts/<incident>/ack", self.ack),
            post("/alerts/<incident>/mute", self.mute),
        ]

    def show(self, request: Request) -> View:
        alerts, query = self._services.alerts, request.query
        rule = query.get("rule") if query.get("rule") in RULES else ""
        wanted = query.get("incident")[:100]
        current = alerts.incidents("open", OPEN_PAGE, query.get("open") or None)
        page = alerts.incidents("closed", PAGE, query.get("cursor") or None, rule or None)
        found = self._found(wanted)
        asked = {"rule": rule}
        rules = alerts.rules()
        data = {
            "filter": asked,
            "incident": found and _shown(found),
            "open": [_shown(each) for each in current.rows],
            "open_count": alerts.open_count(),
            "next_open": current.next,
            "closed": [_shown(each) for each in page.rows],
            "next": page.next,
            "channels": alerts.channel_views(),
            "drill": self._drill_shown(query.get("drill")[:60]),
            "rules": rules,
        }
        more = {
            "wanted": wanted,
            "meanings": RULES,
            "marks": STATES,
            "channels_of": _channels_of,
            "kept_since": next((each.since_at for each in rules if each.since_at is not None), None),
            "about": self._about,
            "is_muted": lambda each: each["muted_until"] is not None and each["muted_until"] > request.now,
            "hours": _hours,
            "here": self._services.links.to("/alerts", incident=wanted, **asked),
            "older": {**asked, "open": query.get("open"), "cursor": page.next} if page.next else None,
            "newest": {**asked, "open": query.get("open")} if query.get("cursor") else None,
            "older_open": {**asked, "open": current.next} if current.next else None,
            "newest_open": asked if query.get("open") else None,
            "spans": tuple(SPANS_S),
            "zone": request.times.zone_end,
        }
        return View("alerts", "Alerts", data, more, "alerts", ("list",))

    def _drill_shown(self, job_id: str) -> dict[str, Any]:
        """What the last drills proved, and how far the drill with this job is."""
        hops = [hop._asdict() for hop in self._drill.hops(job_id)] if job_id.isascii() and job_id else []
        return {**self._drill.state()._asdict(), "job_id": job_id, "hops": hops}

    def _found(self, id: str) -> IncidentView | None:
        try:
            return self._services.alerts.incident(id) if id else None
        except UnknownIncident:
            return None

    def _about(self, incident: dict[str, Any]) -> str:
        """The page of what an incident is about, '' if there is none."""
        address = f"{self._services.links.root}/{incident['link']}"
        return address if incident["link"] and self._services.links.own(address) else ""

    def ack(self, request: Request, incident: str) -> Done:
        found = self._services.alerts.ack(incident, request.who).incident
        self._services.record(request, "acknowledge incident", found.title)
        return self._done(request, f"Acknowledged by {found.acked_by}: it is told once more, when it is over.")

    def mute(self, request: Request, incident: str) -> Done:
        until = self._until(request)
        found = self._services.alerts.mute(incident, until).incident
        if until is None:
            self._services.record(request, "unmute incident", found.title)
            return self._done(request, "No longer muted.")
        clock = request.times.clock(until, " %Z")
        self._services.record(request, "mute incident", found.title, detail=f"until {clock}")
        return self._done(request, f"Muted until {clock}: nobody is told of it, or of its return, before.")

    def _until(self, request: Request) -> float | None:
        span, typed = request.form.get("for"), request.form.get("until").strip()
        if span == "off":
            return None
        if not typed and span in SPANS_S:
            return request.now + SPANS_S[span]
        try:
            until = read_local(typed, request.times.zone)
        except ValueError as error:
            raise Refusal(422, f"Mute until: {error}") from None
        if not request.now < until <= request.now + LONGEST_S:
            raise Refusal(422, f"Mute until: expected a time within the next year, found {typed[:60]!r}")
        return until

    def test(self, request: Request, name: str) -> Done:
        result = self._services.alerts.test(name)
        self._services.record(request, "test channel", name, detail=result.answer)
        if result.state == "sent":
            return self._done(request, f"{name} took the test: {result.answer}")
        return self._done(request, f"{name} did not take the test: {result.answer}", BAD)

    def drill(self, request: Request) -> Done:
        job_id = self._drill.start(request.who)
        self._services.record(request, "fire drill", job_id)
        return Done(self._services.links.to("/alerts", drill=job_id) + "#drill", "The drill has begun: a job fails.")

    def _done(self, request: Request, message: str, kind: str = GOOD) -> Done:
        links, back = self._services.links, request.form.get("back")
        return Done(back if links.own(back) else links.to("/alerts"), message, kind)


def _shown(view: IncidentView) -> dict[str, Any]:
    """An incident as the page and its data show it, with its notifications, newest first."""
    each = view.incident
    values = {name: getattr(each, name) for name in SHOWN}
    return {**values, "notifications": view.notifications[::-1]}


def _channels_of(incident: dict[str, Any]) -> list[tuple[str, str, str]]:
    """For each channel its name, the state of the newest notification, and a sentence for a tooltip."""
    newest: dict[str, Notification] = {}
    for each in incident["notifications"]:
        newest.setdefault(each.channel, each)
    return [
        (name, each.state, f"{each.kind}: {plural(each.attempts, 'attempt')}. {each.answer or 'no answer yet'}")
        for name, each in newest.items()
    ]


def _hours(quiet: QuietHours | None) -> str:
    """Quiet hours as in config.ini, with their zone; '' if there are none."""
    if quiet is None:
        return ""
    start, end = (f"{minute // 60:02}:{minute % 60:02}" for minute in (quiet.start_min, quiet.end_min))
    return f"{start}-{end} {quiet.zone}"
