"""The audit and the security log: every line in order, none changed or forged, old ones dropped only by number."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peewee import IntegrityError

from duey import logs
from duey.monitor.access import Access, AuditEntry, security
from duey.monitor.access import audit as audit_module
from duey.monitor.access.export import COLUMNS, as_csv, csv_row, exported
from tests.monitor.access.conftest import of_file
from tests.monitor.conftest import START, Clock

PAGE = (Path(__file__).parents[3] / "docs/production.md").read_text()
EVENTS = {value for name, value in vars(security).items() if name.isupper() and type(value) is str}


def fill(access: Access, count: int, who: str = "ada", action: str = "cancel") -> None:
    with access.transaction():
        for n in range(count):
            access.audit.record(who, "web", "192.0.2.7", action, f"job {n}")


def test_a_line_is_read_as_it_was_written_and_cannot_be_changed(access: Access) -> None:
    assert (access.audit.page(), access.audit.prune()) == ((), 0)
    access.audit.record("ada", "api", "192.0.2.7", "retry", "task:add state:failed", 250, "first part")
    expected = AuditEntry(1, START, "ada", "api", "192.0.2.7", "retry", "task:add state:failed", 250, "first part")
    with pytest.raises(IntegrityError, match="append-only"), access._database.writing() as db:
        db.execute_sql("UPDATE audit SET who = 'bob'")
    assert access.audit.page() == (expected,)
    with pytest.raises(ValueError, match="expected web, api, operator, found 'telnet'"):
        access.audit.record("ada", "telnet", "", "cancel", "job 1")
    access.audit.record("w" * 9999, "web", "a" * 9999, "x" * 9999, "\ud800" + "t" * 9999, 1, "d" * 9999)
    entry = access.audit.page()[0]
    lengths = [len(text) for text in (entry.who, entry.address, entry.action, entry.target, entry.detail)]
    assert (lengths, entry.target[:2]) == ([100, 64, 64, 200, 2000], "?t")


def test_pages_lose_nothing_while_lines_arrive_and_are_found_by_index(access: Access, url: str) -> None:
    fill(access, 25)
    seen: list[int] = []
    before: int | None = None
    while page := access.audit.page(before_id=before, limit=10):
        seen += [entry.id for entry in page]
        before = page[-1].id
        fill(access, 3)
    assert seen == list(range(25, 0, -1))
    fill(access, 4, "bob", "retry")
    fill(access, 500, "bob")
    assert [len(access.audit.page(**asked)) for asked in ({"limit": 10_000}, {"limit": -1}, {})] == [500, 1, 50]
    assert len(access.audit.page(action="retry")) == 4
    assert len(access.audit.page(who="bob", action="cancel", limit=1000)) == 500
    assert [entry.id for entry in access.audit.page(who="ada", before_id=3)] == [2, 1]
    for odd in ("' OR 1=1 --", "\ud800"):
        assert access.audit.page(who=odd) == ()
    explain = "EXPLAIN QUERY PLAN" if url.startswith("sqlite:") else "EXPLAIN"
    with access._database.reading() as db:
        for column in ("who", "action"):
            sql = f"SELECT * FROM audit WHERE {column} = 'x' AND id < 9 ORDER BY id DESC LIMIT 50"
            plan = str(db.execute_sql(f"{explain} {sql}").fetchall())
            assert f"audit_by_{column}" in plan and not re.search("TEMP B-TREE|Sort", plan), plan


def test_what_is_old_or_too_much_goes_by_itself(
    access: Access, url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "PRUNE_BATCH", 3)
    fill(access, 10)
    clock.advance(300 * 86400)
    fill(access, 5)
    clock.advance(66 * 86400)
    access.audit.record("ada", "web", "", "log in", "ada")  # notices that a year is over
    assert [entry.id for entry in access.audit.page()] == list(range(16, 10, -1))
    monkeypatch.setattr(audit_module, "MOST_ROWS", 2)
    assert access.audit.prune() == 4
    clock.advance(3 * 86400)
    assert Access(url, clock=clock, audit_days=1).audit.prune() == 2
    assert access.audit.page() == ()
    fill(access, 1)  # ids are never used again
    assert [entry.id for entry in access.audit.page()] == [17]


def test_the_whole_of_it_is_walked_and_exported(access: Access, path: Path) -> None:
    fill(access, 1203)
    access.audit.record("=cmd|' /C calc'!A0", "web", "192.0.2.7", "log in", 'a "b", c\nd', detail="-1+1")
    lines = list(access.audit.walk())
    assert [line.id for line in lines] == list(range(1204, 0, -1))
    assert len(list(access.audit.walk(most=700))) == 700 and len(list(access.audit.walk(who="nobody"))) == 0
    rows = list(csv.reader(io.StringIO("".join(as_csv(lines)))))
    assert rows[0] == list(COLUMNS) and len(rows) == 1205
    at = "2027-01-15T08:00:00.000Z"
    assert rows[1] == [
        "1204", at, "'=cmd|' /C calc'!A0", "web", "192.0.2.7", "log in", 'a "b", c\nd', "1", "'-1+1",
    ]  # fmt: skip
    assert exported(lines[0]) | {"who": ""} == {
        "id": 1204, "at": at, "who": "", "source": "web", "address": "192.0.2.7", "action": "log in",
        "target": 'a "b", c\nd', "count": 1, "detail": "-1+1",
    }  # fmt: skip


def test_no_value_is_a_formula_of_a_spreadsheet() -> None:
    for value in ("=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠a"):
        assert next(csv.reader(io.StringIO(csv_row([value]), newline=""))) == [f"'{value}"]
    assert csv_row([-1, None, "a=1"]) == "-1,,a=1\r\n"


def test_no_line_is_lost_among_many_writers(access: Access, at_once: Callable[..., list[Any]]) -> None:
    def write(n: int) -> None:
        for m in range(10):
            access.audit.record(f"w{n}", "operator", "", "note", str(m))
        access.close()

    assert at_once(write) == [None] * 16
    entries = access.audit.page(limit=500)
    assert [entry.id for entry in entries] == list(range(160, 0, -1))
    for n in range(16):
        assert [entry.target for entry in entries if entry.who == f"w{n}"] == [str(m) for m in range(9, -1, -1)]


# the security log


@of_file
def test_changes_of_accounts_and_tokens_stand_in_the_security_log(
    access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "duey.security")
    events = {
        "add account": "account-made", "change role": "account-changed", "set password": "account-changed",
        "remove account": "account-removed", "create token": "token-made", "revoke token": "token-revoked",
    }  # fmt: skip
    for action in [*events, "cancel"]:
        access.audit.record("ada", "web", "192.0.2.7", action, "bob")
    assert [record.getMessage() for record in caplog.records] == [
        f"{event} address=192.0.2.7 who=ada source=web target=bob" for event in events.values()
    ]
    for value, shown in (
        ("a b=c\r\nd\x1b[2J", "a_b_c_d_[2J"), ("", "-"), ("\u202e\ud800", "_"), ("x" * 500, "x" * 100)
    ):  # fmt: skip
        security.note(security.BAD_TOKEN, "192.0.2.7", path=value)
        assert caplog.records[-1].getMessage() == f"bad-token address=192.0.2.7 who=- path={shown}"


def logged(logger: str, level: int, message: str) -> str:
    """A line as the service writes it."""
    record = logging.LogRecord(logger, level, "", 0, message, None, None)
    logs.JobFilter().filter(record)
    return logs.Utc(logs.TEXT).format(record)


def test_the_page_names_every_event_and_its_filter_finds_the_refusals(caplog: pytest.LogCaptureFixture) -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| `[a-z]+-[a-z]", line)]
    assert {name for row in rows for name in re.findall(r"`([a-z]+-[a-z-]+)`", row.split("|")[1])} == EVENTS
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
