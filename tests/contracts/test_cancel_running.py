"""A running job that is asked to stop: its body may look, is told by a raise, and ends as canceled."""

from __future__ import annotations

from huey.api import chord

from duey import canceled, check_canceled, current_job
from tests.contracts.rig import kinds, run_all, run_next, state
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])


def bodies(storage):
    """What a body may do about it, and the state in which its job ends."""

    def looks_and_ends_well():
        assert not canceled()
        storage.lifecycle.cancel(current_job().id)
        assert canceled()
        return "well"

    def checks():
        check_canceled()
        storage.lifecycle.cancel(current_job().id)
        check_canceled()
        raise AssertionError("it went on")

    def checks_as_with_huey(task=None):
        task.check_timeout()
        storage.lifecycle.cancel(task.id)
        task.check_timeout()

    def fails():
        storage.lifecycle.cancel(current_job().id)
        raise ValueError

    return {looks_and_ends_well: "done", checks: "canceled", checks_as_with_huey: "canceled", fails: "canceled"}


def test_a_body_that_is_asked_to_stop(huey, storage):
    check_canceled()
    assert not canceled(), "outside of a job nothing is"
    for body, end in bodies(storage).items():
        for retries in (0, 5):
            name = f"{body.__name__}_{retries}"
            result = huey.task(name=name, retries=retries, context="huey" in name)(body)()
            run_all(huey)
            assert state(storage, result.id) == ("failed" if name == "fails_0" else end), name
            assert len(kinds(storage, result.id)) == 2, f"{name}: this attempt is its last"
    assert storage.stop_requested([1]) == set()


def test_a_check_raises_past_the_timeout(huey, storage):
    def spin():
        while True:
            check_canceled()

    result = huey.task(name="spin", timeout=0.0001)(spin)()
    run_next(huey)
    assert state(storage, result.id) == "failed"
    assert storage.lifecycle.read_events(10)[-1].detail["type"] == "TaskTimeout"


def test_a_chord_hears_of_a_canceled_member(huey, storage):
    (checks,) = (body for body in bodies(storage) if body.__name__ == "checks")
    member = huey.task(name="member")(checks)
    together = huey.task(name="together")(lambda parts: [type(part).__name__ for part in parts])
    result = huey.enqueue(chord([member.s()], together.s()))
    run_all(huey)
    assert result.get() == ["Error"]
