"""An alarm may raise in a thread at any step, also where a transaction is being entered or left: nothing that is
accepted afterwards may become a part of what it left open, and nothing that was left open may end what comes then."""

from pathlib import Path

import pytest

from duey.storage.sqlite.connection.database import Database
from duey.storage.sqlite.storage import SqliteStorage
from tests.contracts.rig import job


class Alarm(Exception):
    """As TaskTimeout, which a body may catch."""


@pytest.fixture
def storage(tmp_path: Path) -> SqliteStorage:
    storage = SqliteStorage(path=tmp_path / "queue.db", busy_s=0.2)
    storage.prepare()
    return storage


def stored(storage: SqliteStorage) -> list[str]:
    """What everybody can see."""
    with storage.db.read() as con:
        return [row[0] for row in con.execute("select id from jobs order by seq")]


PLAIN, UNIQUE = job("next"), job("next", unique_key="k")


@pytest.mark.parametrize("next_one", [PLAIN, UNIQUE], ids=["at once", "in steps"])
def test_a_transaction_that_was_begun_and_never_entered(storage, next_one):
    left_open = storage.db.write("synced")
    left_open.__enter__().execute("insert into meta values ('left', 1)")  # and here the alarm strikes
    assert all(each.fresh for each in storage.enqueue_jobs([next_one]).accepted)
    assert stored(storage) == ["next"]
    with storage.db.read() as con:
        assert not con.execute("select 1 from meta where key = 'left'").fetchone(), "nobody was told that it is there"
    with storage.db.write("synced") as con:
        con.execute("insert into meta values ('later', 1)")
        left_open.gen.close()  # as when its traceback goes
        con.execute("insert into meta values ('last', 1)")
    with storage.db.read() as con:
        assert con.execute("select count(*) from meta where key in ('later', 'last')").fetchone() == (2,)


@pytest.mark.parametrize("next_one", [PLAIN, UNIQUE], ids=["at once", "in steps"])
def test_an_alarm_before_the_commit(storage, next_one, monkeypatch):
    def strike(self: Database, con: object) -> None:
        monkeypatch.undo()
        raise Alarm

    monkeypatch.setattr(Database, "_commit", strike)
    with pytest.raises(Alarm):
        storage.enqueue_jobs([job("lost", unique_key="l")])
    assert not storage.db.connection("synced").in_transaction, "others may write"
    with storage.db.write("relaxed") as con:
        con.execute("insert into meta values ('other', 1)")
    storage.enqueue_jobs([next_one])
    assert stored(storage) == ["next"]
