"""`duey check --queue`: which jobs and schedules would not run with the code of now."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from duey.cli.checks.queue import IDS, Report, fit
from duey.control.schedules import ScheduleRequest
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.payload.types import register_type
from duey.tasks.registry import KnownTasks
from tests.contracts.rig import Hand, job, payload_of
from tests.contracts.test_renamed_tasks import ask

MADE: list[object] = []


@register_type
@dataclass
class Order:
    """Whose constructor says that it ran."""

    number: int
    note: str = ""

    def __post_init__(self) -> None:
        MADE.append(self)


def declare(huey: DurableHuey, source: str, **names: Any) -> None:
    """The tasks of a module, as this source has them."""
    exec(source, {"huey": huey, "__name__": "shop", "Order": Order, "date": date, **names})


BEFORE = """
@huey.task()
def task(*args, **kwargs): ...
@huey.task()
def gone(): ...
"""
# Declaration of now, arguments as they are stored, and what is said; "" for those that fit.
CALLS: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], str]] = {
    "as before": ("def task(a, b=0): ...", (1,), {"b": 2}, ""),
    "one more": ("def task(a, b): ...", (1,), {}, "kwargs.b: expected b (any), found nothing: give it as args[1] or"),
    "one less": ("def task(): ...", (1,), {}, "args[0]: expected no value by position, found 1"),
    "another name": (
        "def task(count=0): ...",
        (),
        {"cuont": 2},
        "kwargs.cuont: task has no such parameter; did you mean",
    ),
    "another type": ("def task(a: int): ...", ("x",), {}, "args[0]: expected an integer, found the text"),
    "several": ("def task(a: int, b: int): ...", ("x", "y"), {}, "(and 1 more)"),
    "a converted value": ("def task(a: date): ...", (date(2030, 1, 1),), {}, ""),
    "a converted value is not compared": ("def task(a: int): ...", (date(2030, 1, 1),), {}, ""),
    "a converted value, and one more": (
        "def task(a, b): ...",
        (date(2030, 1, 1),),
        {},
        "missing a required argument: 'b'",
    ),
    "an instance": ("def task(order: Order): ...", (Order(7),), {}, ""),
    "a list": ("def task(a: list[int]): ...", ([1, "x"],), {}, "args[0][1]: expected an integer"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call_is_bound_to_the_signature_of_now(huey: DurableHuey, after: DurableHuey, case: str) -> None:
    declaration, args, kwargs, said = CALLS[case]
    declare(huey, BEFORE)
    huey.enqueue(huey._registry.string_to_task("shop.task")(args, kwargs))
    declare(after, f"@huey.task()\n{declaration}")
    MADE.clear()
    report = looked(after)
    assert not MADE, "no constructor runs"
    assert report.jobs == 1 and [said in each.problem for each in report.reasons] == ([True] if said else [])


@pytest.fixture
def after(make_huey: Callable[..., DurableHuey]) -> DurableHuey:
    return make_huey()


def looked(huey: DurableHuey) -> Report:
    return fit(huey, KnownTasks(huey))


def reasons(huey: DurableHuey) -> dict[tuple[str, str], tuple[int, str]]:
    return {(each.kind, each.task): (each.count, each.problem) for each in looked(huey).reasons}


def test_what_is_looked_at_and_how_it_is_counted(huey: DurableHuey, after: DurableHuey, hand: Hand) -> None:
    declare(huey, BEFORE)
    control = Control(huey)
    done = ask(huey, "gone")
    hand.settle(hand.claim_one())
    assert control.job(done).state == "done"
    ids = [ask(huey, "gone")]
    assert hand.claim_one().job.id == ids[0]  # it runs: it would run again if the deploy cuts it off
    ids += [ask(huey, "gone", delay_s=60), *(ask(huey, "gone") for _ in range(IDS))]
    control.pause_task("task")
    ask(huey, "task", 1)
    hand.claim()
    control.schedules.make("one", ScheduleRequest("gone", every_s=60))
    control.schedules.make("two", ScheduleRequest("task", [1], every_s=60))
    declare(after, "@huey.task()\ndef task(): ...")
    report = looked(after)
    assert (report.jobs, report.schedules, report.misfits) == (IDS + 3, 2, IDS + 5)
    by_task = {(each.kind, each.task): each for each in report.reasons}
    assert set(by_task) == {(kind, f"shop.{name}") for kind in ("job", "schedule") for name in ("gone", "task")}
    gone = by_task["job", "shop.gone"]
    assert (gone.count, gone.ids) == (IDS + 2, ids[:IDS])
    assert gone.text.startswith(f"shop.gone, {IDS + 2} jobs: no task shop.gone is known: ")
    assert gone.text.endswith(f"{ids[IDS - 1]} and 2 more")
    assert by_task["schedule", "shop.task"].ids == ["two"]


def test_aliases_and_accepts_make_them_fit(huey: DurableHuey, after: DurableHuey) -> None:
    declare(huey, BEFORE)
    ask(huey, "gone")
    ask(huey, "task", 1, kwargs={"euros": 5})
    Control(huey).schedules.make("two", ScheduleRequest("task", [1], {"euros": 5}, every_s=60))
    declare(
        after,
        "@huey.task(aliases='gone')\ndef here(): ...\n"
        "@huey.task(accepts={'euros': 'cents'})\ndef task(order: int, cents: int): ...",
    )
    assert looked(after).misfits == 0


def test_an_accepts_that_fails_is_named(huey: DurableHuey, after: DurableHuey) -> None:
    declare(huey, BEFORE)
    ask(huey, "task", 1)
    declare(after, "@huey.task(accepts=lambda args, kwargs: args[9])\ndef task(order: int): ...")
    ((count, problem),) = reasons(after).values()
    assert count == 1 and problem.startswith("accepts= of task shop.task does not convert its arguments (IndexError")


def test_what_follows_a_job_and_what_cannot_be_read(huey: DurableHuey, after: DurableHuey) -> None:
    declare(huey, BEFORE + "@huey.task()\ndef step(n): ...\n")
    task, gone, step = (huey._registry.string_to_task(f"shop.{name}") for name in ("task", "gone", "step"))
    huey.enqueue(task().then(step()))
    huey.enqueue(task().error(gone()))
    huey.storage.enqueue_jobs([job("torn", task="shop.task", payload=b"{")])
    declare(after, "@huey.task()\ndef task(): ...")
    said = {problem for _, problem in reasons(after).values()}
    report = looked(after)
    assert report.misfits == 3
    said = {each.problem.partition(":")[0] for each in report.reasons}
    assert said == {"its next step", "its error handler", "its arguments cannot be read"}


def test_memory_does_not_grow_with_the_queue(huey: DurableHuey) -> None:
    declare(huey, BEFORE)
    large = "x" * 50_000
    for start in range(0, 400, 50):
        ids = [str(start + n) for n in range(50)]
        huey.storage.enqueue_jobs(
            [job(each, task="shop.task", payload=payload_of(each, "shop.task", (large,))) for each in ids]
        )
    looked(huey)  # what is cached once
    tracemalloc.start()
    assert looked(huey).jobs == 400
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20, "20 MB are stored"
