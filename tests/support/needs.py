"""What a test needs and a machine may lack: a server, a browser, a right.

`needs` skips the test with one line that says what to install. Where everything is expected to run (CI=true),
`strict` turns each skip into a failure, so that nothing is left out unseen. conftest.py installs it.
"""

import os
from typing import TypeVar

import pytest

T = TypeVar("T")


def needs(found: T | None, sentence: str) -> T:
    """Return `found`, or skip with the sentence: what is missing, and what to do."""
    if not found:
        pytest.skip(sentence)
    return found


def strict(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where CI=true, make a skip a failure with the same line. An expected failure (xfail) stays one."""
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{reason.removeprefix('Skipped: ')} (nothing may be skipped where CI=true)"
