"""Two processes at the same job at the same time: one of them wins, and the other is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from duey import errors
from duey.model.job import REPLACES, Idempotency
from tests.contracts.rig import SOON_S, Hand, ended, job, kinds, look, part, state
from tests.support import rounds

ROUNDS = rounds(8, soak=200)


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


def test_ids_and_keys_are_stored_once(storage, elsewhere):
    both = (storage, elsewhere)
    for n in range(ROUNDS):
        for size in (1, 10):
            batch = [job(f"{n}-{size}-{i}") for i in range(size)]
            assert fresh(together(*(lambda at=at, b=batch: at.enqueue_jobs(b) for at in both))) == size
        unique = [job(f"u{n}{i}", unique_key=f"k{n}") for i in range(2)]
        a, b = together(*(lambda at=at, j=j: at.enqueue_jobs([j]) for at, j in zip(both, unique, strict=True)))
        assert (fresh([a, b]), a.accepted[0].id) == (1, b.accepted[0].id)
        rivals = [job(f"r{n}{i}", unique_key=f"r{n}", flags=REPLACES) for i in range(2)]
        together(*(lambda at=at, j=j: at.lifecycle.enqueue_jobs([j]) for at, j in zip(both, rivals, strict=True)))
        assert sorted(state(storage, each.id) for each in rivals) == ["canceled", "queued"]
        key = Idempotency("token", f"key{n}", "body")
        many = [job(f"i{n}{i}") for i in range(2)]
        a, b = together(*(lambda at=at, j=j, k=key: at.enqueue_jobs([j], k) for at, j in zip(both, many, strict=True)))
        assert sorted([a.replayed, b.replayed]) == [False, True]
        assert a.accepted[0].id == b.accepted[0].id


def test_threads_that_enqueue_at_the_same_time_get_their_own_answers(storage, hand):
    storage.lifecycle.enqueue_jobs([job("old")])
    hand.work()
    answers = together(*(lambda i=i: storage.lifecycle.enqueue_jobs([job(i)]) for i in ("old", *"abcdefg")))
    assert isinstance(answers[0], errors.DuplicateJob)
    assert [answer.accepted for answer in answers[1:]] == [((i, True),) for i in "abcdefg"]
    answers = together(*(lambda i=i: storage.lifecycle.enqueue_jobs([job(f"u{i}", unique_key="k")]) for i in range(8)))
    assert fresh(answers) == 1 and len({answer.accepted[0].id for answer in answers}) == 1


def test_a_limit_and_a_lock_hold_whoever_asks(storage, elsewhere):
    for _ in range(ROUNDS):
        together(
            lambda: storage.lifecycle.enqueue_jobs([job(f"a{storage.counts().queued}")], max_pending=5),
            lambda: elsewhere.lifecycle.enqueue_jobs([job(f"b{elsewhere.counts().queued}")], max_pending=5),
        )
    assert storage.counts().queued == 5
    got = together(*(lambda at=at: at.put_if_empty("lock", b"1") for at in [storage, elsewhere] * 4))
    assert Counter(got) == {True: 1, False: 7}


def test_workers_of_several_processes_never_claim_the_same_job(storage, elsewhere, hire):
    storage.lifecycle.enqueue_jobs([job(f"j{i}") for i in range(150)])

    taken: list[str] = []

    def work(hand: Hand) -> None:
        while claims := hand.claim(7):
            taken.extend(claim.job.id for claim in claims)

    hands = [hire(at) for at in (storage, storage, elsewhere, elsewhere)]
    together(*(lambda hand=hand: work(hand) for hand in hands))
    assert sorted(taken) == sorted(f"j{i}" for i in range(150))


def test_a_cancel_comes_before_a_claim_or_an_end_or_after_it(storage, elsewhere, hand):
    for n in range(ROUNDS):
        storage.lifecycle.enqueue_jobs([job(f"j{n}")])
        claims, _ = together(hand.claim, lambda n=n: elsewhere.lifecycle.cancel(f"j{n}"))
        found = look(storage, f"j{n}")
        assert (found.place, found.stopping) == (("claimed", True) if claims else ("finished", False))
        storage.lifecycle.enqueue_jobs([job(f"k{n}")])
        claim = hand.claim_one()
        turn, _ = together(lambda claim=claim: hand.settle(claim), lambda n=n: elsewhere.lifecycle.cancel(f"k{n}"))
        assert (turn.lost, state(storage, f"k{n}")) == (frozenset(), "done")
        assert kinds(storage, f"k{n}") == ["enqueued", "done"]


def test_a_job_is_retried_by_hand_once(storage, elsewhere, hand):
    storage.lifecycle.enqueue_jobs([job("a")])
    for _ in range(ROUNDS):
        hand.work("failed")
        answers = together(lambda: storage.retry("a", None, 0), lambda: elsewhere.retry("a", None, 0))
        assert sum(isinstance(answer, errors.StateConflict) for answer in answers) == 1
        assert state(storage, "a") == "queued"


def test_a_dead_worker_is_reaped_by_one_and_never_writes_beside_it(storage, elsewhere, hire):
    for n in range(ROUNDS):
        storage.lifecycle.enqueue_jobs([job(f"j{n}")])
        hand = hire()
        hand.begin(hand.claim_one())
        hand.die()
        reaped = together(
            lambda h=hand: storage.lifecycle.reap(h.dead(), 99), lambda h=hand: elsewhere.lifecycle.reap(h.dead(), 99)
        )
        assert sorted(reaped) == [[], [f"j{n}"]]
        slow = hire()
        claim = slow.claim_one()
        assert claim.job.crashes == 1
        slow.die()
        turn, _ = together(lambda h=slow, c=claim: h.settle(c), lambda h=slow: elsewhere.lifecycle.reap(h.dead(), 99))
        lost = bool(turn.lost) if not isinstance(turn, errors.DueyError) else True
        assert state(storage, f"j{n}") == ("queued" if lost else "done")
        other = hire()
        other.commit(*map(ended, other.claim(5)))  # what came back is out of the way of the next round
        other.go()


def test_the_last_two_members_of_a_chord_bring_its_callback_to_life_once(storage, elsewhere, hire):
    one, two = hire(storage), hire(elsewhere)
    for n in range(ROUNDS):
        storage.lifecycle.enqueue_jobs([job(f"a{n}"), job(f"b{n}")])
        a, b = one.claim_one(), two.claim_one()
        together(
            lambda n=n, a=a: one.settle(a, chord_part=part(f"c{n}", 0, 2, callback=f"callback{n}")),
            lambda n=n, b=b: two.settle(b, chord_part=part(f"c{n}", 1, 2, callback=f"callback{n}")),
        )
        assert [claim.job.id for claim in one.claim(5)] == [f"callback{n}"]
