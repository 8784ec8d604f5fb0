"""What `[consumer] queues` comes to: which workers serve which queues, in which order."""

from __future__ import annotations

import pytest

from duey.config import load
from duey.model.queues import serves, shown
from duey.worker.pools import WorkerPool, drawn, left_out, pools_of
from duey.worker.process import worker_specs
from tests.support import rows


@rows(
    ("text", "workers", "pools"),
    [
        ("default", 4, [("", 4, "default")]),
        ("default, mail", 4, [("", 4, "default mail")]),
        ("*", 4, [("", 4, "*")]),
        ("mail, *", 4, [("", 4, "mail *")]),
        ("default:3, slow:1", 9, [("default", 3, "default"), ("slow", 1, "slow")]),
        ("default:3, slow:1, *:0", 4, [("default", 3, "default * !slow"), ("slow", 1, "slow * !default")]),
        ("slow:1, *", 4, [("slow", 1, "slow"), ("*", 3, "* !slow")]),
        ("slow:1, default, mail", 4, [("slow", 1, "slow"), ("default", 3, "default mail")]),
        ("slow:4, default", 4, [("slow", 4, "slow"), ("default", 1, "default")]),
        ("slow:2, mail:0, default:2", 4, [("slow", 2, "slow mail"), ("default", 2, "default mail")]),
        ("*:2, slow:1", 4, [("*", 2, "* !slow"), ("slow", 1, "slow")]),
        ("slow:0", 2, [("", 2, "slow")]),
    ],
)
def test_the_entries_come_to_shares(tmp_path, text, workers, pools):
    (tmp_path / "config.ini").write_text(f"[consumer]\nqueues = {text}\n")
    entries = load(tmp_path / "config.ini", {}).consumer.queues
    assert pools_of(entries, workers) == [WorkerPool(name, n, tuple(queues.split())) for name, n, queues in pools]


def test_weighted_queues_are_served_by_all_in_an_order_that_is_drawn():
    entries = [("default", 3), ("slow", 1), ("*", 0), ("mail", None)]
    (pool,) = pools_of(entries, 4, weighted=True)
    assert pool == WorkerPool("", 4, ("default", "slow", "*", "mail"), (3, 1, 0, 1))
    orders = [drawn(pool.queues, pool.weights) for _ in range(5000)]
    assert {order[-1] for order in orders} == {"*"} and {len(set(order)) for order in orders} == {4}
    first = [order[0] for order in orders]
    assert [first.count(name) / 5000 for name in ("default", "slow", "mail")] == pytest.approx(
        [0.6, 0.2, 0.2], abs=0.05
    )
    assert [spec.weights for spec in worker_specs([pool], "thread", "id")] == [pool.weights]


def test_the_environment_chooses_the_queues(tmp_path):
    (tmp_path / "config.ini").touch()
    settings = load(tmp_path / "config.ini", {"DUEY_CONSUMER_QUEUES": "slow"})
    assert pools_of(settings.consumer.queues, 2) == [WorkerPool("", 2, ("slow",))]


@rows(
    ("queues", "name", "yes"),
    [
        ("default", "default", True),
        ("default", "x", False),
        ("*", "x", True),
        ("* !x", "x", False),
        ("* !x", "y", True),
    ],
)
def test_who_serves_a_queue(queues, name, yes):
    assert serves(queues.split(), name) is yes


def test_people_are_not_shown_what_a_worker_does_not_serve():
    assert shown(("default", "*", "!slow")) == ("default", "*")


def test_queues_that_nobody_serves_are_named():
    class Slow:
        queue = "slow"

    class Plain:
        pass

    assert left_out(pools_of([("mail", None)], 1), [Slow, Plain, Slow]) == ["default", "slow"]
    assert left_out(pools_of([("mail", None), ("*", 0)], 1), [Slow, Plain]) == []


def test_each_share_of_threads_is_a_process_of_its_own_and_one_keeps_house():
    specs = worker_specs(pools_of([("default", 3), ("slow", 1)], 4), "thread", "id")
    assert [(p.name, p.workers, p.in_main, p.runs_maintenance, p.queues) for p in specs] == [
        ("Workers default", 3, False, True, ("default",)),
        ("Workers slow", 1, False, False, ("slow",)),
    ]


def test_each_worker_process_serves_its_share_and_a_keeper_none():
    specs = worker_specs(pools_of([("default", 2), ("slow", 1)], 4), "process", "id")
    assert [(p.workers, p.in_main, p.runs_maintenance, p.queues) for p in specs] == [
        (1, True, False, ("default",)),
        (1, True, False, ("default",)),
        (1, True, False, ("slow",)),
        (0, False, True, ("default", "slow")),
    ]
