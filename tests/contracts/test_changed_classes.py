"""A deploy changes the classes of arguments while jobs wait: they wait for the class that fits, as for a task."""

from __future__ import annotations

from dataclasses import make_dataclass
from typing import Any

from duey.execution.huey import DurableHuey
from duey.payload import types
from duey.payload.types import register_type
from tests.contracts.rig import look, run_next
from tests.support import rounds

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])


def deploy(name: str, *fields: str) -> Any:
    """The class as this version of the code has it, in place of the one before."""
    made = make_dataclass(name, fields)
    made.__module__ = __name__
    before = types._by_name.pop(f"{__name__}.{name}", None)
    if before is not None:
        types._by_class.pop(before.cls)
    return register_type(made)


def remove(name: str) -> None:
    types._by_class.pop(types._by_name.pop(f"{__name__}.{name}").cls)


def test_a_job_waits_for_the_class_that_its_argument_was_made_of(huey: DurableHuey, later, caplog):
    task = huey.task(name="ship")(lambda order: (order.a, order.b))
    for change in (("a",), ("a", "b", "c"), ("a", "renamed"), None):
        made = task(deploy("Order", "a", "b")(1, 2))
        deploy("Order", *change) if change else remove("Order")
        assert huey.dequeue() is None, change
        found = look(huey.storage, made.id)
        assert (found.place, (found.reason or "").split()[0]) == ("blocked", "unknown"), change
        assert f"job {made.id} " in caplog.text and "is set aside: its arguments do not fit: " in caplog.text
        deploy("Order", "a", "b")
        assert huey.storage.unblock_tasks(sorted(huey._registry._registry)) == 1
        assert run_next(huey) == (1, 2)

    late = task(deploy("Order", "a", "b")(1, 2))
    remove("Order")
    assert huey.dequeue() is None
    later(25 * 3600)
    while huey.lifecycle.run_maintenance():
        pass
    assert look(huey.storage, late.id).state == "failed"
