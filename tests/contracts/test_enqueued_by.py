"""Who asked for a job: said when it is enqueued, kept with it, told by whatever shows it, inherited by its children."""

from __future__ import annotations

import pytest
from huey.api import chord

from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.model.job import JobRequest
from duey.tasks.on_failed import SUFFIX
from tests.contracts.rig import Hand, job, look, run_all, run_next


@pytest.fixture
def control(huey) -> Control:
    @huey.task()
    def add(*values):
        return 1

    @huey.task()
    def parent():
        add()
        return 2

    @huey.task(on_failed=lambda job, error: None)
    def failing():
        raise ValueError

    huey.parts = add, parent, failing
    return Control(huey)


def asked_by(storage) -> dict[str, list[str | None]]:
    """For each task, who asked for its jobs, the oldest first."""
    found: dict[str, list[str | None]] = {}
    for each in reversed(storage.list_jobs(None, None, None, 100, None)):
        found.setdefault(each.task.rpartition(f"{__name__}.")[2], []).append(each.by)
    return found


def test_it_is_kept_with_the_job_and_told(huey, storage, control):
    made = control.enqueue([JobRequest("add"), JobRequest("add", delay_s=60), JobRequest("add", unique="k")], by="ci")
    assert [each.by for each in made.jobs] == ["ci"] * 3
    assert [control.job(each.id).by for each in made.jobs] == ["ci"] * 3
    assert {each.by for each in control.jobs().jobs} == {"ci"}
    assert {event.detail["by"] for event in storage.read_events(10)} == {"ci"}
    run_all(huey)
    assert control.job(made.jobs[0].id).by == "ci"
    assert control.again(made.jobs[0].id, "ana").jobs[0].by == "ana"
    control.retry(made.jobs[0].id, args=[7])  # who retries it is in the audit
    assert control.job(made.jobs[0].id).by == "ci"


def test_a_list_is_filtered_by_it(huey, storage, control):
    odd = 'b"\\",null]\n\u017e' + "x" * 5000
    for by in ("ci", odd, 'x,"ci', "i", None):
        control.enqueue([JobRequest("add", args=["y" * 9000]), JobRequest("add", delay_s=60)], by=by)
    run_next(huey)  # one of ci's
    for by in ("ci", odd, 'x,"ci', "i"):
        assert [each.by for each in control.jobs(by=by).jobs] == [by, by], by[:20]
        assert len(control.jobs(by=by, task="add", limit=1).jobs) == 1
    counts = {state: len(control.jobs(state, by="ci").jobs) for state in ("done", "scheduled", "queued", "failed")}
    assert counts == {"done": 1, "scheduled": 1, "queued": 0, "failed": 0}
    assert [control.jobs(by=by).jobs for by in ("c", "CI", "", "null", '"ci"', "%")] == [()] * 6
    first = control.jobs(by="ci", limit=1)
    assert [each.by for each in control.jobs(by="ci", cursor=first.next).jobs] == ["ci"]


def test_python_outside_of_a_job_is_nobody(huey, storage, control):
    huey.parts[0]()
    assert (asked_by(storage), storage.read_events(1)[0].detail["by"]) == ({"add": [None]}, None)


def test_what_a_job_brings_is_by_who_asked_for_that_job(huey, storage, control):
    add = huey.parts[0]
    control.enqueue([JobRequest("parent")], by="ci")
    control.enqueue([JobRequest("failing")], by="ana")
    run_all(huey)
    assert asked_by(storage) == {"parent": ["ci"], "add": ["ci"], "failing": ["ana"], f"failing{SUFFIX}": ["ana"]}
    # Nothing of it is left over for what comes next.
    huey.enqueue(add.s().then(add))
    run_all(huey)
    assert asked_by(storage)["add"] == ["ci", None, None]


def test_steps_parts_and_callbacks_are_by_their_parent(huey, storage, control):
    add = huey.parts[0]

    @huey.task()
    def conduct():
        huey.enqueue(add.s().then(add).then(add))
        huey.enqueue(chord([add.s("canceled", priority=-1), add.s()], add.s()))

    control.enqueue([JobRequest("conduct")], by="ci")
    run_all(huey)
    assert asked_by(storage)["add"] == ["ci"] * 6
    control.enqueue([JobRequest("conduct")], by="ana")
    for _ in range(5):
        run_next(huey)
    (last,) = control.jobs("queued").jobs
    assert last.args == ["canceled"]
    control.cancel(last.id)  # outside of any job, and it brings the callback to life
    run_all(huey)
    assert asked_by(storage)["add"] == ["ci"] * 6 + ["ana"] * 6


def test_a_slot_is_by_its_schedule_and_a_run_by_hand_by_who_asked(huey, storage, control):
    control.schedules.make("nightly", ScheduleRequest("add", cron="0 3 * * *"))
    first = control.schedules.run_now("nightly", by="cli:ana")
    second = control.schedules.run_now("nightly")
    assert [look(storage, each).by for each in (first, second)] == ["cli:ana", "schedule:nightly"]


def test_a_worker_that_holds_it_knows_it(storage):
    storage.enqueue_jobs([job("a", by="ci"), job("b")])
    hand = Hand(storage)
    assert [each.by for each in hand.claim(2)] == ["ci", None]
    hand.go()
