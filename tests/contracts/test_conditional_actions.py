"""What people do to a job they looked at: only while it stands as they saw it, and with its call as it is stored."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from duey import current_job, errors
from duey.control.service import Control
from duey.model.job import Edit, JobRequest
from tests.contracts.rig import jobs, kinds, run_next, state
from tests.support import rows

VERBS = ["cancel", "retry", "forget"]


def do(storage, verb, was):
    getattr(storage, verb)("a", *([None, 0] if verb == "retry" else []), was=was)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("was", ["running", "done", "nonsense"])
def test_a_job_in_another_state_is_left_alone(storage, hand, verb, was):
    storage.enqueue_jobs(jobs("a"))
    if verb != "cancel":
        hand.work("failed")
    before = state(storage, "a"), kinds(storage)
    with pytest.raises(errors.StateConflict) as refused:
        do(storage, verb, was)
    assert refused.value.state == before[0]
    assert (state(storage, "a"), kinds(storage)) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_job_that_stands_as_it_was_seen_is_changed(storage, hand, verb):
    storage.enqueue_jobs(jobs("a"))
    if verb != "cancel":
        hand.work("failed")
    do(storage, verb, state(storage, "a"))
    assert state(storage, "a") == {"cancel": "canceled", "retry": "queued", "forget": None}[verb]


def test_who_saw_it_waiting_does_not_stop_it_running(storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.begin(hand.claim_one())
    with pytest.raises(errors.StateConflict):
        storage.cancel("a", "queued")
    assert storage.stop_requested([1]) == set()
    assert storage.cancel("a", "running") == "running"


@pytest.fixture
def shop(make_huey):
    """A task that fails once with what it was called with, and a control over it."""
    huey = make_huey(monitor_redact="password, secret")
    calls = []

    @huey.task(queue="till")
    def order(item, *more, login=None, secret="", due=None):
        calls.append(((item, *more), {"login": login, "secret": secret, "due": due}, current_job().context))
        raise ValueError("once")

    return huey, Control(huey), calls, order


LOGIN = {"name": "ana", "password": "tree", "urls": ["http://x:tree@host/"], "tags": [{"secret": 1}]}
DUE = datetime(2030, 1, 31, tzinfo=timezone.utc)


def failed(huey, order):
    result = order({"id": 7}, 2, 3, login=LOGIN, secret="leaf", due=DUE)
    run_next(huey)
    return result.id


def test_what_an_edit_does_not_touch_stays_as_it_is_stored(shop):
    huey, control, calls, order = shop
    job_id = failed(huey, order)
    control.retry(job_id, edit=Edit({1: 20}, {"due": None}), was="failed")
    run_next(huey)
    assert calls[1][:2] == (({"id": 7}, 20, 3), {"login": LOGIN, "secret": "leaf", "due": None})
    control.retry(job_id, edit=Edit(without=("secret", "due")))
    run_next(huey)
    assert calls[2][:2] == (({"id": 7}, 20, 3), {"login": LOGIN, "secret": "", "due": None})


def test_marks_of_hidden_values_mean_what_they_stood_for(shop):
    huey, control, calls, order = shop
    job_id = failed(huey, order)
    shown = control.job(job_id).kwargs
    assert "tree" not in str(shown) and shown["secret"] == "[redacted]"
    control.retry(job_id, edit=Edit(kwargs={**shown, "login": {**shown["login"], "name": "eva", "new": [1]}}))
    run_next(huey)
    assert calls[1][1] == {"login": {**LOGIN, "name": "eva", "new": [1]}, "secret": "leaf", "due": DUE}


@rows(
    ("edit", "path"),
    [
        (Edit({0: {"id": "[redacted]"}}), "args[0].id"),
        (Edit({0: {"[redacted]": 1}}), "args[0]"),
        (Edit(kwargs={"login": {"tags": [{"secret": "[redacted]"}, 1]}}), "kwargs.login.tags"),
        (Edit(kwargs={"login": {"urls": ["http://y:[redacted]@host/"]}}), "kwargs.login.urls"),
        (Edit({3: 1}), "args[3]"),
        (Edit({-1: 1}), "args[-1]"),
        (Edit(kwargs={"nonsense": 1}), "kwargs.nonsense"),
    ],
)
def test_an_edit_that_means_nothing_is_refused(shop, edit, path):
    huey, control, _, order = shop
    job_id = failed(huey, order)
    with pytest.raises(errors.InvalidArguments) as refused:
        control.retry(job_id, edit=edit)
    assert [each.path for each in refused.value.errors] == [path]
    assert control.job(job_id).state == "failed"


def test_a_job_runs_again_as_a_new_one_with_the_stored_call(shop):
    huey, control, calls, _ = shop
    request = JobRequest("order", [{"id": 7}], {"login": LOGIN, "secret": "leaf"}, priority=3, context={"user": "ana"})
    first = control.enqueue([request]).jobs[0]
    run_next(huey)
    again = control.again(first.id)
    new = again.jobs[0]
    assert new.id != first.id and not again.held
    assert (new.state, new.queue, new.priority, new.parent, new.eta) == ("queued", "till", 3.0, None, None)
    run_next(huey)
    assert calls[0] == calls[1]
    assert calls[1][2] == {"user": "ana"}
    assert control.job(first.id).state == "failed"


def test_a_call_that_is_gone_cannot_run_again(shop):
    huey, control, _, order = shop
    job_id = failed(huey, order)
    control.forget(job_id, "failed")
    with pytest.raises(errors.UnknownJob):
        control.again(job_id)


def test_a_job_whose_unique_key_is_held_is_not_run_twice(make_huey):
    huey = make_huey()

    @huey.task(unique=True)
    def recheck(room):
        return room

    control, result = Control(huey), recheck("hall")
    run_next(huey)
    again = control.again(result.id)
    held = control.again(result.id)
    assert (again.held, held.held) == (False, True)
    assert held.jobs[0].id == again.jobs[0].id
