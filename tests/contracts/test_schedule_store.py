"""Schedules and their slots: dealt with once, by whoever comes first, together with their jobs."""

from __future__ import annotations

import threading

import pytest

from duey.errors import UniqueConflict
from duey.model.schedule import GAP_S, GAPS_KEPT, KEPT, WAITING_MAX, Gap, OccurrenceRow, ScheduleRow, Tick
from duey.storage.contract import JobStorage
from tests.contracts.rig import Hand, job, kinds, open_again, state

ROW = ScheduleRow("s", "made", "{}", False, 100.0, 100.0)


def row_of(storage: JobStorage, name: str = "s") -> ScheduleRow:
    (found,) = storage.schedule_store.schedules(name)
    return found


def slot(at: float, outcome: str = "deferred", job_id: str | None = "", reason: str | None = None) -> OccurrenceRow:
    job_id = f"s@{at:g}" if job_id == "" and outcome not in ("missed", "skipped") else job_id or None
    return OccurrenceRow("s", at, outcome, job_id, reason, 1000.0)


def tick(row: ScheduleRow, *slots: OccurrenceRow) -> Tick:
    """The firing of these slots, with a job for each that wants one."""
    return Tick(row, max(each.at for each in slots), slots, [job(each.job_id) for each in slots if each.job_id])


def fire(storage: JobStorage, *slots: OccurrenceRow) -> list[str] | None:
    """Fire from what is on record now: the ids of the jobs accepted, None when somebody was first."""
    done = storage.schedule_store.fire([tick(row_of(storage), *slots)])
    return list(done["s"]) if "s" in done else None


def set_clock(storage: JobStorage, last: float) -> None:
    """As after the clock was set: nothing is dealt with since."""
    assert storage.schedule_store.fire([Tick(row_of(storage), last, (), ())]) == {"s": []}
    assert row_of(storage).last == last


def outcomes(storage: JobStorage) -> list[tuple[float, str]]:
    return [(each.at, each.outcome) for each, _ in storage.schedule_store.slots_of("s", 1000)]


def newest(storage: JobStorage) -> OccurrenceRow:
    return storage.schedule_store.slots_of("s", 1)[0][0]


@pytest.fixture
def kept(storage: JobStorage, clock) -> JobStorage:
    """The storage with one schedule."""
    assert storage.schedule_store.add(ROW)
    return storage


# schedules


def test_schedules_are_kept_by_name(storage, elsewhere):
    store, other = storage.schedule_store, elsewhere.schedule_store
    names = ["b", "a", "ä:1", "periodic.task"]
    for name in names:
        assert store.add(ROW._replace(name=name))
    assert [row.name for row in other.schedules()] == sorted(names)
    assert not store.add(ROW._replace(name="a", source="code", spec='{"x": 1}', last=7.5, since=8.0, paused=True))
    assert other.schedules("a") == [ROW._replace(name="a")] and other.schedules("t") == []


def test_only_what_was_seen_is_replaced(kept, elsewhere):
    store, seen = kept.schedule_store, row_of(kept)
    assert elsewhere.schedule_store.replace(seen, '{"x": 1}', 7.5)
    for stale in (seen, seen._replace(last=7.5), seen._replace(spec='{"x": 1}'), ROW._replace(name="t")):
        assert not store.replace(stale, '{"x": 2}', 9.0), stale
    assert row_of(kept) == ROW._replace(spec='{"x": 1}', last=7.5) and store.schedules("t") == []
    fire(kept, slot(101))
    assert not store.replace(row_of(kept)._replace(last=7.5), "{}", 7.5), "a slot fell due since"


def test_removing_forgets_the_slots_too(kept, hand):
    """And leaves the jobs, whose ids are known then: nothing is accepted again."""
    fire(kept, slot(101), slot(102, "queue"), slot(103))
    assert hand.work() == "s@101"
    seen = row_of(kept)
    assert kept.schedule_store.remove("s") and not kept.schedule_store.remove("s")
    assert (kept.schedule_store.schedules(), outcomes(kept)) == ([], [])
    assert kept.schedule_store.fire([tick(seen, slot(101))]) == {} and outcomes(kept) == []
    kept.schedule_store.add(ROW)
    assert (row_of(kept).waiting, outcomes(kept)) == (None, [])
    assert fire(kept, slot(101), slot(103)) == [] and state(kept, "s@103") == "queued"
    assert outcomes(kept) == [(103, "deferred"), (101, "deferred")] and len(hand.claim(9)) == 1


# firing


def test_firing_accepts_the_jobs_notes_the_slots_and_moves_last(kept, elsewhere, hand):
    hand.presence.asleep(True)
    assert fire(kept, slot(101.5, "missed", reason="no consumer"), slot(102.25, reason="late")) == ["s@102.25"]
    assert hand.presence.pipe.wait(5.0), "workers are woken"
    assert row_of(elsewhere).last == 102.25
    found = elsewhere.schedule_store.slots_of("s", 10)
    assert found == [
        (slot(102.25, reason="late"), "unfinished"),
        (slot(101.5, "missed", reason="no consumer"), None),
    ]
    assert kinds(kept) == ["enqueued"] and state(kept, "s@102.25") == "queued"
    assert kept.schedule_store.slots_of("s", 1) == found[:1]


def test_who_comes_second_or_has_not_seen_a_pause_or_its_end_changes_nothing(kept):
    store, seen = kept.schedule_store, row_of(kept)
    assert "s" in store.fire([tick(seen, slot(101))])
    assert store.fire([tick(seen, slot(101), slot(102))]) == {}
    assert (outcomes(kept), row_of(kept).last, kept.counts().queued) == ([(101, "deferred")], 101, 1)
    for n, paused in enumerate((True, False), 1):
        seen = row_of(kept)
        assert store.pause("s", paused) and row_of(kept).paused == paused
        assert store.fire([tick(seen, slot(101 + n))]) == {}
        assert "s" in store.fire([tick(row_of(kept), slot(101 + n, "skipped"))])
    assert not store.pause("nobody", True)


def test_several_schedules_are_fired_together_each_on_its_own_terms(kept):
    store = kept.schedule_store
    for name in ("a", "z"):
        store.add(ROW._replace(name=name))
    stale, fresh = row_of(kept, "a"), row_of(kept, "z")
    store.fire([Tick(stale, 105.0, (), ())])
    a, z = (
        Tick(row, 101.0, [OccurrenceRow(row.name, 101.0, "deferred", f"{row.name}1", None, 0.0)], [job(f"{row.name}1")])
        for row in (stale, fresh)
    )
    done = store.fire([a, tick(row_of(kept), slot(101)), z])
    assert {name: list(ids) for name, ids in done.items()} == {"s": ["s@101"], "z": ["z1"]}
    assert [row.last for row in store.schedules()] == [105.0, 101.0, 101.0]
    assert store.fire([]) == {}


def test_what_is_on_record_is_not_run_again_unless_it_was_missed(kept, hand: Hand):
    fire(kept, slot(101), slot(102, "missed"), slot(103, "skipped"), slot(104, "missed"))
    set_clock(kept, 150.0)
    set_clock(kept, 100.0)
    again = [slot(101, job_id="other"), slot(102), slot(103), slot(104, "missed", reason="once more")]
    assert fire(kept, *again) == ["s@102"]
    assert outcomes(kept) == [(104, "missed"), (103, "skipped"), (102, "deferred"), (101, "deferred")]
    assert newest(kept).reason is None
    assert sorted(claim.job.id for claim in hand.claim(9)) == ["s@101", "s@102"]


def test_the_newest_slots_are_kept_and_those_that_wait_or_run_and_the_last_that_ran(kept, hand: Hand):
    def miss(begin, count=KEPT):
        fire(kept, *(slot(begin + n, "missed") for n in range(count)))

    fire(kept, slot(100.5))
    hand.work()
    fire(kept, slot(101), slot(102, "queue"))
    hand.work()
    miss(200, KEPT - 1)
    assert outcomes(kept)[-2:] == [(102, "waiting"), (101, "deferred")] and len(outcomes(kept)) == KEPT + 1
    miss(1000)
    found = outcomes(kept)
    assert found == [*((1000 + n, "missed") for n in reversed(range(KEPT))), (102, "waiting"), (101, "deferred")]
    fire(kept, slot(3000), slot(3001))
    first, second = sorted(hand.claim(9), key=lambda claim: claim.job.id)
    miss(4000), miss(4000 + KEPT)
    assert outcomes(kept)[KEPT:] == [(3001, "deferred"), (3000, "deferred"), (102, "waiting")]
    hand.settle(first)
    fire(kept, slot(5000, "overlap"), slot(5001, "queue"))
    assert outcomes(kept)[:2] == [(5001, "waiting"), (5000, "skipped")]
    assert not kept.schedule_store.release("s", 102, job("s@102"))
    hand.settle(second)
    assert kept.schedule_store.release("s", 102, job("s@102"))
    assert hand.work() == "s@102"
    assert kept.schedule_store.release("s", 5001, job("s@5001"))
    hand.work()
    fire(kept, slot(5002, "missed"))
    assert outcomes(kept)[-1][0] > 4000 and len(outcomes(kept)) == KEPT


def test_a_clock_that_was_ahead_takes_nobody_s_place(kept, hand: Hand):
    """What ran then stays on record, beside the newest that are kept, and counts as a run that has not ended."""
    fire(kept, *(slot(9000 + n, "missed") for n in range(KEPT)), slot(9999))
    set_clock(kept, 100.0)
    assert fire(kept, slot(101, "overlap")) == [] and fire(kept, slot(102, "queue")) == []
    hand.settle(hand.claim_one())
    assert fire(kept, slot(103, "overlap")) == ["s@103"] and fire(kept, slot(104, "overlap")) == []
    assert [each.at for each, _ in kept.schedule_store.slots_of("s", 9, until=500.0)] == [104, 103, 102, 101]
    assert len(outcomes(kept)) == KEPT + 4


def test_each_slot_is_one_job_though_many_fire_it(kept, huey):
    """Schedulers side by side: each looks and fires as fast as it can."""
    end, won = 140, []
    ready = threading.Barrier(4)

    def schedule() -> None:
        own = open_again(huey)
        ready.wait()
        while (row := row_of(own)).last < end:
            at = row.last + 1
            if own.schedule_store.fire([tick(row, slot(at))]):
                won.append(at)
        own.close()

    threads = [threading.Thread(target=schedule) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(won) == [100 + n for n in range(1, 41)]
    assert kept.counts().queued == 40 and [at for at, _ in outcomes(kept)] == sorted(won, reverse=True)


# overlap: skip


def test_a_slot_is_skipped_while_a_run_before_it_goes_on(kept, hand: Hand, clock):
    """Also while that waits for its retry; any run of the schedule counts, and none of another."""
    other = ROW._replace(name="other")
    kept.schedule_store.add(other)
    kept.schedule_store.fire(
        [Tick(other, 101.0, [OccurrenceRow("other", 101.0, "deferred", "o", None, 0)], [job("o")])]
    )
    assert hand.claim_one().job.id == "o"
    assert fire(kept, slot(101, "overlap"), slot(102, "overlap")) == ["s@101"]
    claim = hand.claim_one()
    hand.begin(claim)
    assert fire(kept, slot(103, "overlap")) == []
    assert outcomes(kept) == [(103, "skipped"), (102, "skipped"), (101, "deferred")]
    assert (newest(kept).job_id, newest(kept).reason) == (None, "the run before it (job s@101) had not ended")
    hand.settle(claim, "retrying", eta=clock.at + 60)
    assert fire(kept, slot(104, "overlap")) == []
    assert fire(kept, slot(105)) == ["s@105"]
    hand.work()
    assert fire(kept, slot(106, "overlap")) == []
    clock.advance(60)
    hand.work()
    assert fire(kept, slot(107, "overlap")) == ["s@107"]


# overlap: queue


def test_slots_wait_in_line_and_are_released_one_by_one(kept, hand: Hand):
    store = kept.schedule_store
    assert fire(kept, slot(101, "queue"), slot(102, "queue"), slot(103, "queue")) == ["s@101"]
    assert row_of(kept).waiting == 102 and kept.counts().queued == 1
    assert not store.release("s", 102, job("s@102"))
    hand.work()
    assert fire(kept, slot(104, "queue")) == [] and outcomes(kept)[0] == (104, "waiting"), "behind those that wait"
    assert not store.release("s", 103, job("s@103")), "it is not the first in line"
    store.pause("s", True)
    assert not store.release("s", 102, job("s@102")), "a pause holds those that wait"
    store.pause("s", False)
    assert store.release("s", 102, job("s@102"))
    assert not store.release("s", 102, job("s@102")), "once"
    assert (row_of(kept).waiting, outcomes(kept)[2]) == (103, (102, "deferred"))
    assert not store.release("s", 103, job("s@103"))
    hand.work("failed")
    for at in (103, 104):
        assert store.release("s", at, job(f"s@{at}")) and hand.work() == f"s@{at}"
    assert row_of(kept).waiting is None and fire(kept, slot(105, "queue")) == ["s@105"]


def test_the_line_has_an_end(kept):
    slots = [slot(101 + n, "queue") for n in range(WAITING_MAX + 3)]
    assert fire(kept, *slots) == ["s@101"]
    found = [outcome for _, outcome in reversed(outcomes(kept))]
    assert found == ["deferred"] + ["waiting"] * WAITING_MAX + ["skipped"] * 2
    assert newest(kept).reason == f"{WAITING_MAX} slots waited already"


# unique keys, by hand, states


def test_a_slot_whose_unique_key_is_held_is_skipped(kept):
    kept.enqueue_jobs([job("holder", unique_key="k")])
    ticks = [Tick(row_of(kept), 101.0, [slot(101)], [job("s@101", unique_key="k")])]
    assert kept.schedule_store.fire(ticks) == {"s": []}
    found = newest(kept)
    assert (found.outcome, found.job_id, found.reason) == ("skipped", None, "its unique key is held by job holder")
    with pytest.raises(UniqueConflict, match="holder"):
        kept.schedule_store.run_now(slot(150), job("s@150", unique_key="k"))
    assert [at for at, _ in outcomes(kept)] == [101] and kept.counts().queued == 1


def test_a_slot_may_be_run_by_hand_once(kept):
    run_now = kept.schedule_store.run_now
    fire(kept, slot(101), slot(102, "missed"), slot(103, "skipped"))
    for at in (102, 103, 104.125):
        assert run_now(slot(at, job_id=f"hand@{at:g}", reason="run by hand"), job(f"hand@{at:g}"))
        assert not run_now(slot(at, job_id="again"), job("again"))
    assert not run_now(slot(101, job_id="again"), job("again"))
    assert kept.counts().queued == 4 and {outcome for _, outcome in outcomes(kept)} == {"deferred"}
    assert row_of(kept).last == 103


def test_the_states_of_the_jobs_are_told(kept, hand: Hand):
    fire(kept, slot(101), slot(102), slot(103), slot(104))
    claims = {claim.job.id: claim for claim in hand.claim(9)}
    for at, outcome in ((101, "done"), (102, "failed"), (103, "expired")):
        hand.settle(claims[f"s@{at}"], outcome)
    kept.forget("s@103")
    assert [found for _, found in kept.schedule_store.slots_of("s", 9)] == ["unfinished", None, "failed", "done"]


# times without a scheduler


def test_gaps_are_told_apart_from_pauses_for_breath_and_a_clock_that_goes_back(storage, elsewhere):
    store, other = storage.schedule_store, elsewhere.schedule_store
    assert store.note_alive(5000.0, "no consumer") is None
    assert store.note_alive(1000.0, "no consumer") == 5000.0
    assert other.note_alive(1000.0 + GAP_S, "no consumer") == 1000.0
    assert store.gaps() == []
    assert store.note_alive(1100.0, "no consumer") == 1000.0 + GAP_S
    assert other.gaps() == [Gap(1000.0 + GAP_S, 1100.0, "no consumer")]
    for n in range(GAPS_KEPT + 3):
        store.note_alive(2000.0 + n * 100.0, f"why {n}")
    last = 2000.0 + (GAPS_KEPT + 2) * 100.0
    assert len(store.gaps()) == GAPS_KEPT and store.gaps()[-1] == Gap(last - 100.0, last, f"why {GAPS_KEPT + 2}")
