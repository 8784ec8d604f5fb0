"""What people do to a job they looked at: with its call as it is stored, hidden values included."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from duey import current_job, errors
from duey.control.service import Control
from duey.model.job import Edit, JobRequest
from tests.contracts.rig import run_next
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])
LOGIN = {"name": "ana", "password": "tree", "urls": ["http://x:tree@host/"], "tags": [{"secret": 1}]}
DUE = datetime(2030, 1, 31, tzinfo=timezone.utc)
MEANINGLESS = {
    "args[0].id": Edit({0: {"id": "[redacted]"}}),
    "args[0]": Edit({0: {"[redacted]": 1}}),
    "kwargs.login.tags": Edit(kwargs={"login": {"tags": [{"secret": "[redacted]"}, 1]}}),
    "kwargs.login.urls": Edit(kwargs={"login": {"urls": ["http://y:[redacted]@host/"]}}),
    "args[3]": Edit({3: 1}),
    "args[-1]": Edit({-1: 1}),
    "kwargs.nonsense": Edit(kwargs={"nonsense": 1}),
}


@pytest.fixture
def shop(make_huey):
    """A huey, a control over it, what its task was called with each time, and the id of one such call, which failed."""
    huey = make_huey(monitor_redact="password, secret")
    calls = []

    @huey.task(queue="till")
    def order(item, *more, login=None, secret="", due=None):
        calls.append(((item, *more), {"login": login, "secret": secret, "due": due}, current_job().context))
        raise ValueError("once")

    result = order({"id": 7}, 2, 3, login=LOGIN, secret="leaf", due=DUE)
    run_next(huey)
    return huey, Control(huey), calls, result.id


def test_what_an_edit_does_not_touch_stays_as_it_is_stored(shop):
    huey, control, calls, job_id = shop
    for path, edit in MEANINGLESS.items():
        with pytest.raises(errors.InvalidArguments) as refused:
            control.retry(job_id, edit=edit)
        assert [each.path for each in refused.value.errors] == [path]
        assert control.job(job_id).state == "failed", path
    control.retry(job_id, edit=Edit({1: 20}, {"due": None}), was="failed")
    run_next(huey)
    assert calls[1][:2] == (({"id": 7}, 20, 3), {"login": LOGIN, "secret": "leaf", "due": None})
    control.retry(job_id, edit=Edit(without=("secret", "due")))
    run_next(huey)
    assert calls[2][:2] == (({"id": 7}, 20, 3), {"login": LOGIN, "secret": "", "due": None})


def test_marks_of_hidden_values_mean_what_they_stood_for(shop):
    huey, control, calls, job_id = shop
    shown = control.job(job_id).kwargs
    assert "tree" not in str(shown) and shown["secret"] == "[redacted]"
    control.retry(job_id, edit=Edit(kwargs={**shown, "login": {**shown["login"], "name": "eva", "new": [1]}}))
    run_next(huey)
    assert calls[1][1] == {"login": {**LOGIN, "name": "eva", "new": [1]}, "secret": "leaf", "due": DUE}


def test_a_job_runs_again_as_a_new_one_with_the_stored_call(shop):
    huey, control, calls, gone = shop
    request = JobRequest("order", [{"id": 7}], {"login": LOGIN, "secret": "leaf"}, priority=3, context={"user": "ana"})
    first = control.enqueue([request]).jobs[0]
    run_next(huey)
    again = control.again(first.id)
    new = again.jobs[0]
    assert new.id != first.id and not again.held
    assert (new.state, new.queue, new.priority, new.parent, new.eta) == ("queued", "till", 3.0, None, None)
    run_next(huey)
    assert calls[1] == calls[2] and calls[2][2] == {"user": "ana"}
    assert control.job(first.id).state == "failed"
    control.forget(gone, "failed")
    with pytest.raises(errors.UnknownJob):
        control.again(gone)


def test_a_job_whose_unique_key_is_held_is_not_run_twice(huey):
    control, result = Control(huey), huey.task(name="recheck", unique=True)(lambda room: room)("hall")
    run_next(huey)
    again, held = control.again(result.id), control.again(result.id)
    assert (again.held, held.held) == (False, True)
    assert held.jobs[0].id == again.jobs[0].id
