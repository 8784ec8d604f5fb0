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


def test_an_exit_is_a_failed_attempt(huey):
    def leave(n):
        raise EXITS[n]

    task = huey.task(name="leave", retries=1)(leave)
    for n, exit_ in enumerate(EXITS):
        result = task(n)
        assert run_all(huey) == [None, None]
        ended = (state(huey.storage, result.id), kinds(huey.storage, result.id))
        assert ended == ("failed", ["enqueued", "retrying", "failed"]), exit_
        assert type(exit_).__name__ in failure_of(huey, result.id).message
        with pytest.raises(TaskException):
            result.get()


class BrokenError(Exception):
    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __repr__


def test_an_odd_error_is_a_failed_attempt_that_says_why(huey):
    """One that cannot be printed, one without end, endless recursion, a chain."""
    bodies = {}

    def body(name):
        if name == "broken":
            raise BrokenError
        if name == "endless":
            raise ValueError("x" * 10_000_000)
        if name == "deep":
            body(name)
        try:
            raise KeyError("first")
        except KeyError as exc:
            raise ValueError("second") from exc

    task = huey.task(name="body")(body)
    for name in ("broken", "endless", "deep", "chain"):
        bodies[name] = task(name).id
        run_next(huey)
    failures = {name: failure_of(huey, job_id) for name, job_id in bodies.items()}
    assert (failures["broken"].type, failures["broken"].message) == ("BrokenError", "<its message could not be made>")
    assert len(look(huey.storage, bodies["endless"]).result) < 200_000
    assert failures["deep"].type == "RecursionError" and sys.getrecursionlimit() > 100
    trace = failures["chain"].traceback
    assert trace.index("KeyError: 'first'") < trace.index("ValueError: second")
    detail = huey.lifecycle.read_events(10)[-1].detail
    assert (detail["type"], detail["message"]) == ("ValueError", "second")
    assert "ValueError: second" in detail["traceback"]


def test_progress_is_there_when_the_body_has_ended(huey):
    def work():
        current.progress(1, 10, "begun")
        current.progress(10, 10, "all")
        return current.current_job().id

    result = huey.task(name="work")(work)()
    run_all(huey)
    found = look(huey.storage, result.id)
    stored = json.loads(huey.storage.progress_of(found.job.seq))
    assert stored == {"done": 10, "total": 10, "note": "all", "at": stored["at"]}
    assert (result.get(), current.current_job()) == (result.id, None)


def test_a_body_whose_claim_was_taken_away_is_told_and_writes_nothing(huey):
    def work(task):
        huey.storage.release_claims(huey.storage.holder, [task.claim])
        return "mine"

    result = huey.task(name="work", context=True)(work)()
    with pytest.raises(errors.ClaimLost, match="gone: nothing was written"):
        run_next(huey)
    assert (state(huey.storage, result.id), result.get()) == ("queued", None)


def test_a_storage_that_is_away_before_the_body_costs_the_job_nothing(huey, monkeypatch):
    def away(keys):
        raise errors.StorageBusy("locked")

    result = huey.task(name="work")(lambda: "done")()
    with monkeypatch.context() as patched:
        patched.setattr(huey.storage, "peek_many", away)
        assert run_next(huey) is None
    assert (state(huey.storage, result.id), look(huey.storage, result.id).job.attempt) == ("queued", 0)
    assert run_next(huey) == "done"


def test_what_a_job_puts_into_context_variables_is_gone_with_it(huey):
    """Its hooks and its body see the same, the next job none of it."""
    user, seen = ContextVar("user", default="nobody"), []

    @huey.pre_execute()
    def before(task):
        seen.append(user.get())
        user.set(task.args[0])

    def work(name):
        seen.append(user.get())
        user.set(f"{name} in the body")

    huey.post_execute()(lambda task, value, exception: seen.append(user.get()))
    task = huey.task(name="work")(work)
    task("ana"), task("bo")
    run_all(huey)
    assert seen == ["nobody", "ana", "ana in the body", "nobody", "bo", "bo in the body"]
    assert user.get() == "nobody"
