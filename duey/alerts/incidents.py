"""Incidents: what was found is compared with what is open, and what follows is a list of changes. No I/O.

An incident opens when a subject turns bad, and closes when it is well again. A subject that opens and closes too often
gets one incident that stays open until it has been calm for a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from duey.alerts.rules.finding import Fact, Finding
from duey.config.alerts import Alerts

HOUR_S = 3600.0
CALM_S = 900.0  # a flapping incident closes when its subject was well for so long
SURGE_S, SURGE = 60.0, 10  # an incident is told again, once, if it happened ten times as often a minute later
REFRESHED_S = 60.0  # the figures of an open incident are written at most so often

SINCE = "since the last success"  # how a fact begins that is added to a finding about a job


class Marks(NamedTuple):
    """Where the last evaluation ended."""

    entry: int
    since: float
    recorded_at: float | None = None
    backup_at: float | None = None  # of the last `duey backup`


@dataclass(frozen=True)
class Incident:
    """A row of `incidents`."""

    n: int
    id: str
    rule: str
    subject: str
    title: str
    lines: tuple[str, ...]
    facts: tuple[Fact, ...]
    link: str
    opened_at: float
    closed_at: float | None
    changed_at: float
    count: int
    told_at: float
    told_count: int
    surged: bool
    flapping: bool
    calm_at: float | None
    acked_at: float | None
    acked_by: str | None
    muted_until: float | None

    @property
    def state(self) -> str:
        return "open" if self.closed_at is None else "closed"


class Change(NamedTuple):
    """One change: `open` (without an incident), `touch`, `tell` (an open one again), `calm` or `close`."""

    kind: str
    incident: Incident | None = None
    finding: Finding | None = None
    flapping: bool = False
    silent: bool = False  # nobody is told


def changes(
    open_ones: Mapping[str, Incident], found: Iterable[Finding], on: frozenset[str], unknown: frozenset[str],
    flips: Mapping[str, int], limits: Alerts, now: float,
) -> list[Change]:  # fmt: skip
    """Return what changes. `open_ones`: by subject. `on`, `unknown`: rules that are on, and those that cannot say.
    `flips`: how often subjects without an open incident opened or closed in the last hour."""
    made: list[Change] = []
    bad = {each.subject: each for each in found}
    for subject, finding in bad.items():
        incident = open_ones.get(subject)
        if incident is not None:
            made += _still_bad(incident, finding, limits, now)
        elif finding.opens:
            made.append(Change("open", None, finding, flips.get(subject, 0) + 1 > limits.flips_per_hour))
    for subject, incident in open_ones.items():
        if subject in bad or incident.rule in unknown:
            continue
        if incident.rule not in on:
            made.append(Change("close", incident, silent=True))
        elif incident.flapping and now - (now if incident.calm_at is None else incident.calm_at) < CALM_S:
            made += [Change("calm", incident)] if incident.calm_at is None else []
        else:
            made.append(Change("close", incident))
    return made


def _still_bad(incident: Incident, finding: Finding, limits: Alerts, now: float) -> list[Change]:
    again = incident.calm_at is not None  # a flapping one turned bad again
    finding = replace(finding, count=finding.count or int(again))
    differs = finding.title != incident.title or not {*finding.facts} <= {*incident.facts}
    stale = differs and now - incident.changed_at >= REFRESHED_S
    made = [Change("touch", incident, finding)] if finding.count or again or stale else []
    count = incident.count + finding.count
    surges = (
        not incident.surged and now - incident.opened_at >= SURGE_S and count >= SURGE * max(1, incident.told_count)
    )
    repeats = now - incident.told_at >= limits.repeat_s
    is_told = (surges or repeats) and incident.acked_at is None
    return [*made, Change("tell", incident, finding)] if is_told else made


def merged(facts: tuple[Fact, ...], earlier: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Return new facts, with what was added to the earlier ones."""
    return (*facts, *(each for each in earlier if each[0].startswith(SINCE)))
