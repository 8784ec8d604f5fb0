"""The audit: every line kept in order, none changed, old ones dropped only by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from peewee import IntegrityError

from monitor.access import Access, AuditEntry
from monitor.access import audit as audit_module
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
    assert access.audit.prune(10) == 0


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


@pytest.mark.parametrize(("keep", "dropped"), [(0, 10), (3, 7), (9, 1), (10, 0), (99, 0), (-1, 10)])
def test_the_newest_are_kept(access: Access, monkeypatch: pytest.MonkeyPatch, keep: int, dropped: int) -> None:
    monkeypatch.setattr(audit_module, "PRUNE_BATCH", 3)
    fill(access, 10)
    assert access.audit.prune(keep) == dropped
    assert [entry.id for entry in access.audit.page()] == list(range(10, dropped, -1))


def test_ids_are_never_used_again(access: Access, clock: Clock) -> None:
    fill(access, 3)
    access.audit.prune(0)
    fill(access, 1)
    assert [entry.id for entry in access.audit.page()] == [4]


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
