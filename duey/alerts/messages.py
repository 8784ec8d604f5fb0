"""Messages about incidents, as texts and as JSON in `notifications`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from duey.alerts.incidents import Incident
from duey.alerts.message import Kind, Message, Severity
from duey.alerts.rules.words import span, stamp

OPENED: Final = "incident.opened"
UPDATED: Final = "incident.updated"
CLOSED: Final = "incident.closed"
DIGEST: Final = "digest"
DRILL: Final = "drill"
IN_DIGEST = 20  # incidents that a digest lists


class Place(NamedTuple):
    """The deployment that speaks, and the address of its monitor, '' if it is not known ([web] public_url)."""

    deployment: str
    monitor: str


def about(incident: Incident, kind: Kind, id: str, now: float, place: Place) -> Message:
    """Return the message about an incident."""
    drill = incident.rule == DRILL
    severity: Severity = "ok" if kind == CLOSED else "bad"
    return Message(
        kind=DRILL if drill else kind, id=id, incident=incident.id, rule=incident.rule,
        title=f"Resolved: {incident.title}" if kind == CLOSED else incident.title,
        lines=_state_in_words(incident, kind, now) + (() if kind == CLOSED else incident.lines), facts=incident.facts,
        url=f"{place.monitor}/alerts?incident={incident.id}" if place.monitor else None, at=now,
        deployment=place.deployment, opened_at=incident.opened_at, closed_at=incident.closed_at,
        count=incident.count, severity="info" if drill else severity,
    )  # fmt: skip


def _state_in_words(incident: Incident, kind: str, now: float) -> tuple[str, ...]:
    """How it stands with an incident, in sentences."""
    times = f" It happened {incident.count:,} times." if incident.count > 1 else ""
    if kind == CLOSED:
        return (f"It is over after {span((incident.closed_at or now) - incident.opened_at)}.{times}",)
    if kind == UPDATED:
        return (f"It has been open for {span(now - incident.opened_at)}.{times}",)
    if incident.flapping:
        return ("It opens and closes again and again. You are told once more when it has been well for a while.",)
    return ()


def digest(incidents: Sequence[Incident], id: str, now: float, place: Place) -> Message:
    """Return one message about incidents, newest first, that were not told one by one."""
    still = sum(each.closed_at is None for each in incidents)
    lines = [
        f"{stamp(each.opened_at)}: {each.title}"
        + (f" ({each.count:,} times)" if each.count > 1 else "")
        + ("" if each.closed_at is None else f", over after {span(each.closed_at - each.opened_at)}")
        for each in incidents[:IN_DIGEST]
    ]
    if len(incidents) > IN_DIGEST:
        lines.append(f"and {len(incidents) - IN_DIGEST:,} more")
    return Message(
        kind="digest", id=id, incident=None, rule=DIGEST, title=f"{len(incidents):,} more incidents, {still:,} open",
        lines=tuple(lines), facts=(), url=f"{place.monitor}/alerts" if place.monitor else None, at=now,
        deployment=place.deployment, opened_at=min(each.opened_at for each in incidents), closed_at=None,
        count=len(incidents), severity="bad" if still else "ok",
    )  # fmt: skip


def test_of(channel: str, id: str, now: float, place: Place) -> Message:
    """Return the message of the button that tests a channel."""
    return Message(
        kind="drill", id=id, incident=None, rule="test", title=f"Test of the channel {channel}",
        lines=("Somebody asked for this message. Nothing is wrong.",), facts=(),
        url=f"{place.monitor}/alerts" if place.monitor else None, at=now, deployment=place.deployment,
        opened_at=None, closed_at=None, count=1, severity="info",
    )  # fmt: skip


def to_json(message: Message) -> str:
    return json.dumps(vars(message), ensure_ascii=True)


def from_json(text: str) -> Message:
    values: dict[str, Any] = json.loads(text)
    return Message(
        **{**values, "lines": tuple(values["lines"]), "facts": tuple((name, value) for name, value in values["facts"])}
    )
