"""The lines of running bodies in the storage."""

from __future__ import annotations

import os
import time

from duey.model.job import DONE
from duey.model.log_lines import HALF_LINES
from duey.storage import live_files
from tests.contracts.rig import ended, job, look


def lines(*numbers: int) -> list[tuple[int, float, str, str]]:
    return [(n, 100.0 + n, "INFO", f"line {n} š") for n in numbers]


def test_lines_are_added_and_read_by_token(storage, elsewhere):
    storage.put_logs({5 << 32: lines(0, 1), 7: lines(0)})
    storage.put_logs({5 << 32: lines(2)})
    assert elsewhere.log_of(5 << 32) == lines(0, 1, 2)
    assert elsewhere.log_of(7) == lines(0) and elsewhere.log_of(8) == []
    storage.end_logs([7])
    assert storage.log_of(7) == lines(0)  # for about a minute


def test_the_first_and_the_last_are_kept(storage, monkeypatch, backend):
    monkeypatch.setattr(live_files, "LARGE", 100_000)
    umask = os.umask(0)  # as a task module may set it
    for first in range(0, 5000, 500):
        storage.put_logs({7: lines(*range(first, first + 500))})
    os.umask(umask)
    assert [line[0] for line in storage.log_of(7)] == [*range(HALF_LINES), *range(5000 - HALF_LINES, 5000)]
    if backend == "sqlite":
        assert live_files.path_of(storage.folder, 7, live_files.LOG).stat().st_mode & 0o777 == 0o600


def test_they_are_removed_after_the_end_of_their_claim(storage, hand, backend):
    storage.enqueue_jobs([job("a")])
    claim = hand.claim_one()
    storage.put_logs({claim.token: lines(0)})
    if backend == "redis":
        key = storage.server.key(f"log:{claim.token >> 32}:{claim.token & 0xFFFFFFFF}")
        assert storage.server.command("TTL", key) > 86400
        storage.end_logs([claim.token])
        assert 0 < storage.server.command("TTL", key) <= 60
        return
    file = live_files.path_of(storage.folder, claim.token, live_files.LOG)
    file.write_bytes(file.read_bytes() + b'[1, 101.0, "IN')  # half a line, as a kill leaves it
    assert storage.log_of(claim.token) == lines(0)
    storage.put_logs({claim.token: lines(2)})
    assert storage.log_of(claim.token) == lines(0, 2)
    os.utime(file, (0, 0))
    storage.run_maintenance()
    assert file.exists()  # it is quiet, but runs
    hand.commit(ended(claim, DONE))
    storage.run_maintenance()
    assert not file.exists() and look(storage, "a").state == DONE


def test_where_a_body_stands_is_asked_and_answered(storage, elsewhere):
    token = 3 << 32 | 5
    assert (storage.stack_asked(3), storage.stack_of(token)) == (None, None)
    elsewhere.ask_stack(3 << 32 | 4)
    elsewhere.ask_stack(token)
    assert [storage.stack_asked(n) for n in (2, 3, 3)] == [None, token, None]
    storage.put_stack(token, "line 1\nline š")
    at, text = elsewhere.stack_of(token)
    assert text == "line 1\nline š" and abs(at - time.time()) < 60
