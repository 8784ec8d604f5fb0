"""Ringing follows a commit: whatever becomes of the bells, what the commit answered is not lost with them."""

import logging
import os
import threading
from pathlib import Path

import pytest

from duey.execution.registration import register
from duey.storage import wakeup
from duey.storage.sqlite.storage import SqliteStorage
from tests.contracts.rig import SOON_S, jobs
from tests.support import rounds


@pytest.fixture
def storage(tmp_path: Path) -> SqliteStorage:
    storage = SqliteStorage(path=tmp_path / "queue.db")
    storage.prepare()
    return storage


def test_bells_that_cannot_be_reached_cost_neither_a_defer_nor_a_claim(storage, monkeypatch, caplog):
    presence = register(storage, "test", 1, "thread", ("*",), [])

    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(wakeup.os, "listdir", refuse)
    monkeypatch.setattr(wakeup.Notifier, "RESCAN_S", 0.0)
    with caplog.at_level(logging.WARNING, "duey"):
        assert [each.fresh for each in storage.enqueue_jobs(jobs("abc")).accepted] == [True] * 3
        claims = storage.settle_and_claim(presence.n, (), 2, ("*",)).claims
        storage.release_claims(presence.n, claims)
    assert [claim.job.id for claim in claims] == ["a", "b"]
    assert [record.getMessage()[:35] for record in caplog.records] == ["sleeping workers could not be woken"]
    presence.close()


def test_a_dead_worker_swallows_no_ring(storage):
    dead, living = (register(storage, name, 1, "thread", ("*",), []) for name in ("dead", "living"))
    for each in (dead, living):
        each.asleep(True)
    dead.abandon()
    other = SqliteStorage(path=storage.db.path)  # a process that opens the pipes only now
    other.enqueue_jobs(jobs("a"))
    assert living.pipe.wait(SOON_S)
    for _ in range(2):  # a storage that was closed may be used again
        assert other.notifier._workers
        other.close()
        assert not other.notifier._workers, "it leaves no descriptor open"
        other.notifier.notify_workers(1)
    other.close()
    living.close()


@pytest.mark.soak
def test_threads_ring_while_waiters_come_and_go(tmp_path, monkeypatch):
    """What one thread closed, another one must neither close again nor write to."""
    monkeypatch.setattr(wakeup.Notifier, "RESCAN_S", 0.0)
    notifier = wakeup.Notifier(tmp_path)
    wrong: list[BaseException] = []
    close, closed = os.close, []

    def close_once(fd: int) -> None:
        closed.append(fd)
        try:
            close(fd)
        except OSError as exc:  # it was closed before
            wrong.append(exc)

    monkeypatch.setattr(wakeup.os, "close", close_once)
    over = threading.Event()

    def notify() -> None:
        try:
            while not over.is_set():
                notifier.notify_waiters()
                notifier.notify_workers(1)
        except BaseException as exc:
            wrong.append(exc)

    threads = [threading.Thread(target=notify) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(rounds(60, soak=600)):
        with wakeup.Waiter(tmp_path) as waiter:
            waiter.pipe.wait(0.001)
    over.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert closed


def test_a_fork_may_ring_though_a_thread_of_the_parent_held_the_lock(tmp_path):
    notifier = wakeup.Notifier(tmp_path)
    notifier._lock.acquire()
    pid = os.fork()
    if pid == 0:
        notifier.notify_waiters()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
