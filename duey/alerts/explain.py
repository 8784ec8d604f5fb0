"""Adds to a finding about a job what helps to mend it: the task's runbook, and what differs from the last success."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from duey.alerts.rules.finding import Fact, Finding
from duey.errors import UnknownJob
from duey.monitor.history import History

SINCE = "since the last success"


class Explainer:
    """`runbook` returns that of a task by its full name, or ''."""

    def __init__(self, history: History, runbook: Callable[[str], str]) -> None:
        self._history, self._runbook = history, runbook

    def explained(self, finding: Finding) -> Finding:
        """Return the finding with more lines and facts, if it is about a job. Raises HistoryUnavailable."""
        if not finding.job_id:
            return finding
        try:
            job = self._history.job(finding.job_id)
        except UnknownJob:
            return finding
        runbook, success = self._runbook(job.qualname), self._history.since_last_success(job.id)
        facts: list[Fact] = []
        if success is not None:
            facts = [(f"{SINCE}: {each.label}", f"{each.now} (was {each.before})") for each in success.differences]
        lines = (f"When it fails: {runbook}",) if runbook else ()
        return replace(finding, lines=finding.lines + lines, facts=(*finding.facts, *facts))


def merged(facts: tuple[Fact, ...], earlier: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """Return new facts, with what was added to the earlier ones."""
    return (*facts, *(each for each in earlier if each[0].startswith(SINCE)))
