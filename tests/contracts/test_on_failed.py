"""A job that has failed for good is told to its task's on_failed, once, by a job of its own."""

from __future__ import annotations

import json

import pytest
from huey.api import chord

import duey
from duey import Discard, Retry, errors
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.model.job import Edit, Failure, Job, JobRequest
from duey.model.schedule import ScheduleRow
from tests.contracts.rig import failed, job, payload_of, run_all, run_next, state

DAY_S = 24 * 3600.0
FAILING = f"{__name__}.failing"


@pytest.fixture
def told():
    """What the handlers were told: (job, error)."""
    return []


@pytest.fixture
def failing(huey, told):
    """A factory of tasks with a handler; each raises this error, while there is one."""

    def make(error, **options):
        def failing(*args, **kwargs):
            if error:
                raise error

        return huey.task(on_failed=lambda job, error: told.append((job, error)), **options)(failing)

    return make


def handlers(storage, parent):
    """The jobs of handlers that were accepted for a job."""
    return [job for job in storage.list_jobs(None, None, None, 100, None) if job.job.parent == parent]


def test_a_handler_is_told_once_after_the_last_attempt_what_failed_and_how(huey, storage, failing, told):
    task = failing(ValueError("no good"), retries=1).s(1, two=2)
    task.queue, task.job_context = "slow", '{"user": "ana"}'
    huey.enqueue(task)
    run_next(huey)
    assert handlers(storage, task.id) == []
    run_next(huey)
    (handler,) = handlers(storage, task.id)
    assert (handler.state, handler.job.queue, handler.job.context) == ("queued", "slow", '{"user": "ana"}')
    run_all(huey)
    ((job, error),) = told
    assert isinstance(job, Job) and isinstance(error, Failure)
    assert (job.id, job.qualname, job.task) == (task.id, FAILING, "failing")
    assert (job.args, job.kwargs, job.state, job.attempt, job.retries_left) == ([1], {"two": 2}, "failed", 2, 0)
    assert (error.type, error.message) == ("ValueError", "no good")
    assert error.traceback.endswith("ValueError: no good\n")
    storage.retry(task.id, None, 0)
    run_all(huey)
    assert [job.attempt for job, _ in told] == [2, 3], "it fails again after a retry by hand"


def test_no_handler_runs_for_a_job_that_did_not_fail_and_one_that_was_discarded_did(huey, failing, told, later):
    task = failing(None)
    ends = {
        "done": lambda result: None, "canceled": lambda result: huey.lifecycle.cancel(result.id),
        "revoked": lambda result: result.revoke(), "expired": lambda result: later(10),
    }  # fmt: skip
    for name, end in ends.items():
        result = huey.enqueue(task.s(expires=5))
        end(result)
        run_all(huey)
        assert state(huey.storage, result.id) == ("canceled" if name == "revoked" else name)
        assert (told, handlers(huey.storage, result.id)) == ([], []), name
    failing(Retry(60), name="asks")()
    run_all(huey)
    assert told == [], "an attempt that only asks for the next"
    failing(Discard("no such customer"), name="discards", retries=5)()
    run_all(huey)
    assert [(error.type, error.message) for _, error in told] == [("Discard", "no such customer")]


def test_a_handler_that_fails_is_seen_and_ends_there_and_one_whose_worker_dies_runs_again(huey, storage, hire, told):
    def tell(job, error):
        told.append(job.id)
        raise ValueError

    result = huey.task(name="failing", on_failed=tell)(lambda: 1 / 0)()
    run_next(huey)
    hire().die_running()
    run_all(huey)
    (handler,) = handlers(storage, result.id)
    assert (handler.state, handler.job.attempt, handler.job.task) == ("failed", 1, f"{FAILING}.on_failed")
    assert (told, handler.job.crashes, handlers(storage, handler.job.id)) == ([result.id], 1, [])


def test_what_is_settled_twice_is_handled_once(huey, failing, hand):
    result = failing(ValueError())()
    outcome = failed(huey, hand.claim_one(), ValueError("x"))
    assert not hand.commit(outcome).lost
    hand.commit(outcome)
    assert len(handlers(huey.storage, result.id)) == 1


def test_a_job_that_fails_without_its_body_is_handled_though_nobody_there_knows_its_task(
    huey, failing, told, hire, settings, later
):
    stranger = duey.build(settings)
    assert not stranger._registry._registry
    killed = failing(None, timeout=2)("x")
    for _ in range(2):
        hand = hire()
        hand.begin(hand.claim_one())
        hand.die()
        stranger.lifecycle.reap(hand.dead(), 2)
    late = huey.enqueue(huey._registry.string_to_task(FAILING)(("late",)))
    run_next(huey)  # the handler of the first
    hire().die_running(timed_out=True)
    run_all(huey)
    assert [(job.id, job.args, job.crashes, job.attempt, error.type) for job, error in told] == [
        (killed.id, ["x"], 2, 0, "WorkerDied"), (late.id, ["late"], 0, 1, "TaskTimeout"),
    ]  # fmt: skip
    unknown = huey.enqueue(huey._registry.string_to_task(FAILING)())
    assert stranger.dequeue() is None
    later(DAY_S + 1)
    huey.lifecycle.run_maintenance()
    (handler,) = handlers(huey.storage, unknown.id)
    assert (state(huey.storage, unknown.id), handler.state) == ("failed", "queued")
    stranger.storage.close()


def test_a_handler_is_told_of_a_job_that_was_removed_meanwhile(huey, storage, failing, told):
    result = failing(ValueError("gone"))(1)
    run_next(huey)
    storage.forget(result.id)
    run_all(huey)
    assert [(job.id, job.args, error.message) for job, error in told] == [(result.id, [], "gone")]


def test_a_chord_hears_of_the_member_and_a_task_may_be_the_handler(huey, told):
    tell = huey.task(name="tell")(lambda job, error: told.append(job.id))
    member, together = huey.task(name="member", on_failed=tell)(lambda: 1 / 0), huey.task(name="together")(len)
    result = huey.enqueue(chord([member.s(id="mine")], together.s()))
    run_all(huey)
    assert (result.get(), told) == (1, ["mine"])


def test_nobody_else_makes_the_job_of_a_handler(huey, storage, failing, told):
    """By whatever door: the handler runs once, for the one job that failed, and can be retried as it is."""
    control = Control(huey)
    result = failing(ValueError("real"))("secret")
    huey.task(name="other", on_failed=print)(lambda: None)
    assert control.task("other.on_failed").qualname == f"{__name__}.other.on_failed"
    assert [info.name for info in control.tasks()] == ["failing", "other"], "nobody may enqueue it: it is not listed"
    run_all(huey)
    (handler,) = handlers(storage, result.id)
    made_up = [{"id": result.id, "qualname": FAILING}, {"type": "X", "message": "made up"}]
    cls = huey._registry._registry[f"{FAILING}.on_failed"]
    call = huey.serializer.serialize((made_up, {})).decode("latin-1")
    spec = {"task": f"{FAILING}.on_failed", "every": 60, "call": call}
    storage.schedule_store.add(ScheduleRow("sly", "made", json.dumps(spec), False, 0.0, 0.0))
    doors = {
        "short name": lambda: control.enqueue([JobRequest("failing.on_failed", made_up)]),
        "full name": lambda: control.enqueue([JobRequest(f"{FAILING}.on_failed", made_up)]),
        "batch": lambda: control.enqueue([JobRequest("failing", ()), JobRequest("failing.on_failed", made_up)]),
        "schedule": lambda: control.schedules.make("s", ScheduleRequest("failing.on_failed", made_up, every_s=60)),
        "schedule of before": lambda: control.schedules.run_now("sly"),
        "run again": lambda: control.again(handler.job.id),
        "retry with arguments": lambda: control.retry(handler.job.id, args=made_up),
        "retry with keywords": lambda: control.retry(handler.job.id, kwargs={"error": {}}),
        "retry edited": lambda: control.retry(handler.job.id, edit=Edit({1: {}})),
        "python": lambda: huey.enqueue(cls(made_up)),
    }
    for door, opened in doors.items():
        with pytest.raises(errors.BadRequest):
            opened()
            pytest.fail(f"a handler's job was accepted by the door: {door}")
    huey.enqueue(huey.task(name="first")(lambda: None).s().then(cls(made_up)))
    run_all(huey)
    made = [job.job.id for job in storage.list_jobs(None, None, None, 100, None) if job.job.task.endswith(".on_failed")]
    assert (made, len(told)) == ([handler.job.id], 1)
    control.retry(handler.job.id)
    run_all(huey)
    assert [(job.id, error.message) for job, error in told] == [(result.id, "real")] * 2


def test_a_handler_runs_only_in_the_job_that_was_made_for_it(huey, storage, failing, told):
    other, own = huey.task(name="pay")(lambda card: None)("4111"), failing(None)("4111")
    # whose handler it says it is -> the job that it names as its parent, and the one that it tells of
    table = {
        "nobody's": (None, own.id), "another task's": (other.id, other.id),
        "that of one that did not fail for it": (other.id, own.id),
    }  # fmt: skip
    name = f"{FAILING}.on_failed"
    for sly, (parent, tells_of) in table.items():
        payload = payload_of(sly, name, ({"id": tells_of}, {}))
        storage.enqueue_jobs([job(sly, task=name, parent=parent, payload=payload)])
    run_all(huey)
    assert (told, [state(storage, sly) for sly in table]) == ([], ["failed"] * 3)
