"""Whatever a body does, its job ends, in words, and the worker lives on."""

from __future__ import annotations

import asyncio
import json
import sys
from contextvars import ContextVar

import pytest
from huey.exceptions import TaskException

from duey import errors
from duey.tasks import current
from tests.contracts.rig import failure_of, kinds, look, run_all, run_next, state
from tests.support.sqlite_huey import sqlite_huey


@pytest.fixture
def huey(tmp_path):
    with sqlite_huey(tmp_path) as huey:
        yield huey


EXITS = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError("gone"), BaseException("bare")]


@pytest.mark.parametrize("exit_", EXITS, ids=lambda each: type(each).__name__)
def test_an_exit_is_a_failed_attempt(huey, exit_):
    @huey.task(retries=1)
    def leave():
        raise exit_

    result = leave()
    assert run_all(huey) == [None, None]
    assert (state(huey.storage, result.id), kinds(huey.storage)) == ("failed", ["enqueued", "retrying", "failed"])
    assert type(exit_).__name__ in failure_of(huey, result.id).message
    with pytest.raises(TaskException):
        result.get()


class BrokenError(Exception):
    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__


def test_an_error_that_cannot_be_printed_is_a_failed_attempt(huey):
    @huey.task()
    def fail():
        raise BrokenError

    result = fail()
    run_all(huey)
    failure = failure_of(huey, result.id)
    assert (failure.type, failure.message) == ("BrokenError", "<its message could not be made>")


def test_an_error_message_without_end_is_cut(huey):
    @huey.task()
    def fail():
        raise ValueError("x" * 10_000_000)

    result = fail()
    run_all(huey)
    assert len(look(huey.storage, result.id).result) < 200_000


def test_endless_recursion_is_a_failed_attempt(huey):
    @huey.task()
    def deeper(n):
        return deeper.call_local(n + 1)

    result = deeper(0)
    run_all(huey)
    assert failure_of(huey, result.id).type == "RecursionError"
    assert sys.getrecursionlimit() > 100


def test_a_chain_of_errors_is_kept_in_the_traceback(huey):
    @huey.task()
    def fail():
        try:
            raise KeyError("first")
        except KeyError as exc:
            raise ValueError("second") from exc

    result = fail()
    run_all(huey)
    trace = failure_of(huey, result.id).traceback
    assert trace.index("KeyError: 'first'") < trace.index("ValueError: second")


def test_the_event_of_a_failure_says_why(huey):
    @huey.task()
    def fail():
        raise ValueError("no good")

    fail()
    run_all(huey)
    detail = huey.storage.read_events(10)[-1].detail
    assert (detail["type"], detail["message"]) == ("ValueError", "no good")
    assert "ValueError: no good" in detail["traceback"]


def test_progress_is_there_when_the_body_has_ended(huey):
    @huey.task()
    def work():
        current.progress(1, 10, "begun")
        current.progress(10, 10, "all")
        return current.current_job().id

    result = work()
    run_all(huey)
    found = look(huey.storage, result.id)
    assert json.loads(huey.storage.progress_of(found.seq)) == {"done": 10, "total": 10, "note": "all"}
    assert (result.get(), current.current_job()) == (result.id, None)


def test_a_body_can_see_that_it_was_asked_to_stop(huey):
    seen = []

    @huey.task(context=True)
    def work(task):
        seen.append(current.canceled())
        huey.storage.cancel(task.id)
        seen.append(current.canceled())

    work()
    run_all(huey)
    assert (seen, current.canceled()) == ([False, True], False)


def test_a_body_whose_claim_was_taken_away_is_told_and_writes_nothing(huey):
    @huey.task(context=True)
    def work(task):
        huey.storage.release_claims(huey.storage.holder, [task.claim])
        return "mine"

    result = work()
    with pytest.raises(errors.ClaimLost, match="gone: nothing was written"):
        run_next(huey)
    assert (state(huey.storage, result.id), result.get()) == ("queued", None)


def test_a_storage_that_is_away_before_the_body_costs_the_job_nothing(huey, monkeypatch):
    @huey.task()
    def work():
        return "done"

    def away(keys):
        raise errors.StorageBusy("locked")

    result = work()
    with monkeypatch.context() as patched:
        patched.setattr(huey.storage, "peek_many", away)
        assert run_next(huey) is None
    assert (state(huey.storage, result.id), look(huey.storage, result.id).attempt) == ("queued", 0)
    assert run_next(huey) == "done"


def test_what_a_job_puts_into_context_variables_is_gone_with_it(huey):
    """Its hooks and its body see the same, the next job none of it."""
    user, seen = ContextVar("user", default="nobody"), []

    @huey.pre_execute()
    def before(task):
        seen.append(user.get())
        user.set(task.args[0])

    @huey.task()
    def work(name):
        seen.append(user.get())
        user.set(f"{name} in the body")

    @huey.post_execute()
    def after(task, value, exception):
        seen.append(user.get())

    work("ana")
    work("bo")
    run_all(huey)
    assert seen == ["nobody", "ana", "ana in the body", "nobody", "bo", "bo in the body"]
    assert user.get() == "nobody"
