"""What a channel delivers: one message about an incident, a digest, or a drill, as texts and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from duey.alerts.incidents import Incident
from duey.alerts.rules.finding import span, stamp

Kind = Literal["incident.opened", "incident.updated", "incident.closed", "digest", "drill"]
Severity = Literal["bad", "ok", "info"]
OPENED: Final = "incident.opened"
UPDATED: Final = "incident.updated"
CLOSED: Final = "incident.closed"
DIGEST: Final = "digest"
DRILL: Final = "drill"
IN_DIGEST = 20  # incidents that a digest lists
NO_LINK = "Set [web] public_url to get a link to the incident here."
# Controls, marks that turn the direction of text, and halves of surrogate pairs, which no channel can encode.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Message:
    """One message, as every channel gets it. Its texts come from tasks and errors, so that they are hostile.

    `id` is that of the notification and the same at each attempt. `title` is one line. `facts` are labels and values
    in the order in which they are shown; those labeled `task`, `schedule` and `error` are fields of a webhook, too.
    Times are epoch seconds.
    """

    kind: Kind
    id: str
    incident: str | None
    rule: str
    title: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    url: str | None
    at: float
    deployment: str
    opened_at: float | None
    closed_at: float | None
    count: int
    severity: Severity

    @property
    def subject(self) -> str:
        """One line that names the deployment and, for a drill, says that it is one."""
        drill = "DRILL: " if self.kind == "drill" else ""
        return f"[{line(self.deployment)}] {drill}{line(self.title)}"

    @property
    def text(self) -> str:
        """The lines and facts as plain text, without the link."""
        facts = [f"{line(label)}: {plain(value)}" for label, value in self.facts]
        return "\n\n".join("\n".join(each) for each in ([plain(each) for each in self.lines], facts) if each)

    @property
    def link(self) -> str:
        """The address of the page about it, or how to get one."""
        return self.url or NO_LINK


def plain(text: str) -> str:
    """The text without characters that cannot be shown. Tabs and line breaks stay."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def line(text: str) -> str:
    """The text on one line."""
    return " ".join(plain(text).split())


def clip(text: str, limit: int) -> str:
    """The text with at most so many characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


# what is said


class Place(NamedTuple):
    """The deployment that speaks, and the address of its monitor, '' if it is not known ([web] public_url)."""

    deployment: str
    monitor: str


def message_about(incident: Incident, kind: Kind, id: str, now: float, place: Place) -> Message:
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


def digest_of(incidents: Sequence[Incident], id: str, now: float, place: Place) -> Message:
    """Return one message about incidents, newest first, that were not told one by one."""
    still = sum(each.closed_at is None for each in incidents)
    alike: dict[tuple[str, bool], list[Incident]] = {}
    for each in incidents:
        alike.setdefault((each.title, each.closed_at is None), []).append(each)
    groups = list(alike.values())
    lines = [_in_digest(each) for each in groups[:IN_DIGEST]]
    if len(groups) > IN_DIGEST:
        lines.append(f"and {sum(map(len, groups[IN_DIGEST:])):,} more")
    return Message(
        kind="digest", id=id, incident=None, rule=DIGEST, title=f"{len(incidents):,} more incidents, {still:,} open",
        lines=tuple(lines), facts=(), url=f"{place.monitor}/alerts" if place.monitor else None, at=now,
        deployment=place.deployment, opened_at=min(each.opened_at for each in incidents), closed_at=None,
        count=len(incidents), severity="bad" if still else "ok",
    )  # fmt: skip


def _in_digest(alike: Sequence[Incident]) -> str:
    """One line about incidents with the same title, the newest first."""
    newest, times = alike[0], sum(each.count for each in alike)
    many = f" ({len(alike):,} incidents" + (f", {times:,} times)" if times > len(alike) else ")")
    suffix = many if len(alike) > 1 else f" ({times:,} times)" if times > 1 else ""
    over = "" if newest.closed_at is None else f", over after {span(newest.closed_at - newest.opened_at)}"
    return f"{stamp(newest.opened_at)}: {newest.title}{suffix}{over}"


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
