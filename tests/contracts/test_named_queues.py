"""Named queues: a worker takes from its own, in their order, and is woken for these and no others."""

from __future__ import annotations

import time

from duey.execution.registration import register
from duey.worker.poison_suspects import PoisonSuspects
from duey.worker.queue_order import WeightedPrefetcher
from duey.worker.suspect_turn import SuspectTurn
from tests.contracts.rig import SOON_S, ended, job

NOT_RUNG_S = 0.1
ORDERS = {
    "slow": "s", "slow default": "sd", "*": "dmsz", "mail *": "mdsz", "* mail": "dszm", "* !slow": "dmz",
    "zoo * !slow !default": "zm", "default * !zoo": "dms", "none": "",
}  # fmt: skip


def test_a_worker_takes_its_queues_in_their_order(storage, hand):
    names = ("default", "slow", "mail", "zoo")
    storage.enqueue_jobs([job(name[0], queue=name) for name in names])
    for queues, order in ORDERS.items():
        claims = hand.claim(9, *queues.split())
        assert "".join(claim.job.id for claim in claims) == order, queues
        storage.release_claims(hand.n, claims)
    storage.enqueue_jobs([job("low", queue="a"), job("high", queue="b", priority=100)])
    assert [claim.job.id for claim in hand.claim(9, "a", "b")] == ["low", "high"], "queues go before priority"


def test_a_sleeper_hears_of_jobs_in_its_queues_alone(storage, hire):
    """Whoever brings them: a request, a body, somebody who rings for some queues."""
    table = {
        ("slow",): True, ("mail", "slow"): True, ("*",): True, ("*", "!default"): True,
        ("default",): False, ("*", "!slow"): False,
    }  # fmt: skip
    for queues, hears in table.items():
        other, hand = hire(queues=["slow"]), hire(queues=queues)
        for each in (other, hand):  # the last to fall asleep may be the first to be asked
            each.presence.asleep(True)
        storage.enqueue_jobs([job(f"a{n}{queues}", queue="slow") for n in range(2)])
        assert other.presence.pipe.wait(SOON_S)
        assert hand.presence.pipe.wait(SOON_S if hears else NOT_RUNG_S) == hears, queues
        other.go(), hand.go()
    hands = {name: hire(queues=[name]) for name in ("default", "slow", "mail")}
    storage.flush_queue()
    storage.enqueue_jobs([job("d")])
    claim = hands["default"].claim_one()
    for hand in hands.values():
        hand.presence.asleep(True)
    hands["default"].settle(claim, follow_ups=(job("next", queue="slow"),))
    assert hands["slow"].presence.pipe.wait(SOON_S)
    storage.wake(1, ("mail", "zoo"))
    assert hands["mail"].presence.pipe.wait(SOON_S)
    assert not hands["default"].presence.pipe.wait(NOT_RUNG_S)
    hire(queues=["default", "*", "!slow"])
    assert [info.queues for info in storage.worker_infos()][-1] == ("default", "*"), "people see what it serves"


def test_weighted_queues_share_the_turns_and_none_is_starved(storage):
    storage.enqueue_jobs([job(f"{queue}{n}", queue=queue) for queue in ("often", "seldom") for n in range(150)])
    presence = register(storage, "weighted", 1, "thread", ("often", "seldom"), ())
    prefetcher = WeightedPrefetcher(
        storage.lifecycle, presence, ("often", "seldom"), PoisonSuspects(3, SuspectTurn()), weights=(3, 1)
    )
    prefetcher._pace.body_s = 1.0  # as after long bodies: one claim a turn
    taken = []
    for _ in range(100):
        claim = prefetcher.next_claim()
        taken.append(claim.job.queue)
        prefetcher.ack(ended(claim))
    prefetcher.stop()
    assert prefetcher.drain(time.monotonic() + SOON_S)
    storage.unregister(presence.n)
    presence.close()
    assert 50 < taken.count("often") < 95
