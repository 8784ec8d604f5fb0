"""`duey enqueue`: how words become a call, and what --wait does where nobody serves the queue."""

from __future__ import annotations

import decimal
import threading
from collections.abc import Callable
from typing import Any, Literal, Optional

import pytest

from duey.cli.commands import enqueue
from tests.cli.conftest import Run
from tests.monitor.web.world import World
from tests.support import rows, wait_until


def greet(name: str, size: Literal["1", "2"] = "1", nick: Optional[str] = None) -> None: ...  # noqa: UP045


def measure(n: int, unit: str | float = "m", *more: Any, price: decimal.Decimal = decimal.Decimal(0)) -> None: ...


def any_name(first: str, **others: int) -> None: ...


def bare(value, other=None) -> None: ...


@pytest.fixture
def service(empty: World) -> World:
    for each in (greet, measure, any_name, bare):
        each.__module__ = "tasks"
        empty.huey.task()(each)
    return empty


CALLS: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("greet 4111", ["4111"], {}),
    ("greet name=4111", [], {"name": "4111"}),
    ("greet true 1", ["true", "1"], {}),
    ('greet [1] size=2', ["[1]"], {"size": "2"}),
    ('greet "4111"', ["4111"], {}),
    ('greet "naem=Ana"', ["naem=Ana"], {}),
    ('greet "open', ['"open'], {}),
    ("greet null nick=null", ["null"], {"nick": None}),
    ('greet Ana nick="null"', ["Ana"], {"nick": "null"}),
    ("greet https://x/?a=b", ["https://x/?a=b"], {}),
    ("measure 3 2.5 x 7", [3, 2.5, "x", 7], {}),
    ("measure 3 cm price=1", [3, "cm"], {"price": "1"}),
    ("measure 3 cm price=12345678901234567.890", [3, "cm"], {"price": "12345678901234567.890"}),
    ("any_name Ana age=3", ["Ana"], {"age": 3}),
    ("bare 3 other=x", [3], {"other": "x"}),
    ("bare -1", [-1], {}),
]  # fmt: skip
REFUSED = [
    (
        "greet naem=Ana",
        "tasks.greet: there is no parameter naem: did you mean name=? To give text that holds =, write ",
    ),
    ("greet x=1", "there is no parameter x: it has name, size, nick. To give"),
    ("bare naem=Ana", "there is no parameter naem"),
]


@rows("command, args, kwargs", CALLS)
def test_words_become_the_call_that_the_hints_mean(service, run_in, command, args, kwargs):
    status, out, err = run_in(service)("enqueue", *command.split(" "))
    assert status == 0, err
    call = service.control.job(out.strip())
    assert (call.args, call.kwargs) == (args, kwargs)


@rows("command, sentence", REFUSED)
def test_a_name_that_no_parameter_has_is_refused(service, run_in, command, sentence):
    status, out, err = run_in(service)("enqueue", *command.split(" "))
    assert (status, out, err.count("\n")) == (1, "", 1) and sentence.removeprefix("tasks.") in err
    assert service.control.counts().queued == 0


def ids(world: World) -> list[str]:
    return [each.id for each in world.control.jobs(limit=9).jobs]


def test_waiting_ends_where_nobody_serves_the_queue(empty: World, run_in: Callable[[World], Run]):
    run = run_in(empty)
    status, out, err = run("enqueue", "add", "1", "2", "--wait")
    assert (status, out) == (4, f"{ids(empty)[0]}\n") and err.endswith(
        "no consumer is running: start one with `duey worker`\n"
    )
    consumer = empty.hire("atlas", 4121, "slow")
    assert run("enqueue", "add", "1", "2", "--wait")[2].endswith(
        "no consumer serves it: add it to [consumer] queues of one\n"
    )
    served = empty.hire("atlas", 4122)
    empty.control.quiet(str(served.n))
    assert run("enqueue", "add", "1", "2", "--wait")[2].endswith(
        "all consumers that serve it are quiet and take no jobs\n"
    )
    assert empty.control.counts().queued == 3, "they are still there"
    assert run("enqueue", "add", "1", "2", "--timeout", "3")[0] == 2
    status, _, err = run("enqueue", "add", "1", "2", "--wait", "--timeout", "0")
    assert status == 4 and "has not ended within 0 s: it is queued (all consumers that serve it are quiet" in err
    assert run("enqueue", "add", "1", "2", "--wait", "--timeout", "x")[0] == 2
    consumer.close()


def test_waiting_ends_when_the_last_consumer_leaves(empty: World, run_in: Callable[[World], Run], monkeypatch):
    monkeypatch.setattr(enqueue, "LOOK_S", 0.05)
    consumer = empty.hire("atlas", 4121)
    empty.control.pause_task("add")
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(run_in(empty)("enqueue", "add", "1", "2", "--wait")))
    waiting.start()
    wait_until(lambda: ids(empty), 10, "it is enqueued")
    assert empty.huey.dequeue() is None
    assert waiting.is_alive(), "a consumer serves the queue"
    consumer.close()
    waiting.join(10)
    ((status, _, err),) = found
    assert status == 4 and "no consumer is running" in err.splitlines()[-1]
