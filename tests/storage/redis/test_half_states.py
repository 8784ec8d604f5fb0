"""Whatever Redis loses of its last changes, what is left agrees: each change is there as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.connection import Connection

from duey import clock
from duey.model.job import ONCE, Idempotency
from duey.model.limits import Limit
from duey.model.schedule import OccurrenceRow, ScheduleRow, Tick
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import Hand, ended, job, jobs, part
from tests.storage.redis.consistency import changes_in, log_of, problems
from tests.support import needs
from tests.support.redis_server import MISSING, RedisServer, redis_binary

LIMITED = "shop.limited"


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that logs every change."""
    options = ["--appendonly", "yes", "--appendfsync", "no", "--save", ""]
    with RedisServer(needs(redis_binary(), MISSING), tmp_path / "logged", options) as server:
        yield server


@pytest.fixture
def storage(logged: RedisServer, open_storage: Callable[..., RedisStorage]) -> RedisStorage:
    storage = open_storage(logged.url)
    storage.prepare()
    return storage


def go_through_everything(storage: RedisStorage, hire: Callable[..., Hand]) -> None:
    """Everything that moves a job, or gives it something to hold."""
    now = clock.now()
    storage.limits = {LIMITED: Limit(1, 0.001, 2)}
    first, second = hire(), hire()
    storage.enqueue_jobs([*jobs("abcd"), job("late", eta=now + 1000.0), job("soon", eta=now + 0.001)])
    storage.enqueue_jobs([job("u", unique_key="k"), job("v", unique_key="k")], Idempotency("t", "i", "f"))
    storage.enqueue_jobs([job(f"l{i}", task=LIMITED) for i in range(4)])
    storage.enqueue_jobs([job("once", flags=ONCE, priority=5.0)])
    once, a, b, c, d = first.claim(5)
    first.commit(ended(once), ended(a, "failed"), ended(b, "retrying", eta=now + 1e6))
    first.commit(*(ended(each, chord_part=part("m", i, 2)) for i, each in enumerate((c, d))))
    storage.release_claims(first.n, first.claim(2))
    storage.lifecycle.cancel("late")
    claims = []
    for kind, name in (("queue", "default"), ("task", LIMITED)):
        storage.pause(kind, name)
        claims += second.claim(30)
        storage.resume(kind, name)
    one, *others = [*claims, *second.claim(30)]
    second.commit(ended(one, follow_ups=(job("next", unique_key="n"),)))
    storage.data.put_if_empty("lock", b"1", 60.0, second.n)
    for claim in others:
        second.begin(claim)
        storage.put_checkpoint(claim, "step", b"1")
        storage.put_progress(claim.job.seq, "1")
    storage.lifecycle.cancel(others[0].job.id)
    second.die()
    storage.lifecycle.reap(second.dead(), 3)
    storage.retry("a", None, 1)
    storage.schedule_store.add(ScheduleRow("s", "made", "{}", False, 100.0, 100.0))
    slots = [OccurrenceRow("s", at, "queue", f"s{at:g}", None, now) for at in (101.0, 102.0)]
    (row,) = storage.schedule_store.schedules("s")
    assert storage.schedule_store.fire([Tick(row, 102.0, slots, [job("s101"), job("s102")])])
    storage.data.put("key", b"1")
    while claims := first.claim(30):
        assert not first.commit(*map(ended, claims)).lost
    storage.delete_events(storage.read_outbox(1000))
    storage.forget("a")
    storage.server.run("maintenance", now + 1e9, 1000)
    storage.unregister(first.n)


def replayed(log: Path, binary: str, folder: Path) -> Iterator[redis.Redis]:
    """A server with the first change of a log, with the first two, and so on."""
    with RedisServer(binary, folder) as server, redis.Redis(port=server.port) as client:
        connection = Connection(port=server.port)
        for change in changes_in(log):
            connection.send_packed_command([change])
            connection.send_command("ECHO", "done")
            while connection.read_response() != b"done":
                pass
            yield client


def test_each_beginning_of_the_log_agrees(
    logged: RedisServer, storage: RedisStorage, hire: Callable[..., Hand], tmp_path: Path
):
    go_through_everything(storage, hire)
    logged.stop()
    changes = 0
    for client in replayed(log_of(logged.folder), logged.binary, tmp_path / "replayed"):
        changes += 1
        found = problems(client, storage.server.prefix)
        assert not found, f"after {changes} changes"
    assert changes > 50


def test_redis_drops_a_change_whose_end_is_lost(logged: RedisServer, storage: RedisStorage):
    storage.enqueue_jobs(jobs("ab"))
    storage.enqueue_jobs(jobs("cd"))
    logged.stop()
    log = log_of(logged.folder)
    log.write_bytes(log.read_bytes()[:-40])
    logged.start()
    assert storage.counts().queued == 2
    with redis.Redis(port=logged.port) as client:
        assert not problems(client, storage.server.prefix)


def test_a_resume_that_was_cut_short_is_completed(storage: RedisStorage, hand: Hand):
    storage.enqueue_jobs([*jobs("ab"), job("other", queue="other")])
    for name in ("default", "other"):
        storage.pause("queue", name)
    assert not hand.claim(3)
    storage.server.command(b"SREM", storage.server.key("pauses"), "queue default")  # and then it died
    storage.run_maintenance()
    assert (storage.counts().queued, storage.counts().blocked) == (2, 1)
