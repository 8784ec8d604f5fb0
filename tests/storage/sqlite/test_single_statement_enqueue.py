"""A few plain jobs are accepted by one statement: as whole as a transaction, and nothing of it is left in the file."""

import sqlite3
from pathlib import Path

import pytest

from duey import clock, errors
from duey.model.job import Idempotency, NewJob
from duey.storage.sqlite import group_commit, schema
from duey.storage.sqlite.storage import SqliteStorage
from tests.contracts.rig import job
from tests.storage.sqlite.test_write_lock import held

KEY = Idempotency("token", "key", "the body")
ROWS = "select id, ready.seq is not null, scheduled.at, kind from jobs left join ready using (seq) "
ROWS += "left join scheduled using (seq) "
ROWS += "join outbox on outbox.job = jobs.seq order by jobs.seq"


@pytest.fixture
def storage(tmp_path: Path) -> SqliteStorage:
    storage = SqliteStorage(path=tmp_path / "queue.db", busy_s=0.2)
    storage.prepare()
    return storage


@pytest.fixture
def transactions(storage: SqliteStorage, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each transaction was made that had jobs to accept."""
    made: list[str] = []
    for name in ("write", "write_at_once"):
        method = getattr(storage.db, name)
        monkeypatch.setattr(storage.db, name, lambda *a, n=name, m=method: made.append(n) or m(*a))
    return made


def rows(storage: SqliteStorage) -> list[tuple[object, ...]]:
    with storage.db.read() as con:
        return con.execute(ROWS).fetchall()


@pytest.mark.parametrize(
    ("jobs", "key"),
    [
        pytest.param([job("a")], None, id="one"),
        pytest.param([job("a")], KEY, id="one with an idempotency key"),
        pytest.param([job(f"j{n}") for n in range(group_commit.MOST)], KEY, id="as many as it may be"),
    ],
)
def test_it_is_one_statement(storage, transactions, jobs, key):
    answer = storage.enqueue_jobs(jobs, key)
    assert transactions == ["write_at_once"]
    assert [(each.id, each.fresh) for each in answer.accepted] == [(each.id, True) for each in jobs]
    assert rows(storage) == [(each.id, 1, None, "enqueued") for each in jobs]


@pytest.mark.parametrize(
    ("jobs", "key", "max_pending"),
    [
        pytest.param([job(f"j{n}") for n in range(group_commit.MOST + 1)], None, 0, id="too many"),
        pytest.param([job("a"), job("b", unique_key="k")], KEY, 0, id="a unique key"),
        pytest.param([job("a")], None, 10, id="a limit"),
    ],
)
def test_what_is_not_plain_takes_the_other_way(storage, transactions, jobs, key, max_pending):
    assert all(each.fresh for each in storage.enqueue_jobs(jobs, key, max_pending).accepted)
    assert transactions == ["write"]
    assert rows(storage) == [(each.id, 1, None, "enqueued") for each in jobs]


def test_each_column_of_a_job_comes_to_its_place(storage):
    now = clock.now()
    full = NewJob("id", "m.task", "mail", 3.5, now - 1, now + 60, now + 90, 4, 2.5, 30.0, 5, None, "above", "cid",
                  '{"user": "ana"}', b"\x00payload", None, "ci")  # fmt: skip
    storage.enqueue_jobs([full])
    with storage.db.read() as con:
        assert con.execute(f"select {schema.JOB} from jobs").fetchone() == tuple(full)
        found = con.execute(
            "select scheduled.at, kind, token, outbox.at, attempt from scheduled join outbox on job = scheduled.seq"
        )
        assert found.fetchall() == [(now + 60, "enqueued", 0, now - 1, 0)]
    storage.enqueue_jobs([full._replace(id="urgent", eta=now - 5)])  # it is due by now, and keeps its eta
    with storage.db.read() as con:
        assert con.execute("select queue, rank from ready").fetchall() == [("mail", -3.5)]
        assert con.execute("select eta from jobs where id = 'urgent'").fetchone() == (now - 5,)


def test_a_known_key_replays_and_another_body_is_refused(storage, transactions):
    first = storage.enqueue_jobs([job("a"), job("b")], KEY)
    again = storage.enqueue_jobs([job("c"), job("d")], KEY)
    assert again.replayed and [each.id for each in again.accepted] == [each.id for each in first.accepted]
    with pytest.raises(errors.KeyReused):
        storage.enqueue_jobs([job("e")], KEY._replace(fingerprint="another body"))
    assert transactions == ["write_at_once", *(["write_at_once", "write"] * 2)], "refused first, then looked at"
    assert [row[0] for row in rows(storage)] == ["a", "b"]


def test_a_known_id_leaves_nothing_behind(storage):
    storage.enqueue_jobs([job("known")])
    answer = storage.enqueue_jobs([job("new"), job("known")], KEY)
    assert [each.fresh for each in answer.accepted] == [True, False]
    assert [row[0] for row in rows(storage)] == ["known", "new"]
    assert storage.enqueue_jobs([job("x")], KEY).replayed, "the key came with the second try"


def test_a_lock_that_is_held_refuses_all_of_it(storage):
    with held(Path(storage.db.path)), pytest.raises(errors.StorageBusy):
        storage.enqueue_jobs([job("a"), job("b")], KEY)
    assert rows(storage) == []
    assert not storage.enqueue_jobs([job("a"), job("b")], KEY).replayed
    assert len(rows(storage)) == 2


def test_an_eta_that_is_no_number_is_refused(storage):
    with pytest.raises(sqlite3.IntegrityError):
        storage.enqueue_jobs([job("a", eta=float("nan"))])
    assert rows(storage) == []


def test_the_file_knows_nothing_of_it(storage):
    storage.enqueue_jobs([job("a")])
    with sqlite3.connect(storage.db.path) as con:
        assert con.execute("select count(*) from sqlite_master where type in ('view', 'trigger')").fetchone() == (0,)
    con.close()


def test_what_is_enqueued_is_synced_and_what_ends_is_not(storage: SqliteStorage) -> None:
    """By SQLite's numbers: 2 is full, 1 is normal."""
    found = {
        role: storage.db.connection(role).execute("pragma synchronous").fetchone() for role in ("synced", "relaxed")
    }
    storage.db.durable = False
    storage.db.close()
    assert found == {"synced": (2,), "relaxed": (1,)}
    assert storage.db.connection("synced").execute("pragma synchronous").fetchone() == (1,)
