"""Schedules with real processes: one job a slot whatever becomes of the consumers, on time also beside a burst."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from statistics import median

import pytest

from duey.model.schedule import OccurrenceRow
from tests.acceptance.conftest import Make
from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import SEED
from tests.acceptance.processes import Process
from tests.acceptance.variants import SOAK, sqlite_in_suite, sqlite_only
from tests.support import rounds, wait_until

TIMED = {"tasks": {"modules": "workload, scheduled_tasks"}}
SECOND = "scheduled_tasks.each_second"
LATE_S = 0.1 if SOAK else 0.9  # on a busy machine: before the next slot


@pytest.fixture
def timed(make: Make) -> Deployment:
    """A deployment with schedules in its code."""
    return make(TIMED)


def slots(deployment: Deployment, name: str) -> list[OccurrenceRow]:
    """The slots on record, oldest first."""
    return [slot for slot, _ in reversed(deployment.huey.storage.schedule_store.slots_of(name, 500))]


def began(deployment: Deployment, name: str) -> dict[float, float]:
    """When each slot's body first began, in seconds of the wall clock after the slot."""
    offset = time.time() - time.monotonic()
    short = name.rpartition(".")[2]
    found = {}
    for each, runs in deployment.ledger.runs().items():
        schedule, _, slot = each.partition("@")
        if schedule == short:
            found[float(slot)] = runs[0].began + offset - float(slot)
    return found


@pytest.mark.soak
def test_each_slot_has_one_job_though_consumers_come_and_go(timed: Deployment):
    rng = random.Random(SEED)
    running = [timed.consumer(1), timed.consumer(1)]
    end = time.monotonic() + rounds(6, soak=420)
    while time.monotonic() < end:
        disturb(running.pop(rng.randrange(len(running))), rng)
        running.append(timed.launch(1))
        if len(running) < 3 and rng.random() < 0.5:
            running.append(timed.launch(1))
        elif len(running) == 3 and rng.random() < 0.5:
            disturb(running.pop(), rng)
        seen = len(slots(timed, SECOND))
        wait_until(lambda seen=seen: len(slots(timed, SECOND)) > seen, 30, "slots are dealt with")
    names, until = [row.name for row in timed.huey.storage.schedule_store.schedules()], time.time()

    def all_have_run() -> bool:
        due = {name: [slot for slot in slots(timed, name) if slot.at <= until] for name in names}
        return all(
            {slot.at for slot in found if slot.outcome == "deferred"} <= set(began(timed, name))
            for name, found in due.items()
        )

    wait_until(all_have_run, 30, "each of them has run")
    for consumer in running:
        consumer.signal(signal.SIGTERM)
        consumer.wait(30)

    events = timed.huey.storage.read_outbox(1_000_000)
    jobs = Counter(row.job.id for row in events if row.job and row.kind == "enqueued")
    assert set(jobs.values()) == {1}
    for name in names:
        found = slots(timed, name)
        assert all(slot.job_id in jobs if slot.outcome == "deferred" else slot.reason for slot in found)
        step_s = {"scheduled_tasks.each_second": 1, "scheduled_tasks.each_other": 2}.get(name, 60)
        assert [slot.at for slot in found] == [found[0].at + n * step_s for n in range(len(found))] if found else True
        if name == SECOND:
            assert [slot.outcome for slot in found] == ["deferred"] * len(found) and len(found) >= 4


def disturb(consumer: Process, rng: random.Random) -> None:
    """End it in good order, or as it comes."""
    if rng.random() < 0.5:
        consumer.signal(signal.SIGTERM)
        consumer.wait(30)
    else:
        consumer.kill_tree()


@pytest.mark.soak
def test_slots_begin_on_their_second_and_a_burst_delays_none_by_a_second(timed: Deployment):
    count = rounds(2000, soak=20_000)
    timed.consumer(2)
    wait_until(lambda: len(began(timed, SECOND)) >= rounds(5, soak=20), 40, "the schedule runs")
    quiet_s = sorted(began(timed, SECOND).values())
    assert quiet_s[0] >= -0.01 and median(quiet_s) < LATE_S, quiet_s
    first = time.time()
    note = timed.tasks.note
    for start in range(0, count, 1000):
        timed.huey.enqueue_jobs([note.s(n) for n in range(start, start + 1000)])
    wait_until(lambda: timed.control.counts().queued == 0, rounds(60, soak=300), "the burst is over")
    late_s = {slot: late for slot, late in began(timed, SECOND).items() if slot >= first - 1}
    assert late_s
    if SOAK:
        assert max(late_s.values()) < 1.0, late_s
    # However busy the machine: no slot stood behind the burst.
    burst = sorted(runs[0].began for each, runs in timed.ledger.runs().items() if "@" not in each)
    offset = time.time() - time.monotonic()
    before = [sum(slot < at + offset < slot + late for at in burst) for slot, late in late_s.items()]
    assert max(before) < count / 2, (before, late_s)


@sqlite_in_suite
def test_a_schedule_made_by_hand_is_seen_at_once_by_every_consumer(timed: Deployment):
    timed.consumer(1)
    timed.consumer(1)
    out, _ = timed.manage("schedule", "add", "mine", "note", "--every", "2", "7", "seconds=0")
    assert out.startswith("created mine: Every 2 seconds, next at ")
    wait_until(lambda: len(timed.ledger.runs_of(7)) >= 2, 30, "two slots have run")
    assert all(slot.reason is None for slot in slots(timed, "mine")), "on time, the first one too"
    change = "schedule change {} note --every 1 --window 60 8 seconds=0"
    (_, listed, _), (_, changed, _), (code, _, err) = timed.manage_all(
        ["schedule", "list"], change.format("mine").split(), change.format("nobody").split()
    )
    assert {line.split("\t")[0] for line in listed.splitlines()} >= {"mine", SECOND, "scheduled_tasks.there"}
    assert "mine\tnote\tEvery 2 seconds\tUTC\tnext 20" in listed and "Asia/Kathmandu" in listed

    assert changed.startswith("changed mine: Every 1 second, next at ")
    assert code == 1 and "no schedule is named 'nobody'" in err
    wait_until(lambda: timed.ledger.runs_of(8), 30, "what was changed runs")

    timed.manage("schedule", "pause", "mine")
    wait_until(lambda: slots(timed, "mine")[-1].outcome == "skipped", 30, "a slot is skipped")
    skipped = slots(timed, "mine")[-1]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(skipped.at))
    out, _ = timed.manage("schedule", "run", "mine", "--slot", stamp)
    timed.wait_ended([out.strip()])
    commands = (f"run mine --slot {stamp}", "resume mine", "remove mine", f"remove {SECOND}")
    answers = timed.manage_all(*(["schedule", *each.split()] for each in commands))
    assert [code for code, _, _ in answers] == [1, 0, 0, 1] and "edit its decorator" in answers[-1][2]


@sqlite_only
def test_what_is_no_schedule_is_refused_in_one_sentence(timed: Deployment):
    bad = ("--cron 61_*_*_*_*", "--every 0", "--at yesterday", "--cron @daily --tz Eu", "--cronn @daily")
    adds = [f"schedule add bad note 1 {words}".split() for words in bad]
    answers = timed.manage_all(
        *[[word.replace("_", " ") for word in words] for words in adds], ["schedule", "run", "mine"]
    )
    assert [(code, out) for code, out, _ in answers] == [(1, "")] * 4 + [(2, ""), (1, "")]
    assert [err.count("\n") for code, _, err in answers if code == 1] == [1] * 5
    assert "no schedule is named 'mine'" in answers[-1][2]
