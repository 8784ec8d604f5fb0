"""What several threads defer while another commits is stored by one commit, and each gets its own answer."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from duey import clock, errors, faults
from duey.model.job import Idempotency, NewJob
from duey.storage.contract import EnqueueResult
from duey.storage.sqlite.storage import SqliteStorage
from tests.contracts.rig import SOON_S, job
from tests.storage.sqlite.test_write_lock import held

KEY = Idempotency("token", "key", "the body")


@pytest.fixture
def storage(tmp_path: Path) -> SqliteStorage:
    storage = SqliteStorage(path=tmp_path / "queue.db")
    storage.prepare()
    return storage


@pytest.fixture(params=["at once", "in steps"])
def commits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, storage: SqliteStorage) -> list[int]:
    """Grows by one with each commit of a defer, by how many requests shared it. What is small and plain is accepted by
    one statement, all else (and whatever a kill point wants to interrupt) by several."""
    sizes: list[int] = []
    commit = storage._group_commit._commit
    monkeypatch.setattr(storage._group_commit, "_commit", lambda batch: sizes.append(len(batch)) or commit(batch))
    if request.param == "in steps":
        monkeypatch.setattr(faults, "point", lambda step: None)
    return sizes


def soon(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


Answers = dict[str, "EnqueueResult | errors.DueyError | OverflowError"]


def defer_at_once(storage: SqliteStorage, requests: list[tuple[list[NewJob], Idempotency | None, int]]) -> Answers:
    """Defer each in a thread of its own, all while the file is locked; the answers by the id of the first job."""
    answers: Answers = {}

    def enqueue_jobs(jobs: list[NewJob], idempotency: Idempotency | None, max_pending: int) -> None:
        try:
            answers[jobs[0].id] = storage.enqueue_jobs(jobs, idempotency, max_pending)
        except (errors.DueyError, OverflowError) as exc:
            answers[jobs[0].id] = exc

    threads = [threading.Thread(target=enqueue_jobs, args=request) for request in requests]
    gate = storage._group_commit
    with held(Path(storage.db.path)):
        threads[0].start()
        soon(lambda: gate._commit_lock.locked() and not gate._queue)  # else a second one may share the first's commit
        for thread in threads[1:]:
            thread.start()
        soon(lambda: len(gate._queue) == len(threads) - 1)
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(([job("odd")], None, 0), id="all alike"),
        pytest.param(([job("odd", unique_key="k")], None, 0), id="a unique key"),
        pytest.param(([job("odd")], KEY, 0), id="an idempotency key"),
        pytest.param(([job("odd")], None, 1000), id="a limit"),
    ],
)
def test_what_arrives_during_a_commit_shares_the_next_one(storage, commits, odd):
    answers = defer_at_once(storage, [*(([job(i), job(f"{i}2")], None, 0) for i in "abcdefg"), odd])
    assert commits == [1, 7], "the first alone, then all that came meanwhile"
    for name, answer in answers.items():
        assert [each.id for each in answer.accepted] == ([name] if name == "odd" else [name, f"{name}2"])
        assert all(each.fresh for each in answer.accepted)
    assert storage.counts().queued == 15


def test_one_that_is_refused_takes_nobody_with_it(storage, commits):
    storage.enqueue_jobs([job("held")])
    with storage.db.write("synced") as con:  # it has ended: its id is refused from now on
        con.execute("delete from ready")
        con.execute(
            "insert into finished (seq, state, attempt, finished_at, gone_at) select seq, 'done', 1, 0, 0 from jobs"
        )
    commits.clear()
    answers = defer_at_once(storage, [*(([job(i)], None, 0) for i in "abc"), ([job("d"), job("held")], None, 0)])
    assert len(commits) <= 2
    assert isinstance(answers.pop("d"), errors.DuplicateJob)
    assert sorted(answers) == ["a", "b", "c"] and storage.counts().queued == 3


def test_one_that_does_not_fit_takes_nobody_with_it(storage, commits):
    """A number that SQLite has no room for: whoever deferred it is told, and the others are none the wiser."""
    answers = defer_at_once(storage, [*(([job(i)], None, 0) for i in "abc"), ([job("d", retries=2**70)], None, 0)])
    assert isinstance(answers.pop("d"), OverflowError)
    assert sorted(answers) == ["a", "b", "c"] and storage.counts().queued == 3


def test_scheduled_ones_wait_and_due_ones_do_not(storage, commits):
    now = clock.now()
    defer_at_once(storage, [([job("late", eta=now + 60)], None, 0), ([job("due", eta=now - 60)], None, 0),
                            ([job("now"), job("later", eta=now + 90)], None, 0)])  # fmt: skip
    states = {name: storage.get_job(name).state for name in ("late", "due", "now", "later")}
    assert states == {"late": "scheduled", "due": "queued", "now": "queued", "later": "scheduled"}
    with storage.db.read() as con:
        rows = con.execute("select id, kind from outbox join jobs on jobs.seq = outbox.job order by id").fetchall()
    assert rows == [("due", "enqueued"), ("late", "enqueued"), ("later", "enqueued"), ("now", "enqueued")]
