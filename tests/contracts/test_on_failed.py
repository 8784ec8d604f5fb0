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


@pytest.fixture
def told():
    """What the handlers were told: (job, error)."""
    return []


@pytest.fixture
def failing(huey, told):
    """A factory of tasks with a handler; each raises this error, while there is one."""

    def make(error, **options):
        @huey.task(on_failed=lambda job, error: told.append((job, error)), **options)
        def failing(*args, **kwargs):
            if error:
                raise error

        return failing

    return make


def handlers(storage, parent):
    """The jobs of handlers that were accepted for a job."""
    return [job for job in storage.list_jobs(None, None, None, 100, None) if job.parent == parent]


def test_a_handler_is_told_what_failed_and_how(huey, failing, told):
    result = failing(ValueError("no good"))(1, two=2)
    run_all(huey)
    (job, error), *more = told
    assert not more and isinstance(job, Job) and isinstance(error, Failure)
    assert (job.id, job.qualname, job.task) == (result.id, f"{__name__}.failing", "failing")
    assert (job.args, job.kwargs, job.state, job.attempt, job.retries_left) == ([1], {"two": 2}, "failed", 1, 0)
    assert (error.type, error.message) == ("ValueError", "no good")
    assert error.traceback.endswith("ValueError: no good\n")


def test_a_handler_runs_once_after_the_last_attempt(huey, failing, told):
    result = failing(ValueError("no good"), retries=2)()
    for _ in range(2):
        run_next(huey)
        assert handlers(huey.storage, result.id) == []
    run_next(huey)
    assert [job.state for job in handlers(huey.storage, result.id)] == ["queued"]
    run_all(huey)
    assert [job.attempt for job, _ in told] == [3]


@pytest.mark.parametrize("end", ["done", "canceled", "expired", "revoked"])
def test_no_handler_runs_for_a_job_that_did_not_fail(huey, failing, told, end, later):
    task = failing(None)
    result = huey.enqueue(task.s(expires=5))
    if end == "canceled":
        huey.storage.cancel(result.id)
    elif end == "revoked":
        result.revoke()
    elif end == "expired":
        later(10)
    run_all(huey)
    assert state(huey.storage, result.id) == ("canceled" if end == "revoked" else end)
    assert (told, handlers(huey.storage, result.id)) == ([], [])


def test_a_discarded_job_has_failed(huey, failing, told):
    failing(Discard("no such customer"), retries=5)()
    run_all(huey)
    assert [(error.type, error.message) for _, error in told] == [("Discard", "no such customer")]


def test_an_attempt_that_only_asks_for_the_next_has_not_failed(huey, failing, told):
    failing(Retry(60))()
    run_all(huey)
    assert told == []


def test_a_handler_that_fails_is_seen_and_ends_there(huey):
    @huey.task(on_failed=lambda job, error: 1 / 0)
    def failing():
        raise ValueError

    result = failing()
    run_all(huey)
    (handler,) = handlers(huey.storage, result.id)
    assert (handler.state, handler.attempt, handler.task) == ("failed", 1, f"{__name__}.failing.on_failed")
    assert handlers(huey.storage, handler.id) == []


def test_a_handler_survives_the_death_of_its_worker(huey, failing, told, hire):
    result = failing(ValueError())()
    run_next(huey)
    hand = hire()
    hand.begin(hand.claim_one())
    hand.die()
    huey.storage.reap(hand.dead(), 3)
    run_all(huey)
    assert [job.id for job, _ in told] == [result.id]
    assert [job.crashes for job in handlers(huey.storage, result.id)] == [1]


def test_what_is_settled_twice_is_handled_once(huey, failing, hand):
    result = failing(ValueError())()
    claim = hand.claim_one()
    settlement = failed(huey, claim, ValueError("x"))
    assert not hand.commit(settlement).lost
    hand.commit(settlement)
    assert len(handlers(huey.storage, result.id)) == 1


def test_a_job_that_fails_with_its_worker_is_handled_though_nobody_there_knows_its_task(
    huey, failing, told, hire, settings
):
    result = failing(None)("x")
    stranger = duey.build(settings)
    assert not stranger._registry._registry
    for _ in range(2):
        hand = hire()
        hand.begin(hand.claim_one())
        hand.die()
        stranger.storage.reap(hand.dead(), 2)
    assert state(huey.storage, result.id) == "failed"
    run_all(huey)
    ((job, error),) = told
    assert (job.args, job.crashes, error.type) == (["x"], 2, "WorkerDied")
    stranger.storage.close()


def test_a_body_that_was_killed_for_its_timeout_is_handled(huey, failing, told, hire):
    failing(None, timeout=2)()
    hand = hire()
    claim = hand.claim_one()
    hand.begin(claim)
    hand.die()
    huey.storage.reap(hand.dead(timed_out=[claim]), 3)
    run_all(huey)
    assert [(job.attempt, error.type) for job, error in told] == [(1, "TaskTimeout")]


def test_a_job_of_a_task_that_nobody_knew_for_a_day_is_handled(huey, failing, later, settings):
    result = failing(None)()
    stranger = duey.build(settings)
    assert stranger.dequeue() is None
    later(DAY_S + 1)
    huey.storage.run_maintenance()
    (handler,) = handlers(huey.storage, result.id)
    assert (state(huey.storage, result.id), handler.state) == ("failed", "queued")
    stranger.storage.close()


def test_a_job_that_fails_again_after_a_retry_by_hand_is_handled_again(huey, failing, told):
    result = failing(ValueError())()
    run_all(huey)
    huey.storage.retry(result.id, None, 0)
    run_all(huey)
    assert [job.attempt for job, _ in told] == [1, 2]


def test_a_handler_inherits_queue_parent_and_context(huey, storage, failing):
    task = failing(ValueError()).s()
    task.queue, task.job_context = "slow", '{"user": "ana"}'
    huey.enqueue(task)
    run_next(huey)
    (handler,) = handlers(storage, task.id)
    assert (handler.queue, handler.context) == ("slow", '{"user": "ana"}')


def test_a_task_may_be_the_handler(huey, told):
    @huey.task()
    def tell(job, error):
        told.append(job.id)

    @huey.task(on_failed=tell)
    def failing():
        raise ValueError

    result = failing()
    run_all(huey)
    assert told == [result.id]


def test_a_handler_is_told_of_a_job_that_was_removed_meanwhile(huey, storage, failing, told):
    result = failing(ValueError("gone"))(1)
    run_next(huey)
    storage.forget(result.id)
    run_all(huey)
    assert [(job.id, job.args, error.message) for job, error in told] == [(result.id, [], "gone")]


def test_a_chord_hears_of_the_member_and_the_handler_runs(huey, failing, told):
    @huey.task()
    def together(parts):
        return len(parts)

    result = huey.enqueue(chord([failing(ValueError()).s()], together.s()))
    run_all(huey)
    assert (result.get(), len(told)) == (1, 1)


def test_handlers_of_two_tasks_have_names_of_their_own(huey):
    for name in ("one", "two"):
        huey.task(name=name, on_failed=print)(lambda: None)
    control = Control(huey)
    assert control.task("two.on_failed").qualname == f"{__name__}.two.on_failed"
    assert [info.name for info in control.tasks()] == ["one", "two"]  # nobody may enqueue a handler: it is not listed


def test_nobody_else_makes_the_job_of_a_handler(huey, storage, failing, told):
    """By whatever door: the handler runs once, for the one job that failed, and can be retried as it is."""
    control = Control(huey)
    result = failing(ValueError("real"))("secret")
    run_all(huey)
    (handler,) = handlers(storage, result.id)
    made_up = [{"id": result.id, "qualname": f"{__name__}.failing"}, {"type": "X", "message": "made up"}]
    cls = huey._registry._registry[f"{__name__}.failing.on_failed"]
    spec = {"task": f"{__name__}.failing.on_failed", "every": 60, "call": huey.serializer.serialize((made_up, {}))}
    spec["call"] = spec["call"].decode("latin-1")
    storage.schedule_store.add(ScheduleRow("sly", "made", json.dumps(spec), False, 0.0, 0.0))
    doors = {
        "short name": lambda: control.enqueue([JobRequest("failing.on_failed", made_up)]),
        "full name": lambda: control.enqueue([JobRequest(f"{__name__}.failing.on_failed", made_up)]),
        "batch": lambda: control.enqueue([JobRequest("failing", ()), JobRequest("failing.on_failed", made_up)]),
        "schedule": lambda: control.schedules.make("s", ScheduleRequest("failing.on_failed", made_up, every_s=60)),
        "schedule of before": lambda: control.schedules.run_now("sly"),
        "run again": lambda: control.again(handler.id),
        "retry with arguments": lambda: control.retry(handler.id, args=made_up),
        "retry with keywords": lambda: control.retry(handler.id, kwargs={"error": {}}),
        "retry edited": lambda: control.retry(handler.id, edit=Edit({1: {}})),
        "python": lambda: huey.enqueue(cls(made_up)),
    }
    for door, opened in doors.items():
        with pytest.raises(errors.BadRequest):
            opened()
            pytest.fail(f"a handler's job was accepted by the door: {door}")
    huey.enqueue(huey.task(name="first")(lambda: None).s().then(cls(made_up)))
    run_all(huey)
    assert [job.id for job in storage.list_jobs(None, None, None, 100, None) if job.task.endswith(".on_failed")] == [
        handler.id
    ]
    assert len(told) == 1
    control.retry(handler.id)
    run_all(huey)
    assert [(job.id, error.message) for job, error in told] == [(result.id, "real")] * 2


@pytest.mark.parametrize("parent", ["none", "another task's", "one that did not fail for it"])
def test_a_handler_runs_only_in_the_job_that_was_made_for_it(huey, storage, failing, told, parent):
    @huey.task()
    def pay(card):
        return None

    other, own = pay("4111"), failing(None)("4111")
    told_of = {"none": own.id, "another task's": other.id, "one that did not fail for it": own.id}[parent]
    claim_of = {"none": None, "another task's": other.id, "one that did not fail for it": other.id}[parent]
    name = f"{__name__}.failing.on_failed"
    storage.enqueue_jobs(
        [job("sly", task=name, parent=claim_of, payload=payload_of("sly", name, ({"id": told_of}, {})))]
    )
    run_all(huey)
    assert (told, state(storage, "sly")) == ([], "failed")
