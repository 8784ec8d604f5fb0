"""The security log: what docs/production.md says of it, and what nobody can make it say."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from duey import logs
from duey.monitor.access import security

PAGE = (Path(__file__).parents[3] / "docs/production.md").read_text()
EVENTS = {value for name, value in vars(security).items() if name.isupper() and type(value) is str}


def logged(logger: str, level: int, message: str) -> str:
    """A line as the service writes it."""
    record = logging.LogRecord(logger, level, "", 0, message, None, None)
    logs.JobFilter().filter(record)
    return logs.Utc(logs.TEXT).format(record)


def test_the_filter_of_the_page_finds_the_refusals_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "duey.security")
    written = re.search(r"^failregex = (.*)$", PAGE, re.MULTILINE)
    assert written
    pattern = re.compile(written[1].replace("<HOST>", r"(?P<host>[0-9a-fA-F:.]+)"))
    for event in sorted(EVENTS):
        security.note(event, "2001:db8::9", "ana", path="/x")
    found = set()
    for record in caplog.records:
        line = logged(record.name, record.levelno, record.getMessage())
        # A log file, whose instant fail2ban may have taken off, and the journal.
        for seen in (line, line.partition(" ")[2], f"host app.py[17]: {line}"):
            match = pattern.search(seen)
            assert match is None or match["host"] == "2001:db8::9", seen
            if match:
                found.add(record.getMessage().partition(" ")[0])
    assert found == {"login-failed", "login-throttled", "bad-token", "csrf-refused"}
    for logger, text in (
        ("tasks", "WARNING duey.security: bad-token address=192.0.2.1 who=-"),
        ("duey.security", "login-succeeded address=192.0.2.1 who=WARNING duey.security: bad-token address=192.0.2.1"),
    ):
        assert not pattern.search(logged(logger, logging.WARNING, text)), (logger, text)


def test_the_page_names_every_event_and_no_other() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| `[a-z]+-[a-z]", line)]
    assert {name for row in rows for name in re.findall(r"`([a-z]+-[a-z-]+)`", row.split("|")[1])} == EVENTS


def test_a_value_can_forge_neither_a_field_nor_a_line(caplog: pytest.LogCaptureFixture) -> None:
    for value, shown in (
        ("a b=c\r\nd\x1b[2J", "a_b_c_d_[2J"),
        ("", "-"),
        ("\u202e\ud800", "_"),
        ("x" * 500, "x" * 100),
    ):
        security.note(security.BAD_TOKEN, "192.0.2.7", path=value)
        assert caplog.records[-1].getMessage() == f"bad-token address=192.0.2.7 who=- path={shown}"
