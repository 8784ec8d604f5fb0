"""A queue that holds a job of every kind, and everything else that a queue can hold."""

from __future__ import annotations

import json
from pathlib import Path

import duey
from duey import clock
from duey.config import load
from duey.execution.huey import DurableHuey
from duey.model.job import (
    BLOCKED,
    CANCELED,
    DONE,
    EXPIRED,
    FAILED,
    FREED_AT_START,
    FREED_BY_TIME,
    RETRYING,
    Idempotency,
)
from duey.model.limits import Limit
from duey.model.schedule import GAP_S, OccurrenceRow, ScheduleRow, Tick
from duey.moving.places import Place, place_of
from duey.storage.contract import JobStorage
from tests.contracts.rig import Hand, job, jobs, part, with_lifecycle

STATES = {
    "done": 3, "failed": 1, "canceled": 1, "expired": 1, "blocked": 6, "scheduled": 3, "ready": 5,
}  # fmt: skip


def opened(folder: Path, url: str, name: str, **keys: object) -> DurableHuey:
    """A huey over the queue at a URL; keys are settings, as `tasks_secret="x"`."""
    ini = folder / f"{name}.ini"
    backend = "redis" if url.startswith("redis") else "sqlite"
    place = f"url = {url}" if backend == "redis" else f"path = {url.removeprefix('sqlite:///')}"
    ini.write_text(f"[storage]\nbackend = {backend}\n{place}\nname = {name}\ndurability = normal\n")
    huey = duey.build(load(ini, {f"DUEY_{key.upper()}": str(value) for key, value in keys.items()}))
    with_lifecycle(huey.storage, huey)
    return huey


def place_at(huey: DurableHuey) -> Place:
    return place_of(None, huey.settings)


def leave(hand: Hand) -> None:
    """The clean end of a worker."""
    hand.storage.unregister(hand.n)
    hand.go()


def fill(storage: JobStorage) -> None:
    """What every section of a move holds, in every form."""
    now = clock.now()
    storage.limits = {"shop.one": Limit(1, None, 0.0), "shop.slow": Limit(None, 3600.0, 1.0)}
    storage.pause("task", "shop.paused")
    storage.pause("queue", "stopped")
    hand = Hand(storage)
    storage.enqueue_jobs(jobs("abcdef", retries=2, context='{"k": 1}', by="token", timeout_s=2.5))
    endings = {"a": DONE, "b": FAILED, "c": CANCELED, "d": EXPIRED}
    for claim in hand.claim(6):
        job_id = claim.job.id
        hand.begin(claim)
        storage.put_progress(claim.job.seq, json.dumps({"done": 1, "total": 2, "note": job_id}))
        storage.put_checkpoint(claim, "", job_id.encode())
        storage.put_checkpoint(claim, "more", b"\0\xff")
        if job_id in endings:
            hand.settle(claim, endings[job_id], result=b'"\xff"', detail='{"logs": []}')
        elif job_id == "e":
            retry = {"eta": now + 3600, "reason": "lock x", "retries": 1, "failures": 1, "failed_at": now}
            hand.settle(claim, RETRYING, result=None, **retry)
        else:
            hand.settle(claim, BLOCKED, result=None, started_at=None, reason="unknown")
    first, second = (part("chord", i, 2) for i in range(2))
    storage.enqueue_jobs([job("member-0"), job("member-1", sequel='["part"]')])
    hand.settle(hand.claim_one(), chord_part=first)
    assert second.cid == "chord"
    storage.enqueue_jobs([job(f"one-{i}", task="shop.one") for i in range(3)])
    storage.enqueue_jobs([job(f"slow-{i}", task="shop.slow", priority=float(i)) for i in range(3)])
    storage.enqueue_jobs([job("p", task="shop.paused"), job("q", queue="stopped", expires_at=now + 7200.25)])
    held = hand.claim(20)  # the rest of these is set aside
    assert {claim.job.id for claim in held} == {"member-1", "one-0", "slow-2"}
    storage.release_claims(hand.n, [claim for claim in held if claim.job.id == "member-1"])
    for claim in held:
        if claim.job.id != "member-1":
            hand.settle(claim, RETRYING if claim.job.id == "one-0" else DONE, eta=now + 60, retries=0)
    storage.enqueue_jobs(
        [job("later", eta=now + 86400.5, unique_key="später|=", unique_s=7.25, flags=FREED_BY_TIME, chord="c2")]
    )
    storage.enqueue_jobs([job("u", unique_key="u", priority=-2.5, parent="a", retry_delay_s=1.5, retries=4)])
    storage.enqueue_jobs([job("s", unique_key="s", flags=FREED_AT_START)])
    storage.enqueue_jobs([job("i")], Idempotency("token", "a:b", "print"))
    leave(hand)
    storage.put_data("value", b"1")
    storage.put_data("r:u", b"revoked")
    storage.data.put_if_empty("lock", b"1", None, None)
    storage.data.put_if_empty("lease", b"1", 60.5, None)
    storage.incr("counter", 3)
    store = storage.schedule_store
    for name, source in (("hand", "made"), ("code", "code")):
        store.add(ScheduleRow(name, source, '{"x": 1}', False, now - 100.5, now - 200))
    store.pause("code", True)
    (row,) = store.schedules("hand")
    slots = [
        OccurrenceRow("hand", now - 60, "skipped", None, "why", now),
        OccurrenceRow("hand", now, "waiting", None, None, now),
    ]
    store.fire([Tick(row, now, slots, ())])
    store.note_alive(now - GAP_S - 1, "it was down")
    store.note_alive(now, "it was down")
    storage.own_outbox("a" * 13, "atlas:/srv/monitor.db")
