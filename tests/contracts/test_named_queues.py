"""Named queues: a worker takes from its own, in their order, and is woken for these and no others."""

from __future__ import annotations

import time

import pytest

from duey.execution.registration import register
from duey.worker.queue_order import WeightedPrefetcher
from tests.contracts.rig import SOON_S, ended, job

NOT_RUNG_S = 0.15


def ids(claims):
    return [claim.id for claim in claims]


@pytest.fixture
def waiting(storage):
    storage.enqueue_jobs(
        [job("d", queue="default"), job("s", queue="slow"), job("m", queue="mail"), job("z", queue="zoo")]
    )


@pytest.mark.parametrize(
    ("queues", "order"),
    [
        ("slow", "s"),
        ("slow default", "sd"),
        ("*", "dmsz"),
        ("mail *", "mdsz"),
        ("* mail", "dszm"),
        ("* !slow", "dmz"),
        ("zoo * !slow !default", "zm"),
        ("default * !zoo", "dms"),
        ("none", ""),
    ],
)
def test_a_worker_takes_its_queues_in_their_order(hand, waiting, queues, order):
    assert "".join(ids(hand.claim(9, *queues.split()))) == order


def test_the_order_of_the_queues_goes_before_priority(storage, hand):
    storage.enqueue_jobs([job("low", queue="a"), job("high", queue="b", priority=100)])
    assert ids(hand.claim(9, "a", "b")) == ["low", "high"]


def test_nothing_more_waits_where_only_others_are_served(storage, hand):
    storage.enqueue_jobs([job(f"s{n}", queue="slow") for n in range(5)] + [job("a", queue="x")])
    assert not storage.settle_and_claim(hand.n, (), 1, ("*", "!slow")).more
    assert storage.settle_and_claim(hand.n, (), 1, ("*",)).more


@pytest.mark.parametrize("queues", [["slow"], ["mail", "slow"], ["*"], ["*", "!default"]])
def test_a_sleeper_hears_of_a_job_in_its_queue(storage, hire, queues):
    hand = hire(queues=queues)
    hand.presence.asleep(True)
    storage.enqueue_jobs([job("a", queue="slow")])
    assert hand.presence.pipe.wait(SOON_S)


@pytest.mark.parametrize("queues", [["default"], ["*", "!slow"]])
def test_a_sleeper_sleeps_on_where_a_job_is_for_others(storage, hire, queues):
    deaf, hand = hire(queues=queues), hire(queues=["slow"])
    for each in (hand, deaf):  # the last to fall asleep may be the first to be asked
        each.presence.asleep(True)
    storage.enqueue_jobs([job("a", queue="slow")])
    assert hand.presence.pipe.wait(SOON_S)
    assert not deaf.presence.pipe.wait(NOT_RUNG_S)


def test_each_of_two_queues_wakes_its_own(storage, hire):
    hands = [hire(queues=[name]) for name in ("default", "slow")]
    for each in hands:
        each.presence.asleep(True)
    storage.enqueue_jobs([job("a", queue="slow"), job("b", queue="slow"), job("c")])
    assert all(each.presence.pipe.wait(SOON_S) for each in hands)


def test_what_a_body_brings_wakes_the_worker_of_its_queue(storage, hire):
    hand, slow = hire(queues=["default"]), hire(queues=["slow"])
    storage.enqueue_jobs([job("a")])
    claim = hand.claim_one()
    slow.presence.asleep(True)
    hand.settle(claim, next_jobs=[job("b", queue="slow")])
    assert slow.presence.pipe.wait(SOON_S)


def test_a_ring_may_be_for_some_queues(storage, hire):
    deaf, hand = hire(queues=["default"]), hire(queues=["slow", "mail"])
    for each in (hand, deaf):
        each.presence.asleep(True)
    storage.wake(1, ("mail", "zoo"))
    assert hand.presence.pipe.wait(SOON_S)
    assert not deaf.presence.pipe.wait(NOT_RUNG_S)


def test_a_worker_is_shown_with_the_queues_that_it_serves(storage, hire):
    hire(queues=["default", "*", "!slow"])
    assert [info.queues for info in storage.worker_infos()] == [("default", "*")]


def test_weighted_queues_share_the_turns_and_none_is_starved(storage):
    storage.enqueue_jobs([job(f"{queue}{n}", queue=queue) for queue in ("often", "seldom") for n in range(300)])
    presence = register(storage, "weighted", 1, "thread", ("often", "seldom"), ())
    prefetcher = WeightedPrefetcher(storage, presence, ("often", "seldom"), weights=(3, 1))
    prefetcher._body_s = 1.0  # as after long bodies: one claim a turn
    taken = []
    for _ in range(200):
        claim = prefetcher.next_claim()
        taken.append(claim.queue)
        prefetcher.ack(ended(claim))
    prefetcher.stop()
    assert prefetcher.drain(time.monotonic() + SOON_S)
    storage.unregister(presence.n)
    presence.close()
    assert 120 < taken.count("often") < 180
