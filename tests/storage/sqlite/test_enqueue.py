"""What one commit accepts: a few plain jobs by one statement, and what several threads enqueue meanwhile together.

As whole as a transaction, nothing of it is left in the file, and each request gets its own answer."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from duey import clock, errors, faults
from duey.model.job import STATED, Idempotency, JobRecord
from duey.storage.sqlite import group_commit
from duey.storage.sqlite.connection import schema
from duey.storage.sqlite.steps import inbox
from duey.storage.sqlite.storage import SqliteStorage
from duey.storage.values import EnqueueResult
from tests.contracts.rig import SOON_S, job
from tests.storage.sqlite.test_write_lock import held
from tests.support import wait_until

KEY = Idempotency("token", "key", "the body")
ROWS = "select id, ready.seq is not null, scheduled.at, kind from jobs left join ready using (seq) "
ROWS += "left join scheduled using (seq) "
ROWS += "join outbox on outbox.job = jobs.seq order by jobs.seq"
Answers = dict[str, "EnqueueResult | errors.DueyError | OverflowError"]


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
        monkeypatch.setattr(storage.db, name, lambda *a, n=name, m=method, **k: made.append(n) or m(*a, **k))
    return made


def rows(storage: SqliteStorage) -> list[tuple[object, ...]]:
    with storage.db.read() as con:
        return con.execute(ROWS).fetchall()


# at once


def test_a_few_plain_jobs_are_one_statement_and_what_is_not_plain_takes_the_other_way(storage, transactions):
    table = [
        ([job("a")], None, 0, "write_at_once"),
        ([job("b")], KEY, 0, "write_at_once"),
        ([job(f"j{n}") for n in range(group_commit.MOST)], KEY._replace(key="2"), 0, "write_at_once"),
        ([job(f"k{n}") for n in range(group_commit.MOST + 1)], None, 0, "write"),
        ([job("c"), job("d", unique_key="k")], KEY._replace(key="3"), 0, "write"),
        ([job("e")], None, 1000, "write"),
    ]
    expected: list[tuple[object, ...]] = []
    for given, key, max_pending, way in table:
        transactions.clear()
        answer = storage.enqueue_jobs(given, key, max_pending)
        assert transactions == [way], given
        assert [(each.id, each.fresh) for each in answer.accepted] == [(each.id, True) for each in given]
        expected += [(each.id, 1, None, "enqueued") for each in given]
        assert rows(storage) == expected
    with sqlite3.connect(storage.db.path) as con:
        assert con.execute("select count(*) from sqlite_master where type in ('view', 'trigger')").fetchone() == (0,)
    con.close()


def test_each_column_of_a_job_comes_to_its_place(storage):
    now = clock.now()
    full = JobRecord("id", "m.task", "mail", 3.5, now - 1, now + 60, now + 90, 4, 2.5, 30.0, 5, None, "above", "cid",
                  '{"user": "ana"}', b"\x00payload", None, "ci")  # fmt: skip
    storage.enqueue_jobs([full])
    with storage.db.read() as con:
        assert con.execute(f"select {schema.JOB} from jobs").fetchone() == full[:STATED]
        found = con.execute(
            "select scheduled.at, kind, token, outbox.at, attempt from scheduled join outbox on job = scheduled.seq"
        )
        assert found.fetchall() == [(now + 60, "enqueued", 0, now - 1, 0)]
    storage.enqueue_jobs([full._replace(id="urgent", eta=now - 5)])  # it is due by now, and keeps its eta
    with storage.db.read() as con:
        assert con.execute("select queue, rank from ready").fetchall() == [("mail", -3.5)]
        assert con.execute("select eta from jobs where id = 'urgent'").fetchone() == (now - 5,)


def test_what_one_statement_cannot_settle_is_looked_at_and_leaves_nothing_behind(storage, transactions):
    first = storage.enqueue_jobs([job("a"), job("b")], KEY)
    again = storage.enqueue_jobs([job("c"), job("d")], KEY)
    assert again.replayed and [each.id for each in again.accepted] == [each.id for each in first.accepted]
    with pytest.raises(errors.KeyReused):
        storage.enqueue_jobs([job("e")], KEY._replace(fingerprint="another body"))
    assert transactions == ["write_at_once", *(["write_at_once", "write"] * 2)], "refused first, then looked at"
    other = KEY._replace(key="2")
    answer = storage.enqueue_jobs([job("new"), job("a")], other)
    assert [each.fresh for each in answer.accepted] == [True, False]
    assert storage.enqueue_jobs([job("x")], other).replayed, "the key came with the second try"
    third = KEY._replace(key="3")
    with held(Path(storage.db.path)), pytest.raises(errors.StorageBusy):
        storage.enqueue_jobs([job("f")], third)
    with pytest.raises(sqlite3.IntegrityError):
        storage.enqueue_jobs([job("g", eta=float("nan"))])
    assert [row[0] for row in rows(storage)] == ["a", "b", "new"]
    assert not storage.enqueue_jobs([job("f")], third).replayed


def test_what_is_enqueued_is_synced_and_what_ends_is_not(storage: SqliteStorage) -> None:
    """By SQLite's numbers: 2 is full, 1 is normal."""
    found = {
        role: storage.db.connection(role).execute("pragma synchronous").fetchone() for role in ("synced", "relaxed")
    }
    storage.db.durable = False
    storage.db.close()
    assert found == {"synced": (2,), "relaxed": (1,)}
    assert storage.db.connection("synced").execute("pragma synchronous").fetchone() == (1,)


# together


@pytest.fixture(params=["at once", "in steps"])
def commits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, storage: SqliteStorage) -> list[int]:
    """Grows by one with each commit of requests, by how many shared it. What is small and plain is accepted by
    one statement, all else (and whatever a kill point wants to interrupt) by several."""
    sizes: list[int] = []
    commit = storage._group_commit._commit
    monkeypatch.setattr(storage._group_commit, "_commit", lambda batch: sizes.append(len(batch)) or commit(batch))
    storage.db.busy_s = SOON_S
    if request.param == "in steps":
        monkeypatch.setattr(faults, "point", lambda step: None)
    return sizes


def enqueue_at_once(storage: SqliteStorage, requests: list[tuple[list[JobRecord], Idempotency | None, int]]) -> Answers:
    """Enqueue each in a thread of its own, all while the file is locked; the answers by the id of the first job."""
    answers: Answers = {}

    def enqueue(jobs: list[JobRecord], idempotency: Idempotency | None, max_pending: int) -> None:
        try:
            answers[jobs[0].id] = storage.enqueue_jobs(jobs, idempotency, max_pending)
        except (errors.DueyError, OverflowError) as exc:
            answers[jobs[0].id] = exc

    threads = [threading.Thread(target=enqueue, args=request) for request in requests]
    gate = storage._group_commit
    with held(Path(storage.db.path)):
        threads[0].start()
        # else a second one may share the first's commit
        wait_until(lambda: gate._commit_lock.locked() and not gate._queue, SOON_S, "the first commits")
        for thread in threads[1:]:
            thread.start()
        wait_until(lambda: len(gate._queue) == len(threads) - 1, SOON_S, "the others wait")
    for thread in threads:
        thread.join()
    return answers


def test_what_arrives_during_a_commit_shares_the_next_one(storage, commits):
    odd = [([job("odd")], None, 0), ([job("odd", unique_key="k")], None, 0), ([job("odd")], KEY, 0),
           ([job("odd")], None, 1000)]  # fmt: skip
    for request in odd:
        commits.clear()
        answers = enqueue_at_once(storage, [*(([job(i), job(f"{i}2")], None, 0) for i in "abcdefg"), request])
        assert commits == [1, 7], "the first alone, then all that came meanwhile"
        for name, answer in answers.items():
            assert [each.id for each in answer.accepted] == ([name] if name == "odd" else [name, f"{name}2"])
            assert all(each.fresh for each in answer.accepted)
        assert storage.counts().queued == 15
        storage.flush_all()


def test_one_that_is_refused_or_does_not_fit_takes_nobody_with_it(storage, commits):
    """Such as a number that SQLite has no room for."""
    storage.enqueue_jobs([job("held")])
    with storage.db.write("synced") as con:  # it has ended: its id is refused from now on
        con.execute("delete from ready")
        con.execute(
            "insert into finished (seq, state, attempt, finished_at, gone_at) select seq, 'done', 1, 0, 0 from jobs"
        )
    for n, (bad, error) in enumerate([([job("d"), job("held")], errors.DuplicateJob),
                                      ([job("d", retries=2**70)], OverflowError)]):  # fmt: skip
        commits.clear()
        answers = enqueue_at_once(storage, [*(([job(f"{i}{n}")], None, 0) for i in "abc"), (bad, None, 0)])
        assert len(commits) <= 2
        assert isinstance(answers.pop("d"), error)
        assert sorted(answers) == [f"{i}{n}" for i in "abc"] and storage.counts().queued == 3 * (n + 1)


def test_scheduled_ones_wait_and_due_ones_do_not(storage, commits):
    now = clock.now()
    enqueue_at_once(storage, [([job("late", eta=now + 60)], None, 0), ([job("due", eta=now - 60)], None, 0),
                              ([job("now"), job("later", eta=now + 90)], None, 0)])  # fmt: skip
    states = {name: storage.get_job(name).state for name in ("late", "due", "now", "later")}
    assert states == {"late": "scheduled", "due": "queued", "now": "queued", "later": "scheduled"}
    assert sorted((row[0], row[3]) for row in rows(storage)) == [(each, "enqueued") for each in sorted(states)]


# the inbox


def in_the_inbox(storage: SqliteStorage) -> int:
    with storage.db.read(placed=False) as con:
        found: int = con.execute("select count(*) from inbox").fetchone()[0]
    return found


def test_a_plain_job_is_a_page_of_the_log_and_the_inbox_stays_small(storage: SqliteStorage) -> None:
    log, sizes = Path(f"{storage.db.path}-wal"), []
    storage.enqueue_jobs([job("first")])
    with storage.db.write("synced"):
        pass
    log_bytes = len(log.read_bytes().rstrip(b"\0"))
    for n in range(2 * inbox.MOST):
        storage.enqueue_jobs([job(f"{n}")])
        sizes.append(in_the_inbox(storage))
    assert max(sizes) == inbox.MOST and 0 in sizes
    frames = (len(log.read_bytes().rstrip(b"\0")) - log_bytes) / 4120
    assert frames < 2 * len(sizes), f"{frames / len(sizes):.1f} pages for each job"


LOOKS: list[tuple[str, Callable[[SqliteStorage], object], object]] = [
    ("get_job", lambda s: s.get_job("new").state, "queued"),
    ("look", lambda s: s.look("new").place, "ready"),
    ("list_jobs", lambda s: [each.job.id for each in s.list_jobs(None, None, None, 9, None)], ["new"]),
    ("counts", lambda s: s.counts().queued, 1),
    ("queue_infos", lambda s: [each.waiting for each in s.queue_infos()], [1]),
    ("read_outbox", lambda s: [each.job.id for each in s.read_outbox(9)], ["new"]),
    ("enqueued_items", lambda s: len(s.enqueued_items()), 1),
    ("claim", lambda s: [each.job.id for each in s.settle_and_claim(1, (), 9, ("*",)).claims], ["new"]),
    ("forget_waiting", lambda s: s.flush_queue() or s.get_job("new"), None),
]


def test_whoever_reads_claims_or_writes_gives_a_job_its_place_before(tmp_path: Path) -> None:
    """Also if the process that accepted it was killed then."""
    for name, look, expected in LOOKS:
        path = tmp_path / name / "queue.db"
        killed = SqliteStorage(path=path)
        killed.enqueue_jobs([job("new")])
        assert in_the_inbox(killed) == 1
        storage = SqliteStorage(path=path)
        assert look(storage) == expected, name
        assert in_the_inbox(storage) == 0, name
        for each in (killed, storage):
            each.close()


def test_jobs_run_in_the_order_of_their_acceptance_whatever_way_they_came(storage: SqliteStorage) -> None:
    now = clock.now()
    for given in ([job("c")], [job("b", unique_key="k")], [job("a", by="x"), job("z")], [job("y", eta=now - 9)],
                  [job("d", eta=now + 60)], [job("urgent", priority=1.0)]):  # fmt: skip
        storage.enqueue_jobs(given)
    assert [each.fresh for each in storage.enqueue_jobs([job("a"), job("d"), job("e")]).accepted] == [
        False,
        False,
        True,
    ]
    claims = storage.settle_and_claim(1, (), 99, ("*",)).claims
    assert [each.job.id for each in claims] == ["urgent", "c", "b", "a", "z", "y", "e"]
    assert [each.job.id for each in storage.read_outbox(99)] == ["c", "b", "a", "z", "y", "d", "urgent", "e"]
    assert storage.get_job("d").state == "scheduled" and claims[3].job.by == "x"


def test_a_page_does_not_wait_for_a_lock_that_somebody_holds(storage: SqliteStorage) -> None:
    storage.enqueue_jobs([job("placed", unique_key="k")])
    storage.enqueue_jobs([job("new")])
    storage.db.busy_s = 60.0
    with held(Path(storage.db.path)):
        assert storage.counts().queued == 1, "as far as it can be read"
    assert storage.counts().queued == 2
