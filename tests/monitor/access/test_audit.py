"""The audit: every line kept in order, none changed, old ones dropped only by number."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from peewee import IntegrityError

from duey.monitor.access import Access, AuditEntry
from duey.monitor.access import audit as audit_module
from duey.monitor.access.export import COLUMNS, as_csv, exported
from tests.monitor.access.conftest import START, Clock


def fill(access: Access, count: int, who: str = "ada", action: str = "cancel") -> None:
    with access.transaction():
        for n in range(count):
            access.audit.record(who, "web", "192.0.2.7", action, f"job {n}")


def test_a_line_is_read_as_it_was_written(access: Access) -> None:
    access.audit.record("ada", "api", "192.0.2.7", "retry", "task:add state:failed", 250, "first part")
    expected = AuditEntry(1, START, "ada", "api", "192.0.2.7", "retry", "task:add state:failed", 250, "first part")
    assert access.audit.page() == (expected,)


def test_an_empty_audit(access: Access) -> None:
    assert access.audit.page() == ()
    assert access.audit.prune() == 0


def test_pages_lose_nothing_while_lines_arrive(access: Access) -> None:
    fill(access, 25)
    seen: list[int] = []
    before: int | None = None
    while page := access.audit.page(before_id=before, limit=10):
        seen += [entry.id for entry in page]
        before = page[-1].id
        fill(access, 3)
    assert seen == list(range(25, 0, -1))


def test_a_page_holds_at_most_500(access: Access) -> None:
    fill(access, 501)
    assert len(access.audit.page(limit=10_000)) == 500
    assert len(access.audit.page(limit=-1)) == 1
    assert len(access.audit.page()) == 50


def test_filters(access: Access) -> None:
    fill(access, 2, "ada", "cancel")
    fill(access, 3, "bob", "cancel")
    fill(access, 4, "bob", "retry")
    assert len(access.audit.page(who="bob")) == 7
    assert len(access.audit.page(action="cancel")) == 5
    assert [entry.id for entry in access.audit.page(who="bob", action="cancel", before_id=5)] == [4, 3]
    assert access.audit.page(who="' OR 1=1 --") == ()
    assert access.audit.page(who="\ud800") == ()


def test_filtered_pages_are_found_by_index(access: Access) -> None:
    access.prepare()
    with access._database.reading() as db:
        for column in ("who", "action"):
            sql = f"SELECT * FROM audit WHERE {column} = 'x' AND id < 9 ORDER BY id DESC LIMIT 50"
            plan = db.execute_sql(f"EXPLAIN QUERY PLAN {sql}").fetchall()
            assert f"audit_by_{column}" in str(plan)
            assert "TEMP B-TREE" not in str(plan)


def test_long_and_unstorable_text_is_cut_and_kept(access: Access) -> None:
    access.audit.record("w" * 9999, "web", "a" * 9999, "x" * 9999, "\ud800" + "t" * 9999, 1, "d" * 9999)
    (entry,) = access.audit.page()
    lengths = [len(text) for text in (entry.who, entry.address, entry.action, entry.target, entry.detail)]
    assert lengths == [100, 64, 64, 200, 2000]
    assert entry.target.startswith("?t")


def test_another_source_is_a_mistake_of_ours(access: Access) -> None:
    with pytest.raises(ValueError, match="expected web, api, operator, found 'telnet'"):
        access.audit.record("ada", "telnet", "", "cancel", "job 1")


def test_a_line_cannot_be_changed(access: Access) -> None:
    fill(access, 1)
    with pytest.raises(IntegrityError, match="append-only"), access._database.writing() as db:
        db.execute_sql("UPDATE audit SET who = 'bob'")
    assert access.audit.page()[0].who == "ada"


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


def test_the_whole_of_it_is_walked_and_exported(access: Access) -> None:
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


def test_changes_of_accounts_and_tokens_stand_in_the_security_log(
    access: Access, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "duey.security")
    events = {
        "add account": "account-made",
        "change role": "account-changed",
        "set password": "account-changed",
        "remove account": "account-removed",
        "create token": "token-made",
        "revoke token": "token-revoked",
    }
    for action in [*events, "cancel"]:
        access.audit.record("ada", "web", "192.0.2.7", action, "bob")
    assert [record.getMessage() for record in caplog.records] == [
        f"{event} address=192.0.2.7 who=ada source=web target=bob" for event in events.values()
    ]


def test_no_line_is_lost_among_many_writers(access: Access, in_processes: Callable[..., list[Any]]) -> None:
    def write(n: int) -> None:
        for m in range(10):
            access.audit.record(f"w{n}", "operator", "", "note", str(m))
        access.close()

    assert in_processes(2, 8, write) == [None] * 16
    entries = access.audit.page(limit=500)
    assert [entry.id for entry in entries] == list(range(160, 0, -1))
    for n in range(16):
        assert [entry.target for entry in entries if entry.who == f"w{n}"] == [str(m) for m in range(9, -1, -1)]
