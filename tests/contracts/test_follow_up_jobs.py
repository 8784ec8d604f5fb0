"""Whoever waits for what was to follow a job hears of its end, also where that cannot be stored, or has no body."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest
from huey.api import chord
from huey.exceptions import TaskException
from huey.utils import SKIPPED, Error

from duey import errors
from duey.control.service import Control
from duey.execution import display
from duey.execution.display import MEMBERS
from duey.model.job import Edit
from duey.payload.serializer import register_type
from tests.contracts.rig import failure_of, look, run_all, state


@register_type
@dataclass
class Cargo:
    """An argument that can be read only while `broken` is not set."""

    broken: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if Cargo.broken:
            raise ValueError("broken")


@pytest.fixture
def flow(huey):
    """Tasks to build with; `flow.runs` names the bodies that ran, `flow.returns` is what the first step returns."""
    flow = SimpleNamespace(runs=[], parts=[], returns=1)

    @huey.task(retries=5)
    def first(cargo):
        flow.runs.append("first")
        return flow.returns

    @huey.task()
    def later(*args, **kwargs):
        flow.runs.append("later")
        return args

    flow.together = huey.task(name="together")(lambda parts: flow.parts.append(parts))
    flow.first, flow.later = first, later
    return flow


def enqueued(huey, flow, **options):
    """A pipeline of three, the last step of which is a member of a chord: the ids of its steps."""
    flow.runs.clear(), flow.parts.clear()
    first = flow.first.s(Cargo(), **options).then(flow.later).then(flow.later)
    huey.enqueue(chord([first, flow.later.s(7)], flow.together.s()))
    return first.id, first.on_complete.id, first.on_complete.on_complete.id


def check_told(huey, flow, ids, error_type):
    """The later steps end with an error, and the callback runs with one in the first member's place."""
    for step in ids[1:]:
        with pytest.raises(TaskException) as raised:
            huey.result(step)
        assert raised.value.metadata["type"] == error_type
        assert state(huey.storage, step) is None
    ((failed, other),) = flow.parts
    assert other == (7,)
    if isinstance(failed, Error):
        assert failed.metadata["type"] == error_type
    else:
        assert failed == SKIPPED and error_type == "StepNotReached"


def test_a_result_that_cannot_be_stored_or_does_not_fit_the_next_step_fails_at_once_and_is_told(huey, flow):
    table = {
        "ResultUnfit": ({1: 5}, "its body has ended, but its result cannot be handed to the next step, later: "),
        "UnserializableError": (object(), "its result: a value of type object "),
    }
    for error_type, (flow.returns, sentence) in table.items():
        ids = enqueued(huey, flow)
        run_all(huey)
        assert flow.runs == ["first", "later"], "its body ran once, whatever retries are left"
        failure = failure_of(huey, ids[0])
        assert failure.type == error_type and failure.message.startswith(sentence)
        check_told(huey, flow, ids, error_type)
    detail = [e.detail for e in huey.lifecycle.read_events(100) if e.job_id == ids[0]][-1]
    assert detail["reason"] == "not retried: its body has ended, and only its result cannot be stored"


def test_an_error_handler_that_cannot_be_stored_costs_the_job_nothing(huey, flow):
    @huey.task(retries=2)
    def fail():
        flow.runs.append("fail")
        raise OSError("its own reason")

    task = fail.s().error(flow.later)
    task.on_error.args = ("x" * 10_000,)
    huey.enqueue(task)
    # The call can be read, and with the exception that Huey adds the handler is too large.
    huey.serializer.max_bytes = len(look(huey.storage, task.id).job.payload)
    run_all(huey)
    assert flow.runs == ["fail"] * 3
    failure = failure_of(huey, task.id)
    assert (failure.type, failure.message) == ("OSError", "its own reason")
    for event in [e for e in huey.lifecycle.read_events(100) if e.kind in ("retrying", "failed")]:
        assert [text for _, _, text in event.detail["logs"] if "error handler" in text and "cannot be stored" in text]


def fall_back(huey, job_id: str) -> None:
    """Make the job one that the version before has accepted: what waits for it stands in its payload alone."""
    if huey.storage.backend == "sqlite":
        with huey.storage.db.write("relaxed") as con:
            con.execute("update jobs set sequel = null where id = ?", (job_id,))
        return
    server = huey.storage.server
    server.command(b"HDEL", server.key(f"job:{job_id}"), "sequel")
    head, _, payload = server.command(b"GET", server.key(f"body:{job_id}")).partition(b"\n")
    before = json.dumps(json.loads(b"[" + head)[:10])[1:].encode()
    server.command(b"SET", server.key(f"body:{job_id}"), before + b"\n" + payload)


# How a job ends without the end of its body -> the type of the error that its followers are told
ENDS = {
    "died": "WorkerDied", "timed out": "TaskTimeout", "unread": "PayloadUndecodable", "expired": "StepNotReached",
    "revoked": "StepNotReached", "canceled": "StepNotReached", "canceled while it ran": "StepNotReached",
}  # fmt: skip


def end(huey, hire, how: str, job_id: str) -> None:
    storage = huey.storage
    if how == "canceled":
        storage.lifecycle.cancel(job_id)
    elif how == "revoked":
        huey.revoke_by_id(job_id)
    elif how in ("died", "timed out", "canceled while it ran"):
        hand = hire()
        claim = hand.claim_one()
        assert claim.job.id == job_id
        hand.begin(claim)
        if how == "canceled while it ran":
            storage.lifecycle.cancel(job_id)
        hand.die()
        storage.lifecycle.reap(hand.dead(timed_out=[claim] if how == "timed out" else []), 1)


def test_an_end_without_a_body_is_told(huey, flow, hire, monkeypatch):
    for known in (True, False):  # now, and as the version before has accepted it
        for how, error_type in ENDS.items():
            if how == "unread" and not known:
                continue  # then nobody can know
            ids = enqueued(huey, flow, retries=0, timeout=60, **({"expires": 0.01} if how == "expired" else {}))
            if not known:
                fall_back(huey, ids[0])
            time.sleep(0.02 if how == "expired" else 0)
            with monkeypatch.context() as patched:
                # The arguments are not decoded by whoever ends the job.
                patched.setattr(Cargo, "broken", known)
                end(huey, hire, how, ids[0])
                if how == "unread":
                    while not flow.parts:
                        huey.execute(task) if (task := huey.dequeue()) else None
            run_all(huey)
            assert flow.runs == ["later"], (how, known)
            check_told(huey, flow, ids, error_type)


def test_a_callback_fires_as_it_was_meant_after_a_member_ended_without_its_body(huey, flow, hire):
    """Its priority, queue and context are its own; a relative `expires` counts from then."""
    callback = flow.together.s(priority=7, expires=100, queue="others", context={"user": "ana"})
    huey.enqueue(chord([flow.later.s(1), flow.later.s(2)], callback))
    began = time.time()
    for _ in range(2):
        hire().die_running(most=1)
    claim = hire().claim_one()
    assert (claim.job.id, claim.job.task, claim.job.queue, claim.job.priority) == (
        callback.id, huey._registry.task_to_string(type(callback)), "others", 7.0,
    )  # fmt: skip
    assert json.loads(claim.job.context) == {"user": "ana"}
    assert began + 99 <= claim.job.expires_at <= time.time() + 101
    assert claim.job.chord is not None and len(huey.storage.chord_results(claim.job.chord)) == 2


def test_each_job_of_a_workflow_names_the_one_that_it_follows(huey, flow):
    ids = enqueued(huey, flow)
    run_all(huey)
    parents = {job.id: job.parent for job in Control(huey).jobs(limit=50).jobs}
    assert [parents[each] for each in ids] == [None, *ids[:2]]
    (callback,) = [job for job in Control(huey).jobs(limit=50).jobs if job.task == "together"]
    members = {ids[2], *(job.id for job in Control(huey).jobs(limit=50).jobs if job.args == [7])}
    assert callback.parent in members, "the member that ended last"
    failing = flow.first.s(1, retries=0)
    failing.on_error = flow.later.s()
    flow.returns = object()  # cannot be stored
    huey.enqueue(failing)
    run_all(huey)
    assert [job.task for job in Control(huey).jobs(limit=50).jobs if job.parent == failing.id] == ["later"]


def test_a_callback_is_shown_and_runs_again_with_what_the_members_returned(huey, flow, monkeypatch):
    control, seen = Control(huey), []
    flow.together = huey.task(name="totals")(lambda unit, parts: seen.append((unit, parts)))
    huey.enqueue(chord([flow.later.s(n, key={"password": "hunter2"}) for n in (1, 2)], flow.together.s("EUR")))
    run_all(huey)
    (callback,) = control.jobs(task="totals").jobs
    assert callback.args == ["EUR", MEMBERS], "a list reads no results"
    assert control.job(callback.id).args == ["EUR", [[1], [2]]]
    (event,) = [
        each for each in huey.lifecycle.read_events(500) if each.job_id == callback.id and each.kind == "enqueued"
    ]
    assert event.args == ["EUR", [[1], [2]]] and event.detail["names"] == ["unit", "parts"]
    (again,) = control.again(callback.id).jobs
    assert control.job(again.id).args == ["EUR", [[1], [2]]]
    run_all(huey)
    assert seen == [("EUR", [(1,), (2,)])] * 2
    for change in ({"args": ["USD"]}, {"edit": Edit(args={0: "USD"})}):
        with pytest.raises(errors.InvalidArguments, match="results of its members"):
            control.retry(callback.id, **change)
    monkeypatch.setattr(display, "MOST_MEMBERS", 1)
    assert control.job(callback.id).args == ["EUR", MEMBERS]
