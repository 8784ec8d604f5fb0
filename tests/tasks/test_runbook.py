"""The section `When it fails:` of a docstring, however it is written."""

from __future__ import annotations

from duey.tasks.runbook import runbook_of
from tests.support import rows

RUNBOOKS = [
    (None, ""),
    ("Send a mail.", ""),
    ("Send a mail.\n\nIt fails: never.", ""),
    ("Send a mail.\n\n    When it fails: ask Ann.", "ask Ann."),
    ("Send.\n\n    When it fails:\n        Look at the relay.\n        Then retry.\n\n    Returns nothing.",
     "Look at the relay.\nThen retry."),
    ("Send.\n\n    When it fails:\n        1. Look.\n\n        2. Retry.\n    Returns:\n        nothing",
     "1. Look.\n\n2. Retry."),
    ("Send.\n\n    when it FAILS:\n    Look at the relay.\n    Then retry.\n\n    Returns nothing.",
     "Look at the relay.\nThen retry."),
    ("Send.\n\n    When it fails: look\n        at the relay.\n    Returns nothing.", "look\nat the relay."),
    ("When it fails:", ""),
]  # fmt: skip


@rows("doc, runbook", RUNBOOKS)
def test_the_section_is_found(doc, runbook) -> None:
    assert runbook_of(doc) == runbook
