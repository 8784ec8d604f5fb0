"""Who is heard of no more is reaped, once, and finds nothing of its own when it comes back."""

from __future__ import annotations

import threading

import pytest

from duey import errors
from duey.execution import deaths
from duey.model.job import ONCE
from duey.storage.redis.worker.presence import running_text
from duey.storage.values import Registration
from tests.contracts.rig import job, jobs, kinds, look, state
from tests.support import wait_until

MOST = 3
BRIEF_S = 0.02


def let_pass(storage, seconds):
    """Time passes in which no script looks at the leases."""
    server = storage.server
    server.command(b"HINCRBY", server.key("meta"), "leases_seen", -int(seconds * 1000))
    for n in server.command(b"ZRANGE", server.key("leases"), 0, -1):
        server.command(b"ZINCRBY", server.key("leases"), -int(seconds * 1000), n)


def left_s(storage, hand):
    """How long the lease of this worker still lasts."""
    seconds, micros = storage.server.command(b"TIME")
    ends_at = float(storage.server.command(b"ZSCORE", storage.server.key("leases"), hand.n)) / 1000
    return ends_at - int(seconds) - int(micros) / 1e6


def let_lapse(storage, hand):
    """Nobody beats for this worker any more."""
    storage.beat([hand.n], BRIEF_S)
    wait_until(lambda: hand.n in storage.watch.overdue(), 5, "the lease has run out")


def workers(storage):
    return [int(info.id) for info in storage.worker_infos()]


def test_a_worker_whose_lease_ran_out_is_reaped_from_another_host_but_not_by_itself(storage, far, hire):
    storage.enqueue_jobs(jobs("abc"))
    beaten, hand = hire(), hire()
    claim = beaten.claim_one()
    hand.claim(2)
    let_lapse(storage, beaten)
    storage.beat([beaten.n], 15.0)
    let_lapse(storage, hand)
    assert storage.lifecycle.rescue(MOST, [hand.n]) == [], "nobody reaps its own"
    assert hand.n in workers(storage)
    assert far.lifecycle.rescue(MOST) == []
    assert [c.job.id for c in hire().claim(5)] == ["b", "c"]
    assert hand.n not in workers(storage)
    assert beaten.settle(claim).lost == frozenset(), "it is beaten for"


def test_a_worker_that_comes_back_finds_its_tokens_gone_and_enters_again(storage, far, hand, hire):
    """When it settles, or where it takes no turns when it asks for wishes; it never touches what another holds."""
    storage.enqueue_jobs(jobs("ab"))
    claim = hand.claim_one()
    hand.begin(claim)
    let_lapse(storage, hand)
    far.lifecycle.rescue(MOST)
    assert hand.settle(claim, result=b"late").lost == {claim.token}
    assert (state(storage, "a"), storage.has_data_for_key("a"), workers(storage)) == ("queued", False, [hand.n])
    again = hand.claim_one()
    assert again.job.id == "a" and again.token != claim.token
    let_lapse(storage, hand)
    far.lifecycle.rescue(MOST)
    assert workers(storage) == []
    assert storage.control_signals(hand.n) == (False, False)
    assert workers(far) == [hand.n]
    storage.signal_worker(hand.n, "quiet")
    assert storage.control_signals(hand.n) == (True, False)
    other = hire()
    theirs = other.claim_one()
    assert hand.settle(again, result=b"late").lost == {again.token}
    assert other.settle(theirs, result=b"right").lost == frozenset()
    assert (storage.peek_data("a"), kinds(storage, "a")) == (b"right", ["enqueued", "rescued", "done"])


def test_a_body_that_must_not_run_twice_does_not_begin_once_its_claim_is_gone(storage, far, hand, hire):
    storage.enqueue_jobs([job("a", flags=ONCE)])
    claim = hand.claim_one()
    hand.presence.take(claim.token)
    let_lapse(storage, hand)
    far.lifecycle.rescue(MOST)
    assert hire().claim_one().job.id == "a"
    assert not storage.hold(hand.presence, claim.token)
    storage.control_signals(hand.n)  # it enters again
    assert not storage.hold(hand.presence, claim.token)


def test_a_body_that_must_not_run_twice_fails_whatever_was_reported_of_it_last(storage, far, hand, monkeypatch):
    """A report that was made before its body began may arrive after its mark."""
    storage.enqueue_jobs([job("a", flags=ONCE), job("b", flags=ONCE)])
    begun, _ = hand.claim(2)
    hand.presence.take(begun.token)
    before = running_text(hand.presence.slots())
    hand.begin(begun)
    assert storage.hold(hand.presence, begun.token)
    let_lapse(storage, hand)
    run = far.server.run

    def late(name, *words, **options):
        if name == "held":
            run("running", hand.n, hand.presence.key, before)
        return run(name, *words, **options)

    monkeypatch.setattr(far.server, "run", late)
    assert far.lifecycle.rescue(MOST) == ["a"]
    assert (state(storage, "a"), state(storage, "b")) == ("failed", "queued"), "the other one had not begun"


def test_of_many_rescuers_one_wins(storage, open_storage, hand, hire):
    storage.enqueue_jobs(jobs("a"))
    hand.begin(hand.claim_one())
    let_lapse(storage, hand)
    rescuers = [open_storage() for _ in range(4)]
    found: list[str] = []
    start = threading.Barrier(len(rescuers))

    def rescue(at) -> None:
        start.wait()
        found.extend(at.lifecycle.rescue(MOST))

    threads = [threading.Thread(target=rescue, args=(each,)) for each in rescuers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["a"]
    assert (hire().claim_one().job.tree_deaths, kinds(storage)) == (1, ["enqueued", "rescued"])


def test_another_host_knows_the_body_that_was_running_for_a_while(storage, far, hand, hire):
    storage.enqueue_jobs([job("a"), job("b")])
    a, _ = hand.claim(2)
    hand.begin(a)
    wait_until(lambda: far.get_job("a").started_at, 30, "Redis was told of the body")
    assert (far.get_job("a").state, far.get_job("b").state) == ("running", "queued")
    (info,) = far.worker_infos()
    assert [(r.job_id, r.task) for r in info.running] == [("a", "shop.order")]
    let_lapse(storage, hand)
    assert far.lifecycle.rescue(MOST) == ["a"]
    assert {c.job.id: (c.job.crashes, c.job.tree_deaths) for c in hire().claim(2)} == {"a": (0, 1), "b": (0, 0)}


def test_the_parent_tells_of_a_body_that_lets_nobody_else_run(storage, far, hand, monkeypatch):
    # the worker's own thread is stuck
    monkeypatch.setattr("duey.storage.redis.worker.presence.RedisPresence.slots", lambda self: [])
    storage.enqueue_jobs(jobs("a"))
    hand.begin(hand.claim_one())
    storage.beat([hand.n], 15.0)
    assert far.get_job("a").state == "running"


def test_a_job_that_is_found_in_too_many_lost_hosts_is_failed_from_another_host(storage, far, hire):
    storage.enqueue_jobs(jobs("a"))
    for _ in range(deaths.TREE):
        assert state(storage, "a") == "queued"
        hand = hire()
        hand.begin(hand.claim_one())
        wait_until(lambda: far.get_job("a").started_at, 30, "Redis was told of the body")
        let_lapse(storage, hand)
        far.lifecycle.rescue(1)
    assert (state(storage, "a"), look(storage, "a").job.crashes) == ("failed", 0)


def test_a_worker_without_a_parent_beats_for_itself(storage):
    presence = storage.register(Registration("c", "h", 1, 1, "alone", ("*",), ()))
    key = storage.server.key("leases")
    first = storage.server.command(b"ZSCORE", key, presence.n)
    wait_until(lambda: storage.server.command(b"ZSCORE", key, presence.n) > first, 5, "the lease was renewed")
    presence.close()


@pytest.mark.parametrize("first", ["look", "beat"])
def test_after_time_without_a_look_each_worker_has_a_whole_lease(storage, far, hire, first):
    """Redis stood still, was down, or was cut off from all."""
    beaten, dead = hire(), hire()
    storage.beat([beaten.n, dead.n], 10.0)
    let_pass(storage, 3600)
    if first == "beat":
        storage.watch._beat_due.clear()
        storage.beat([beaten.n], 10.0)
    assert far.watch.overdue() == []
    assert 8 < left_s(storage, beaten) <= 10
    assert 8 < left_s(storage, dead) <= 10
    for _ in range(14):
        let_pass(storage, 0.9)
        storage.watch._beat_due.clear()
        storage.beat([beaten.n], 10.0)
    assert far.watch.overdue() == [dead.n], "it has not used its lease"


def test_a_pause_that_is_no_gap_counts(storage, far, hand):
    storage.beat([hand.n], 10.0)
    far.watch.overdue()
    before = left_s(storage, hand)
    let_pass(storage, 0.5)
    far.watch.overdue()
    assert left_s(storage, hand) < before - 0.4


def test_gaps_that_come_again_and_again_do_not_keep_a_dead_worker_alive(storage, far, hand):
    storage.beat([hand.n], 10.0)
    for _ in range(20):
        let_pass(storage, 5)
        if far.watch.overdue():
            return
    raise AssertionError("a second of each gap counts")


@pytest.mark.parametrize("hours", [2, -2])
def test_a_clock_of_the_server_that_is_set_ends_no_lease_and_prolongs_none(storage, far, hand, hours):
    storage.beat([hand.n], 10.0)
    let_pass(storage, hours * 3600)
    assert far.watch.overdue() == []
    assert 5 < left_s(storage, hand) < 11


def test_a_worker_is_not_reaped_if_redis_stood_still_since_it_was_found(storage, far, hand, monkeypatch):
    storage.enqueue_jobs(jobs("a"))
    claim = hand.claim_one()
    let_lapse(storage, hand)
    storage.server.command(b"HSET", storage.server.key(f"worker:{hand.n}"), "lease_ms", 10_000)
    run = far.server.run

    def late(name, *words, **options):
        if name == "reap":
            let_pass(storage, 30)
        return run(name, *words, **options)

    monkeypatch.setattr(far.server, "run", late)
    assert far.lifecycle.rescue(MOST) == []
    assert hand.settle(claim).lost == frozenset()


def test_a_cancel_between_look_and_reaping_is_heeded(storage, far, hand, monkeypatch):
    storage.enqueue_jobs(jobs("a"))
    hand.begin(hand.claim_one())
    let_lapse(storage, hand)
    run, canceled = far.server.run, []

    def meanwhile(name, *words, **options):
        answer = run(name, *words, **options)
        if name == "held" and not canceled:
            canceled.append(storage.lifecycle.cancel("a"))
        return answer

    monkeypatch.setattr(far.server, "run", meanwhile)
    far.lifecycle.rescue(MOST)
    assert (canceled, state(storage, "a")) == (["running"], "canceled")


def test_a_worker_of_an_emptied_server_keeps_its_number_only_if_nobody_else_has_it(storage, hand):
    key = storage.server.key("worker")
    storage.server.command(b"DEL", storage.server.key(f"worker:{hand.n}"), key, storage.server.key("leases"))
    assert hand.claim() == []  # it enters again
    assert storage.server.command(b"GET", key) == str(hand.n).encode()
    storage.server.command(b"HSET", storage.server.key(f"worker:{hand.n}"), "key", "another")
    with pytest.raises(errors.StorageUnavailable, match="restart this consumer"):
        hand.claim()
    storage.unregister(hand.n)
    assert storage.server.command(b"HGET", storage.server.key(f"worker:{hand.n}"), "key") == b"another"
