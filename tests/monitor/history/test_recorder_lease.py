"""The lease between real processes: one records, and another takes over at once when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from duey.monitor.history import History
from duey.monitor.history.recording.lease import Lease
from tests.monitor.history.conftest import PATIENCE_S
from tests.support import wait_until
from tests.support.forked import idle_child

ROOT = Path(__file__).resolve().parents[3]

# Each process has events of its own, for ever, and writes each job's id to its own ledger before it is recorded.
PROCESS = """
    import sys, threading, time
    from duey.model.event import Event, OutboxOwner
    from duey.monitor.history import History
    from tests.monitor.history.conftest import Settings

    url, name, ledger = sys.argv[1:]

    class Source:
        n = 0
        def read_events(self, limit, term=None):
            now = time.time()
            self.ids = [f"{name}-{self.n + i}" for i in range(20)]
            return [
                Event(i, kind, job_id, token, now, "tasks.add", "default", 0.0, now)
                for i, job_id in enumerate(self.ids) for kind, token in (("enqueued", 0), ("canceled", -1))
            ]
        def own_outbox(self, history, where, take_over=False):
            return OutboxOwner(history, where, 1, 0.0)
        def leave_outbox(self, term):
            pass
        def delete_events(self, events, term=0):
            with open(ledger, "a") as file:
                file.write("\\n".join(self.ids) + "\\n")
            self.n += 20

    threading.Thread(target=History(url, Settings()).recorder(Source()).run, args=(threading.Event(),)).start()
"""


@pytest.fixture
def start(url: str, tmp_path: Path) -> Iterator:
    started: list[subprocess.Popen] = []

    def start(name: str) -> tuple[subprocess.Popen, Path]:
        schedule_store = tmp_path / f"{name}.txt"
        schedule_store.touch()
        code = textwrap.dedent(PROCESS)
        command = [sys.executable, "-c", code, url, name, str(schedule_store)]
        started.append(subprocess.Popen(command, cwd=ROOT))
        return started[-1], schedule_store

    yield start
    for process in started:
        process.kill()
        process.wait(PATIENCE_S)


def test_one_process_records_until_it_is_killed_and_then_the_other(history: History, start) -> None:
    first, first_ledger = start("first")
    wait_until(first_ledger.read_text, PATIENCE_S, "the first records")
    second, second_ledger = start("second")
    before = len(first_ledger.read_text())
    wait_until(lambda: len(first_ledger.read_text()) > before + 300, PATIENCE_S, "the first goes on")
    assert second.poll() is None
    assert second_ledger.read_text() == ""
    os.kill(first.pid, signal.SIGKILL)
    first.wait(PATIENCE_S)
    wait_until(second_ledger.read_text, PATIENCE_S, "the second takes over")
    second.kill()
    second.wait(PATIENCE_S)
    recorded = first_ledger.read_text().split() + second_ledger.read_text().split()
    assert len(recorded) == len(set(recorded))
    assert {history.job(job_id).state for job_id in recorded} == {"canceled"}
    # At most the batch that was committed and not yet deleted is there beside what the ledgers say.
    assert len(recorded) <= history.kept().jobs <= len(recorded) + 40


def test_a_forked_child_does_not_keep_the_lease(tmp_path: Path) -> None:
    lease = Lease(tmp_path / "lease")
    assert lease.take()
    with idle_child():
        assert lease.is_held
        lease.release()
        other = Lease(tmp_path / "lease")
        # The child lets go as it begins, which it may not have done yet.
        assert wait_until(other.take, PATIENCE_S, "another takes the lease")
        other.release()


def test_one_at_a_time_and_again(tmp_path: Path) -> None:
    one, two = Lease(tmp_path / "folder" / "lease"), Lease(tmp_path / "folder" / "lease")
    assert (one.take(), one.take(), two.take()) == (True, True, False)
    one.release()
    one.release()
    assert (two.take(), one.take()) == (True, False)
    del two
    assert one.take()


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError):
        Lease(tmp_path / "file" / "lease").take()
