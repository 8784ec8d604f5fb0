"""Where an alarm may strike: in the author's own code, and nowhere that a lock would stay held."""

from __future__ import annotations

import logging
import sys
import threading
import time

import pytest
from huey import MemoryHuey
from huey.exceptions import TaskTimeout

from duey.execution.body.thread_timeouts import ThreadTimeouts, may_raise
from duey.tasks import current
from duey.tasks.current import Deadline
from tests.support import rounds

SOON_S = 30.0
TRIES = rounds(300, soak=5000)


class Asks(logging.Handler):
    """The author's handler: asks as it is called with its lock held."""

    answer: bool

    def emit(self, record: logging.LogRecord) -> None:
        self.answer = may_raise(sys._getframe())


def in_a_handler() -> bool:
    handler = Asks()
    handler.handle(logging.makeLogRecord({}))
    return handler.answer


def in_logging() -> bool:
    asked: list[bool] = []
    record = logging.makeLogRecord({})
    record.getMessage = lambda: str(asked.append(may_raise(sys._getframe().f_back)))  # type: ignore[method-assign]
    logging.Formatter().format(record)
    return asked[0]


def in_the_engine() -> bool:
    """The engine calls code of the author's: it may hold something."""
    body = current.JobContext.__new__(current.JobContext)
    body.locks, body.pending, asked = [], None, []
    body.at_end = (lambda: asked.append(may_raise(sys._getframe())),)
    body.end()
    return bool(asked[0])


def under_a_decorator() -> bool:
    return bool(MemoryHuey().lock_task("x")(lambda: may_raise(sys._getframe()))())


def in_its_own_code() -> bool:
    return may_raise(sys._getframe())


PLACES = {in_its_own_code: True, under_a_decorator: True, in_a_handler: False, in_logging: False, in_the_engine: False}


def test_where_it_may_strike():
    timeouts = ThreadTimeouts()
    for place, may in PLACES.items():
        assert timeouts.run(Deadline("a", SOON_S), place) is may, place.__name__
        assert not may_raise(sys._getframe()), "no body runs"


def test_a_body_that_waits_over_and_over_is_struck_where_waiting_expects_it():
    event, timeouts = threading.Event(), ThreadTimeouts()

    def body() -> None:
        while True:
            event.wait(0.05)

    for n in range(5):
        with pytest.raises(TaskTimeout):
            timeouts.run(Deadline(str(n), 0.002), body)
    event.set()
    assert event.wait(SOON_S), "its lock is free"


@pytest.mark.soak
def test_nothing_strikes_what_comes_after_a_body():
    """Bodies that end just at their deadline: one is struck or it is not, and what follows in its thread never is."""
    timeouts, ended, struck = ThreadTimeouts(), 0, 0
    for n in range(TRIES):
        try:
            timeouts.run(Deadline(str(n), 0.0004), lambda: time.sleep(0.0004))
            ended += 1
        except TaskTimeout:
            struck += 1
        for _ in range(20):
            str(n)
    assert ended + struck == TRIES
