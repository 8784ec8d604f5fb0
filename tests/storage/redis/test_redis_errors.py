"""What Redis says, in words that help: where it is, what is wrong, what to do, and never a password."""

from __future__ import annotations

import json
import os
import threading

import pytest

from duey import errors
from duey.storage.redis.connection.preflight import Facts, refuse
from duey.storage.redis.keys import VERSION
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job, jobs, state
from tests.support.ports import free_port


def config(storage, name, value):
    storage.server.command(b"CONFIG", "SET", name, value)


# a server of the test's own


def test_a_server_that_is_not_there_or_lets_nobody_in_is_named(own_server, open_storage):
    port = free_port()
    storage = RedisStorage("x", url=f"redis://someone:secret@127.0.0.1:{port}/0")
    with pytest.raises(errors.StorageUnavailable) as caught:
        storage.enqueue_jobs(jobs("a"))
    assert caught.value.stored is False
    assert f"Redis at 127.0.0.1:{port} cannot be reached" in str(caught.value)
    assert "secret" not in str(caught.value) and "start it" in str(caught.value)
    with pytest.raises(errors.Misconfigured, match=r"\[storage\] url"):
        RedisStorage("x", url="http://localhost").counts()
    config(open_storage(own_server.url), "requirepass", "right")
    for user in (":wrong@", ""):
        with pytest.raises(errors.StorageUnavailable, match="correct \\[storage\\] url") as caught:
            open_storage(own_server.url.replace("//", f"//{user}")).prepare()
        assert "wrong@" not in str(caught.value)


def test_a_server_that_hangs_may_have_stored_it(own_server, open_storage, monkeypatch):
    monkeypatch.setattr("duey.storage.redis.connection.connections.ANSWER_S", 0.2)
    storage = open_storage(own_server.url)
    storage.prepare()
    open_storage(own_server.url).server.command(b"CLIENT", "PAUSE", 4000)
    with pytest.raises(errors.StorageUnavailable, match="does not answer") as caught:
        storage.enqueue_jobs(jobs("a"))
    assert caught.value.stored is None


def test_a_full_server_takes_no_jobs_but_lets_them_end(own_server, open_storage, hire):
    storage = open_storage(own_server.url)
    storage.enqueue_jobs(jobs("ab"))
    hand = hire(storage)
    first = hand.claim_one()
    assert storage.problems() == []
    config(storage, "maxmemory", "1000")
    (problem,) = storage.problems()
    assert "uses all of its maxmemory of 0 MB, so that it accepts no jobs" in problem
    with pytest.raises(errors.StorageFull, match="maxmemory") as caught:
        storage.enqueue_jobs(jobs("c"))
    assert caught.value.stored is False and storage.get_job("c") is None
    # What the body reports, the lease, and a consumer that is started now, so that what waits can run.
    storage.put_progress(first.job.seq, "[1, 2]")
    storage.put_logs({first.token: [(0, 1.0, "INFO", "line")]})
    assert storage.put_checkpoint(first, "k", b"1") and storage.checkpoint_of(first, "k") == b"1"
    leases = storage.server.key("leases")
    before = storage.server.command(b"ZSCORE", leases, hand.n)
    storage.watch.beat([hand.n], 60.0, storage.folder)
    assert float(storage.server.command(b"ZSCORE", leases, hand.n)) > float(before)
    assert (hire(storage).n, storage.progress_of(first.job.seq)) == (hand.n + 1, "[1, 2]")
    turn = storage.settle_and_claim(hand.n, [ended(first)], 1, ("*",))
    assert ([c.job.id for c in turn.claims], state(storage, "a")) == (["b"], "done")
    storage.release_claims(hand.n, turn.claims)
    hand.claim_one()
    hand.die()
    storage.lifecycle.reap(hand.dead(), 3)
    assert state(storage, "b") == "queued"


def test_a_server_that_is_set_up_wrong_is_flagged_or_refused(own_server, open_storage):
    storage = open_storage(own_server.url)
    assert storage.prepare() == []
    config(storage, "appendonly", "no")
    (warning,) = storage.warnings()
    assert "appendonly yes" in warning
    for policy in ("allkeys-lru", "volatile-ttl", "allkeys-random"):
        config(storage, "maxmemory-policy", policy)
        with pytest.raises(errors.Misconfigured, match=f"maxmemory-policy {policy}.*set `maxmemory-policy noeviction`"):
            open_storage(own_server.url).enqueue_jobs(jobs("a"))
        with pytest.raises(errors.Misconfigured):
            storage.warnings()
    config(storage, "maxmemory-policy", "noeviction")
    storage.server.command(b"ACL", "SETUSER", "few", "on", ">pass", "~duey:*", "+@all", "-info", "-config")
    few = open_storage(own_server.url.replace("//", "//few:pass@"))
    (warning,) = few.prepare()
    assert "INFO" in warning and few.enqueue_jobs(jobs("a")).accepted[0].fresh
    storage.server.command(b"ACL", "SETUSER", "few", "-evalsha", "-eval")
    with pytest.raises(errors.StorageUnavailable, match="does not permit"):
        few.enqueue_jobs(jobs("b"))
    storage.server.command(b"REPLICAOF", "127.0.0.1", free_port())
    for each in (storage, open_storage(own_server.url)):
        with pytest.raises(errors.StorageReadOnly, match="name its primary"):
            each.enqueue_jobs(jobs("z"))
    with pytest.raises(errors.Misconfigured, match=r"version 4\.0\.14: Duey needs Redis 5"):
        refuse(Facts({"redis_version": "4.0.14"}), "Redis at x")


def test_a_restart_of_the_server_is_made_good_also_in_the_middle_of_a_push(own_server, open_storage, monkeypatch):
    storage = open_storage(own_server.url)
    storage.enqueue_jobs(jobs("a"))
    own_server.kill()
    own_server.start()
    assert storage.enqueue_jobs(jobs("b")).accepted[0].fresh
    assert state(storage, "a") == "queued"
    monkeypatch.setattr("duey.storage.redis.enqueue.RETRY_S", 30.0)
    own_server.stop()
    answers = []
    pushing = threading.Thread(target=lambda: answers.append(storage.enqueue_jobs(jobs("c"))))
    pushing.start()
    own_server.start()
    pushing.join(30)
    assert answers[0].accepted == (("c", True),)


# keys and protocol


def test_keys_of_a_newer_duey_are_left_alone_and_those_of_the_first_version_read_and_run(storage, open_storage):
    """Whose jobs had no `by`."""
    storage.enqueue_jobs([*jobs("abc")])
    server = storage.server
    server.command(b"HSET", server.key("meta"), "schema", 99)
    with pytest.raises(errors.SchemaMismatch, match="schema version 99"):
        open_storage().enqueue_jobs(jobs("a"))
    server.command(b"HSET", server.key("meta"), "schema", 1)
    for each in "abc":
        key = server.key(f"body:{each}")
        head, _, payload = server.command(b"GET", key).partition(b"\n")
        old = json.dumps(json.loads(b"[" + head)[:10], separators=(",", ":"))
        server.command(b"SET", key, old[1:].encode() + b"\n" + payload)
    newer = open_storage()
    assert newer.get_job("a").job.by is None
    assert [event.detail["by"] for event in newer.lifecycle.read_events(10)] == [None] * 3
    hand = Hand(newer)
    assert [each.job.by for each in hand.claim(2)] == [None, None]
    newer.lifecycle.cancel("c")
    hand.go()
    assert server.command(b"HGET", server.key("meta"), "schema") == str(VERSION).encode()


def test_scripts_that_the_server_forgot_are_sent_again(storage):
    storage.enqueue_jobs(jobs("a"))
    storage.server.command(b"SCRIPT", "FLUSH")
    assert storage.enqueue_jobs(jobs("b")).accepted[0].fresh


def test_services_with_other_names_share_nothing(open_storage, storage):
    for names in (("my-app", "myapp"), ("служба", "服务"), ("a", "A")):
        first, second = (open_storage(name=f"{storage.name}{name}") for name in names)
        first.enqueue_jobs(jobs("a"))
        assert (first.counts().queued, second.counts().queued) == (1, 0), names


def test_a_forked_child_talks_on_connections_of_its_own(storage):
    storage.enqueue_jobs(jobs("a"))
    pid = os.fork()
    if pid == 0:
        try:
            for n in range(50):
                storage.enqueue_jobs([job(f"child{n}")])
            os._exit(0)
        except BaseException:
            os._exit(1)
    for n in range(50):
        assert storage.enqueue_jobs([job(f"parent{n}")]).accepted == ((f"parent{n}", True),)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert storage.counts().queued == 101


def test_bytes_travel_unchanged_in_either_protocol(redis_server, open_storage, hire):
    payload = bytes(range(256)) * 5000
    for protocol in (2, 3):
        storage = open_storage(f"{redis_server.url}?protocol={protocol}")
        storage.flush_all()
        storage.enqueue_jobs([job("a", payload=payload, context='{"\\n": 1}')])
        hand = hire(storage)
        claim = hand.claim_one()
        assert claim.job.payload == payload
        hand.settle(claim, result=payload)
        assert (storage.peek_data("a"), storage.get_job("a").job.payload) == (payload, payload)
        assert (storage.result_items(), storage.pauses()) == ({"a": payload}, set())
        (listed,) = storage.list_jobs(None, None, None, 5, None)
        assert (listed.job.payload, listed.job.context) == (b"", '{"\\n": 1}')
    assert {connection.get_protocol() for connection, _ in storage.server.connections.idle} == {3}


def test_what_no_score_can_be_is_refused_before_anything_is_stored(storage):
    for field in ("priority", "eta"):
        with pytest.raises(errors.BadRequest, match="NaN"):
            storage.enqueue_jobs([job("a"), job("b", **{field: float("nan")})])
    assert storage.counts().queued == 0
