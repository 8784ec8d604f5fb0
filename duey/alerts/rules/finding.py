"""A finding: what a rule says about one subject at one time. Findings become incidents (duey.alerts.incidents)."""

from __future__ import annotations

from dataclasses import dataclass

Fact = tuple[str, str]  # label and value; `task`, `schedule` and `error` are also fields of a webhook's JSON


@dataclass(frozen=True)
class Finding:
    """Something is wrong with a subject now. A subject without a finding is well.

    `count`: how often it happened since the last evaluation; 0 for a condition that goes on. `opens` False: it only
    keeps an open incident open. `link`: path below /monitor/.
    """

    rule: str
    subject: str
    title: str
    lines: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    link: str = ""
    count: int = 0
    opens: bool = True
    job_id: str = ""  # a job that it is about
