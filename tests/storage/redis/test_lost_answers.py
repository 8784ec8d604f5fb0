"""An answer that is lost on its way back costs nothing: nothing is lost, nor stored, claimed or settled twice."""

from __future__ import annotations

from collections import Counter

import pytest

from duey import errors
from duey.model.job import Idempotency
from tests.contracts.rig import Hand, ended, job, jobs, state
from tests.support import rounds

COUNT = rounds(300, soak=1000)


@pytest.fixture
def shaky(lossy_line, open_storage):
    """The queue at the end of a line that loses answers."""
    storage = open_storage(lossy_line.url)
    storage.prepare()
    return storage


def lose_one(lossy_line, then=None):
    """The next script's answer is lost; `then` happens before it is sent again."""

    def on_loss() -> None:
        lossy_line.armed = False
        if then:
            then()

    lossy_line.lose, lossy_line.armed, lossy_line.on_loss = 1.0, True, on_loss


@pytest.mark.soak
def test_a_tenth_of_the_pushes_and_pops_is_lost(lossy_line, shaky, storage):
    lossy_line.lose, lossy_line.armed = 0.1, True
    for n in range(COUNT):
        assert shaky.enqueue_jobs([job(f"j{n}")]).accepted == ((f"j{n}", True),)
    assert storage.counts().queued == COUNT
    assert len(storage.list_jobs(None, None, None, 2 * COUNT, None)) == COUNT

    lossy_line.armed = False
    hand = Hand(shaky)
    lossy_line.armed = True
    ran: Counter[str] = Counter()
    done = []
    while sum(ran.values()) < COUNT or done:
        try:
            settle_and_claim = shaky.settle_and_claim(hand.n, done, 7, ("*",))
        except errors.StorageUnavailable as exc:
            assert exc.stored is None
            continue
        assert settle_and_claim.lost == frozenset()
        ran.update(claim.job.id for claim in settle_and_claim.claims)
        done = [ended(claim) for claim in settle_and_claim.claims]
    lossy_line.armed = False
    hand.go()
    assert set(ran.values()) == {1} and len(ran) == COUNT
    assert {each.state for each in storage.list_jobs(None, None, None, 2 * COUNT, None)} == {"done"}
    assert Counter(e.kind for e in storage.lifecycle.read_events(3 * COUNT)) == {"enqueued": COUNT, "done": COUNT}
    assert lossy_line.lost > COUNT / 20


def test_a_job_that_ended_before_its_push_was_sent_again_was_stored_by_it(lossy_line, shaky, storage, hand):
    lose_one(lossy_line, hand.work)
    assert shaky.enqueue_jobs(jobs("a")).accepted == (("a", True),)
    assert (lossy_line.lost, state(storage, "a")) == (1, "done")


def test_a_job_that_was_there_before_is_told_from_one_that_was_just_stored(lossy_line, shaky, storage, hand):
    storage.enqueue_jobs(jobs("a"))
    hand.work()
    lose_one(lossy_line)
    with pytest.raises(errors.DuplicateJob):
        shaky.enqueue_jobs([job("a", enqueued_at=1.0)])


def test_a_push_sent_again_is_no_replay_of_itself(lossy_line, shaky):
    key = Idempotency("token", "key", "body")
    lose_one(lossy_line)
    first = shaky.enqueue_jobs(jobs("ab"), key, max_pending=2)
    assert (first.replayed, [a.fresh for a in first.accepted]) == (False, [True, True])
    assert shaky.enqueue_jobs(jobs("cd"), key).replayed


def test_what_was_claimed_in_silence_goes_back_when_the_worker_leaves(lossy_line, shaky, storage, hire):
    storage.enqueue_jobs(jobs("ab"))
    hand = hire(shaky)
    hand.claim(0)  # so that the server knows the script
    lose_one(lossy_line)
    with pytest.raises(errors.StorageUnavailable):
        hand.claim(2)
    assert storage.counts().running == 2
    shaky.unregister(hand.n)
    assert (storage.counts().queued, storage.counts().running) == (2, 0)


def test_a_settlement_sent_again_is_not_lost(lossy_line, shaky, storage, hire):
    storage.enqueue_jobs(jobs("ab"))
    hand = hire(shaky)
    for outcome in ("done", "retrying"):
        settlement = ended(hand.claim_one(), outcome, eta=1e12 if outcome == "retrying" else None)
        lose_one(lossy_line)
        with pytest.raises(errors.StorageUnavailable):
            hand.commit(settlement)
        assert hand.commit(settlement).lost == frozenset()
    assert (state(storage, "a"), state(storage, "b")) == ("done", "retrying")


def test_a_verb_whose_answer_is_lost_says_that_it_may_have_been_done(lossy_line, shaky, storage):
    storage.enqueue_jobs(jobs("ab"))
    storage.lifecycle.cancel("b")  # so that the server has the scripts, and their answer is lost
    look = shaky.get_job("a")
    assert look is not None
    lose_after_look(lossy_line)
    with pytest.raises(errors.StorageUnavailable) as caught:
        shaky.lifecycle.cancel("a")
    assert caught.value.stored is None
    assert state(storage, "a") == "canceled"


def lose_after_look(lossy_line):
    """The answer of the second script is lost: the first one looks."""
    draws = iter([1.0, 0.0])
    lossy_line._random.random = lambda: next(draws, 1.0)
    lossy_line.lose, lossy_line.armed = 0.5, True
