"""Two processes at the same job at the same time: one of them wins, and the other is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from duey import errors
from duey.model.job import REPLACES, Idempotency
from tests.contracts.rig import SOON_S, job, kinds, look, part, state

ROUNDS = 20


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Make the calls at the same moment; what each answered or raised, in order."""
    answers: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(i: int, call: Callable[[], Any]) -> None:
        start.wait(SOON_S)
        try:
            answers[i] = call()
        except errors.DueyError as exc:
            answers[i] = exc

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    return answers


def fresh(acceptances: Sequence[Any]) -> int:
    return sum(accepted.fresh for acceptance in acceptances for accepted in acceptance.accepted)


@pytest.mark.parametrize("size", [1, 10])
def test_the_same_ids_are_stored_once(storage, elsewhere, size):
    for n in range(ROUNDS):
        batch = [job(f"{n}-{i}") for i in range(size)]
        assert (
            fresh(together(lambda b=batch: storage.enqueue_jobs(b), lambda b=batch: elsewhere.enqueue_jobs(b))) == size
        )


def test_a_unique_key_has_one_holder(storage, elsewhere):
    for n in range(ROUNDS):
        a, b = together(
            lambda n=n: storage.enqueue_jobs([job(f"a{n}", unique_key=f"k{n}")]),
            lambda n=n: elsewhere.enqueue_jobs([job(f"b{n}", unique_key=f"k{n}")]),
        )
        assert (fresh([a, b]), a.accepted[0].id) == (1, b.accepted[0].id)


def test_of_two_that_replace_each_other_one_waits(storage, elsewhere):
    for n in range(ROUNDS):
        together(
            lambda n=n: storage.enqueue_jobs([job(f"a{n}", unique_key=f"k{n}", flags=REPLACES)]),
            lambda n=n: elsewhere.enqueue_jobs([job(f"b{n}", unique_key=f"k{n}", flags=REPLACES)]),
        )
        assert sorted([state(storage, f"a{n}"), state(storage, f"b{n}")]) == ["canceled", "queued"]


def test_an_idempotency_key_is_used_once(storage, elsewhere):
    for n in range(ROUNDS):
        key = Idempotency("token", f"key{n}", "body")
        a, b = together(
            lambda n=n, key=key: storage.enqueue_jobs([job(f"a{n}")], key),
            lambda n=n, key=key: elsewhere.enqueue_jobs([job(f"b{n}")], key),
        )
        assert sorted([a.replayed, b.replayed]) == [False, True]
        assert a.accepted[0].id == b.accepted[0].id
    assert storage.counts().queued == ROUNDS


def test_a_limit_holds_whoever_defers(storage, elsewhere):
    for _ in range(ROUNDS):
        together(
            lambda: storage.enqueue_jobs([job(f"a{storage.counts().queued}")], max_pending=5),
            lambda: elsewhere.enqueue_jobs([job(f"b{elsewhere.counts().queued}")], max_pending=5),
        )
    assert storage.counts().queued == 5


def test_a_cancel_either_comes_before_the_claim_or_asks_the_body_to_stop(storage, elsewhere, hand):
    for n in range(ROUNDS):
        storage.enqueue_jobs([job(f"j{n}")])
        claims, _ = together(hand.claim, lambda n=n: elsewhere.cancel(f"j{n}"))
        found = look(storage, f"j{n}")
        assert (found.place, found.stopping) == (("claimed", True) if claims else ("finished", False))


def test_a_cancel_and_an_end_never_both_end_the_job(storage, elsewhere, hand):
    for n in range(ROUNDS):
        storage.enqueue_jobs([job(f"j{n}")])
        claim = hand.claim_one()
        turn, _ = together(lambda claim=claim: hand.settle(claim), lambda n=n: elsewhere.cancel(f"j{n}"))
        assert (turn.lost, state(storage, f"j{n}")) == (frozenset(), "done")
        assert kinds(storage, f"j{n}") == ["enqueued", "done"]
        storage.delete_events(storage.read_events(10))


def test_a_job_is_retried_by_hand_once(storage, elsewhere, hand):
    storage.enqueue_jobs([job("a")])
    for _ in range(ROUNDS):
        hand.work("failed")
        answers = together(lambda: storage.retry("a", None, 0), lambda: elsewhere.retry("a", None, 0))
        assert sum(isinstance(answer, errors.StateConflict) for answer in answers) == 1
        assert state(storage, "a") == "queued"


def test_a_dead_worker_is_buried_by_one(storage, elsewhere, hire):
    for n in range(ROUNDS):
        storage.enqueue_jobs([job(f"j{n}")])
        hand = hire()
        hand.begin(hand.claim_one())
        hand.die()
        reaped = together(lambda h=hand: storage.reap(h.dead(), 99), lambda h=hand: elsewhere.reap(h.dead(), 99))
        assert sorted(reaped) == [[], [f"j{n}"]]
        other = hire()
        claim = other.claim_one()
        assert claim.crashes == 1
        other.settle(claim)


def test_a_slow_worker_and_its_rescuer_never_both_write(storage, elsewhere, hire):
    for n in range(ROUNDS):
        storage.enqueue_jobs([job(f"j{n}")])
        hand = hire()
        claim = hand.claim_one()
        hand.die()
        turn, _ = together(lambda h=hand, c=claim: h.settle(c), lambda h=hand: elsewhere.reap(h.dead(), 99))
        lost = bool(turn.lost) if not isinstance(turn, errors.DueyError) else True
        assert state(storage, f"j{n}") == ("queued" if lost else "done")
        hire().claim(5)  # what came back is out of the way of the next round


def test_the_last_two_members_of_a_chord_bring_its_callback_to_life_once(storage, elsewhere, hire):
    one, two = hire(storage), hire(elsewhere)
    for n in range(ROUNDS):
        storage.enqueue_jobs([job(f"a{n}"), job(f"b{n}")])
        a, b = one.claim_one(), two.claim_one()
        together(
            lambda n=n, a=a: one.settle(a, chord_part=part(f"c{n}", 0, 2, callback=f"callback{n}")),
            lambda n=n, b=b: two.settle(b, chord_part=part(f"c{n}", 1, 2, callback=f"callback{n}")),
        )
        assert [claim.id for claim in one.claim(5)] == [f"callback{n}"]
