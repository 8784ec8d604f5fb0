"""The log of a body: what goes into it, and how it is written while the body runs."""

from __future__ import annotations

import io
import logging
import sys
import threading
from types import SimpleNamespace

import pytest

from duey.execution.body import job_log
from duey.execution.body.job_log import JobLog, LiveLog, Stdout
from duey.model.log_lines import AttemptLog
from duey.payload.redact import Mask
from tests.contracts.rig import job


class Store:
    """Keeps what it is given. Refuses as often as it is told to."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses, self.lines, self.ended = refuses, {}, []
        self.written = threading.Semaphore(0)

    def put_logs(self, lines):
        if self.refuses:
            self.refuses -= 1
            raise OSError("no room")
        for token, own in lines.items():
            self.lines.setdefault(token, []).extend(own)
        self.written.release()

    def end_logs(self, tokens):
        self.ended += tokens
        self.written.release()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(job_log, "FIRST_S", 0.0)
    monkeypatch.setattr(job_log, "EVERY_S", 0.01)


def started(store):
    handler = JobLog()
    handler.live = LiveLog(store)
    threading.Thread(target=handler.live.run, daemon=True).start()
    return handler


def say(handler, text):
    handler.handle(logging.makeLogRecord({"msg": text, "levelname": "INFO", "created": 1.0}))


@pytest.mark.parametrize("refuses", [0, 2])
def test_lines_are_written_while_the_body_runs(refuses):
    store = Store(refuses)
    handler = started(store)
    handler.begin(7)
    for text in ("a", "b"):
        say(handler, text)
    while [line[3] for line in store.lines.get(7, ())] != ["a", "b"]:
        assert store.written.acquire(timeout=10)
    assert [line[2] for line in handler.end()] == ["a", "b"]
    while store.ended != [7]:
        assert store.written.acquire(timeout=10)


def test_a_body_without_lines_makes_nothing():
    handler = started(store := Store())
    handler.begin(7)
    assert type(handler._here.log) is int and handler.end() is None
    say(handler, "outside of a body")
    assert handler.live._queue.empty() and not store.lines


def test_a_log_that_ended_before_it_was_written_is_not_written():
    live = LiveLog(store := Store())
    log = AttemptLog(3)
    log.add(1.0, "INFO", "a")
    log.ended = True
    live._write({log})
    assert not store.lines and not store.ended and not live._unwritten


def test_standard_output_stays_what_it_was(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Stdout(stream, everywhere=True))
    print("outside of a job")
    sys.stdout.flush()
    assert stream.getvalue() == "outside of a job\n" and not sys.stdout.isatty()


def test_no_part_of_a_long_secret_is_left_where_a_line_is_cut(monkeypatch):
    secret = "long secret " * 6000
    task = SimpleNamespace(capture_print=True)
    context = SimpleNamespace(
        mask=Mask([secret], str), deadline=SimpleNamespace(unheeded=False), claim=SimpleNamespace(job=job("a")),
        huey=SimpleNamespace(_registry=SimpleNamespace(_registry={job("a").task: task})),
    )  # fmt: skip
    handler, stdout = JobLog(), Stdout(io.StringIO(), everywhere=True)
    handler.stdout = stdout
    monkeypatch.setattr(job_log, "current_job_context", lambda: context)
    monkeypatch.setattr(job_log, "job_log_handler", handler)
    handler.begin(7)
    say(handler, secret)
    say(handler, f"twice {secret}{secret}")
    for pieces in ((secret, ".", secret, "\n"), ("a\nb ", secret, "\nc", "d\n", "e")):
        for piece in pieces:
            stdout.write(piece)
    texts = [line[2] for line in handler.end()]
    assert texts == ["[redacted]", "twice [redacted][redacted]", "[redacted]", "a", "b [redacted]", "cd", "e"]
