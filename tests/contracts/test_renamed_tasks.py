"""`aliases=`: whatever has a task's former name reaches the task. `accepts=`: jobs with arguments of before run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from duey import errors
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.execution.registration import take_over_pauses
from duey.model.job import JobRequest
from duey.model.schedule import ScheduleRow
from duey.scheduling import edits
from duey.scheduling.isolation import Aside
from duey.scheduling.timetable import every
from tests.contracts.rig import Hand, run_all
from tests.support.whole_service import whole_service

FULL, FORMER = "shop.charge", "shop.bill"


def task(huey: DurableHuey, name: str, body: Callable[..., Any], module: str = "shop", **options: Any) -> Any:
    """A task as a module would declare it."""

    @functools.wraps(body)
    def function(*args: Any, **kwargs: Any) -> Any:
        return body(*args, **kwargs)

    function.__name__, function.__module__ = name, module
    return huey.task(**options)(function)


@pytest.fixture
def before(huey: DurableHuey) -> DurableHuey:
    """A process with the code of before: the task is called bill."""
    task(huey, "bill", lambda order, cents=0: (order, cents))
    return huey


@pytest.fixture
def after(make_huey: Callable[..., DurableHuey]) -> DurableHuey:
    """A process with the code of now, on the same storage."""
    return make_huey()


def ask(huey: DurableHuey, name: str, *args: Any, **more: Any) -> str:
    """Enqueue as the API does, and return the id."""
    return Control(huey).enqueue([JobRequest(name, args, **more)]).jobs[0].id


def test_jobs_and_calls_of_the_former_name_reach_the_task(before: DurableHuey, after: DurableHuey) -> None:
    ids = [ask(before, "bill", 1), ask(before, "bill", 2, delay_s=-1)]
    task(after, "charge", lambda order, cents=0: order * 10, aliases=("bill", "billing.pay"))
    control = Control(after)
    ids += [ask(after, name, n) for n, name in enumerate(("bill", FORMER, "billing.pay", "pay", "charge"), 3)]
    names = {(job.id, job.task, job.qualname) for job in control.jobs().jobs}
    assert names == {(each, "charge", FULL) for each in ids}
    for name in ("bill", "charge", FULL, "pay"):
        assert {job.id for job in control.jobs(task=name).jobs} == set(ids)
    assert [info.name for info in control.tasks()] == ["charge"] and control.task("bill").qualname == FULL
    run_all(after)
    assert [control.job(each).result for each in ids] == [n * 10 for n in range(1, 8)]
    told = {event.task for event in after.lifecycle.read_events(100)}
    assert told == {FULL}, "the history is of one task"


def test_what_waited_for_a_consumer_that_knows_the_name_comes_back(before: DurableHuey, after: DurableHuey) -> None:
    job_id = ask(before, "bill", 1)
    after.dequeue()
    assert Control(after).job(job_id).reason == f"unknown {FORMER}"
    task(after, "charge", lambda order, cents=0: order, aliases="bill")
    after.storage.unblock_tasks(sorted(after._registry._registry))
    run_all(after)
    assert Control(after).job(job_id).state == "done"


def test_a_pause_is_of_all_names(before: DurableHuey, after: DurableHuey) -> None:
    Control(before).pause_task("bill")
    task(after, "charge", lambda order, cents=0: order, aliases="bill")
    control = Control(after)
    assert control.task("charge").paused
    take_over_pauses(after)  # as a consumer does at its start
    ids = [ask(before, "bill", 1), ask(after, "charge", 2)]
    run_all(after)
    assert [control.job(each).state for each in ids] == ["blocked", "blocked"]
    control.resume_task("charge")
    assert after.storage.pauses() == set() and not control.task("charge").paused
    run_all(after)
    assert [control.job(each).state for each in ids] == ["done", "done"]


def test_a_limit_counts_jobs_of_all_names(before: DurableHuey, after: DurableHuey) -> None:
    hand = Hand(after.storage)
    ids = [ask(before, "bill", n) for n in (1, 2)]
    task(after, "charge", lambda order, cents=0: order, aliases="bill", limit=1, rate=(9, 1))
    ids += [ask(after, "charge", 3)]
    (first,) = after.storage.settle_and_claim(hand.n, (), 9, ("*",)).claims
    assert {Control(after).job(each).reason for each in ids[1:]} == {f"limit {FULL}"}
    after.lifecycle.settle(hand.n, [after.outcomes.end(first, "done")])
    (second,) = after.storage.settle_and_claim(hand.n, (), 9, ("*",)).claims
    assert (first.job.id, second.job.id) == (ids[0], ids[1])
    hand.go()


def test_what_the_code_of_before_set_aside_for_its_limit_comes_back(
    huey: DurableHuey, after: DurableHuey, hand: Hand
) -> None:
    task(huey, "bill", lambda order: order, limit=1)
    ids = [ask(huey, "bill", n) for n in (1, 2)]
    (first,) = huey.storage.settle_and_claim(hand.n, (), 9, ("*",)).claims
    assert Control(huey).job(ids[1]).reason == f"limit {FORMER}"
    task(after, "charge", lambda order: order, aliases="bill", limit=5)
    assert after.storage.unblock_tasks(sorted(after._registry._registry)) == 1
    run_all(after)
    assert [Control(after).job(each).state for each in ids] == ["queued", "done"], "the other one is claimed"
    hand.settle(first)


def test_a_unique_key_is_held_by_jobs_of_all_names(huey: DurableHuey, after: DurableHuey) -> None:
    task(huey, "bill", lambda order: order, unique=True)
    task(after, "charge", lambda order: order, aliases=("bill",), unique=True)
    held = [ask(huey, "bill", 1), ask(huey, "bill", 2, unique="mine")]
    assert [ask(after, "charge", 1), ask(after, "charge", 3, unique="mine")] == held


def test_a_handler_of_failures_is_told_of_jobs_of_the_former_name(huey: DurableHuey, after: DurableHuey) -> None:
    def fail(order: int) -> None:
        raise ValueError("no")

    told: list[Any] = []
    task(huey, "bill", fail, on_failed=lambda job, error: None)
    job_id = ask(huey, "bill", 1)
    run_next = huey.execute(huey.dequeue())
    assert run_next is None
    again = ask(huey, "bill", 2)
    task(after, "charge", fail, aliases="bill", on_failed=lambda job, error: told.append((job.id, error.message)))
    run_all(after)
    assert sorted(told) == sorted([(job_id, "no"), (again, "no")])


def sync(huey: DurableHuey, now: float) -> dict[str, ScheduleRow]:
    store = huey.storage.schedule_store
    edits.sync(huey, store.schedules(), now, lambda *told: pytest.fail(str(told)), Aside(), 1.0)
    return {row.name: row for row in store.schedules()}


def test_schedules_go_on_with_their_slots_and_their_pause(huey: DurableHuey, after: DurableHuey, clock: Any) -> None:
    def nightly() -> None: ...

    nightly.__module__ = "shop"
    huey.periodic_task(every(60))(nightly)
    task(huey, "bill", lambda order: order)
    sync(huey, clock.at)
    control = Control(huey)
    control.schedules.make("made", ScheduleRequest("bill", [7], every_s=3600))
    control.schedules.run_now("shop.nightly")
    control.schedules.pause("shop.nightly")
    (seen,) = huey.storage.schedule_store.schedules("shop.nightly")

    def every_night() -> None: ...

    every_night.__module__ = "shop"
    after.periodic_task(every(60), aliases="nightly")(every_night)
    task(after, "charge", lambda order: order, aliases="bill")
    clock.advance(300)
    found = sync(after, clock.at)
    assert set(found) == {"made", "shop.every_night"}
    assert found["shop.every_night"] == seen._replace(name="shop.every_night")
    assert len(after.storage.schedule_store.slots_of("shop.every_night", 9)) == 1
    shown = {each.name: (each.qualname, each.problem) for each in Control(after).schedules.all()}
    assert shown == {"made": (FULL, None), "shop.every_night": ("shop.every_night", None)}
    job_id = Control(after).schedules.run_now("made")
    run_all(after)
    assert Control(after).job(job_id).result == 7
    sync(huey, clock.at)  # a consumer with the code of before
    assert [each.problem for each in Control(after).schedules.all() if each.name == "shop.nightly"] == [
        "no task shop.nightly is known"
    ]
    assert set(sync(after, clock.at)) == {"made", "shop.every_night"}


def twice(huey: DurableHuey) -> None:
    task(huey, "bill", print)
    task(huey, "charge", print, aliases="bill")


def later(huey: DurableHuey) -> None:
    task(huey, "charge", print, aliases="bill")
    task(huey, "bill", print)


def both(huey: DurableHuey) -> None:
    task(huey, "charge", print, aliases="bill")
    task(huey, "pay", print, aliases="shop.bill")


CONFLICTS = {
    "a task has the name": (twice, "task shop.charge: shop.bill in aliases= is a name of task shop.bill: take it out"),
    "a task gets the name": (later, "task shop.bill has a name that is also in aliases= of shop.charge: take it out"),
    "two tasks claim it": (both, "task shop.pay: shop.bill in aliases= is a name of task shop.charge: take it out"),
    "its own": (
        lambda huey: task(huey, "charge", print, aliases="charge"),
        "task shop.charge: shop.charge in aliases= is its own name",
    ),
    "no name": (lambda huey: task(huey, "charge", print, aliases="a b"), "task charge: aliases is a tuple of former"),
    "no conversion": (lambda huey: task(huey, "charge", print, accepts=5), "task charge: accepts is a callable"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFLICTS)
def test_conflicts_stop_the_start_in_one_sentence(huey: DurableHuey, case: str) -> None:
    declare, said = CONFLICTS[case]
    with pytest.raises(errors.Misconfigured) as refused:
        declare(huey)
    assert str(refused.value).startswith(said) and "\n" not in str(refused.value)


# accepts=


def in_cents(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Jobs of before have (order, euros)."""
    if "cents" in kwargs:
        return args, kwargs
    order, euros = args
    return [order], {"cents": euros * 100}


ACCEPTED = {
    "a callable": (in_cents, [((1, 5), {}), ((1,), {"cents": 7})], [(1, 500), (1, 7)]),
    "names": (
        {"euros": "cents", "note": None},
        [((1,), {"euros": 5, "note": "x"}), ((1,), {"cents": 7})],
        [(1, 5), (1, 7)],
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_arguments_of_before_are_converted_before_the_body(huey: DurableHuey, after: DurableHuey, case: str) -> None:
    accepts, calls, results = ACCEPTED[case]
    task(huey, "charge", lambda *args, **kwargs: None)
    ids = [ask(huey, "charge", *args, kwargs=kwargs) for args, kwargs in calls]
    Control(huey).schedules.make("made", ScheduleRequest("charge", *calls[0], every_s=60))

    def charge(order: int, *, cents: int) -> Any:
        return order, cents

    charge.__module__ = "shop"
    after.task(accepts=accepts)(charge)
    control = Control(after)
    ids.append(control.schedules.run_now("made"))
    run_all(after)
    assert [tuple(control.job(each).result) for each in ids] == [*results, results[0]]
    assert control.job(ids[0]).args == list(calls[0][0]), "what is shown is what was stored"


UNFIT = {
    "it raises": (lambda args, kwargs: args[5], "IndexError: tuple index out of range"),
    "it exits": (lambda args, kwargs: next(iter(())), "StopIteration"),
    "it returns something else": (lambda args, kwargs: args, "it returned tuple, not (args, kwargs)"),
    "what it returns does not fit": (lambda args, kwargs: ((), {}), "missing a required argument: 'order'"),
    "a name twice": ({"euros": "cents"}, "cents is given twice, also as euros"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_job_that_cannot_be_converted_fails_at_once_in_one_sentence(
    huey: DurableHuey, after: DurableHuey, case: str
) -> None:
    accepts, why = UNFIT[case]
    task(huey, "charge", lambda *args, **kwargs: None, retries=3)
    job_id = ask(huey, "charge", 1, kwargs={"euros": 5, "cents": 7})

    def charge(order: int, *, cents: int = 0) -> Any:
        raise AssertionError("the body runs")

    charge.__module__ = "shop"
    after.task(accepts=accepts)(charge)
    run_all(after)
    job = Control(after).job(job_id)
    assert (job.state, job.error and job.error.type) == ("failed", "ArgumentsUnfit")
    assert job.error is not None and job.error.message == (
        f"accepts= of task {FULL} does not convert its arguments ({why}): correct it, then retry"
    )


def test_pages_and_api_know_the_former_name(tmp_path: Path) -> None:
    with whole_service(tmp_path) as service:
        task(service.huey, "charge", lambda order: order, aliases="bill")
        client, browser = service.client(), service.browser()
        made = client.post("/api/jobs", {"task": "bill", "args": [7]})
        job_id = made.json["id"]
        assert (made.status, made.json["task"]) == (202, "charge")
        service.recorder.turn()
        for state, found in ((None, True), ("queued", True), ("done", False)):
            wanted = {"task": "bill"} | ({"state": state} if state else {})
            assert [job["id"] for job in client.get(f"/api/jobs?{urlencode(wanted)}").json["jobs"]] == [job_id] * found
            assert (job_id in browser.get("/monitor/jobs", **wanted).text) == found
        assert client.post("/api/tasks/bill/pause").status == 202
        assert service.huey.storage.pauses() == {("task", FULL), ("task", FORMER)}
        page = browser.get("/monitor/tasks/bill")
        assert page.status == 200 and FULL in page.text
