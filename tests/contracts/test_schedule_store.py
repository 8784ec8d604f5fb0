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
    (found,) = [row for row in storage.schedule_store.schedules() if row.name == name]
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


def outcomes(storage: JobStorage) -> list[tuple[float, str]]:
    return [(each.at, each.outcome) for each, _ in storage.schedule_store.slots_of("s", 1000)]


@pytest.fixture
def kept(storage: JobStorage, clock) -> JobStorage:
    """The storage with one schedule."""
    assert storage.schedule_store.add(ROW)
    return storage


# schedules


def test_schedules_are_kept_by_name(storage, elsewhere):
    names = ["b", "a", "ä:1", "periodic.task"]
    for name in names:
        assert storage.schedule_store.add(ROW._replace(name=name))
    assert [row.name for row in elsewhere.schedule_store.schedules()] == sorted(names)
    assert row_of(elsewhere, "a") == ROW._replace(name="a")


def test_a_name_is_taken(kept):
    assert not kept.schedule_store.add(ROW._replace(source="code", spec='{"x": 1}', last=7.5, since=8.0, paused=True))
    assert kept.schedule_store.schedules("s") == [ROW] and kept.schedule_store.schedules("t") == []


def test_only_what_was_seen_is_replaced(kept, elsewhere):
    seen = row_of(kept)
    assert elsewhere.schedule_store.replace(seen, '{"x": 1}', 7.5)
    assert row_of(kept) == ROW._replace(spec='{"x": 1}', last=7.5)
    for stale in (seen, seen._replace(last=7.5), seen._replace(spec='{"x": 1}'), ROW._replace(name="t")):
        assert not kept.schedule_store.replace(stale, '{"x": 2}', 9.0), stale
    assert row_of(kept) == ROW._replace(spec='{"x": 1}', last=7.5) and kept.schedule_store.schedules("t") == []
    fire(kept, slot(101))
    assert not kept.schedule_store.replace(row_of(kept)._replace(last=7.5), "{}", 7.5)  # a slot fell due since


def test_removing_forgets_the_slots_too(kept):
    fire(kept, slot(101), slot(102, "queue"))
    assert kept.schedule_store.remove("s") and not kept.schedule_store.remove("s")
    assert (kept.schedule_store.schedules(), outcomes(kept)) == ([], [])
    kept.schedule_store.add(ROW)
    assert (row_of(kept).waiting, outcomes(kept)) == (None, [])
    assert state(kept, "s@101") == "queued"


def test_pause_and_resume(kept):
    assert kept.schedule_store.pause("s", True) and row_of(kept).paused
    assert kept.schedule_store.pause("s", False) and not row_of(kept).paused
    assert not kept.schedule_store.pause("nobody", True)


# firing


def test_firing_accepts_the_jobs_notes_the_slots_and_moves_last(kept, elsewhere):
    assert fire(kept, slot(101.5, "missed", reason="no consumer"), slot(102.25, reason="late")) == ["s@102.25"]
    assert row_of(elsewhere).last == 102.25
    found = elsewhere.schedule_store.slots_of("s", 10)
    assert found == [
        (slot(102.25, reason="late"), "unfinished"),
        (slot(101.5, "missed", reason="no consumer"), None),
    ]
    assert kinds(kept) == ["enqueued"] and state(kept, "s@102.25") == "queued"
    assert kept.schedule_store.slots_of("s", 1) == found[:1]


def test_who_comes_second_changes_nothing(kept):
    seen = row_of(kept)
    assert "s" in kept.schedule_store.fire([tick(seen, slot(101))])
    assert kept.schedule_store.fire([tick(seen, slot(101), slot(102))]) == {}
    assert (outcomes(kept), row_of(kept).last, kept.counts().queued) == ([(101, "deferred")], 101, 1)


@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_or_its_end_that_was_not_seen_stops_the_firing(kept, paused):
    kept.schedule_store.pause("s", not paused)
    seen = row_of(kept)
    kept.schedule_store.pause("s", paused)
    assert kept.schedule_store.fire([tick(seen, slot(101))]) == {}
    assert "s" in kept.schedule_store.fire([tick(row_of(kept), slot(101, "skipped"))])


def test_a_schedule_that_was_removed_is_not_fired(kept):
    seen = row_of(kept)
    kept.schedule_store.remove("s")
    assert kept.schedule_store.fire([tick(seen, slot(101))]) == {} and outcomes(kept) == []


def test_several_schedules_are_fired_together_each_on_its_own_terms(kept):
    for name in ("a", "z"):
        kept.schedule_store.add(ROW._replace(name=name))
    stale, fresh = row_of(kept, "a"), row_of(kept, "z")
    kept.schedule_store.fire([Tick(stale, 105.0, (), ())])
    late = [OccurrenceRow("a", 101.0, "deferred", "a1", None, 0.0)]
    good = [OccurrenceRow("z", 101.0, "deferred", "z1", None, 0.0)]
    a, z = Tick(stale, 101.0, late, [job("a1")]), Tick(fresh, 101.0, good, [job("z1")])
    done = kept.schedule_store.fire([a, tick(row_of(kept), slot(101)), z])
    assert {name: list(ids) for name, ids in done.items()} == {"s": ["s@101"], "z": ["z1"]}
    assert [row.last for row in kept.schedule_store.schedules()] == [105.0, 101.0, 101.0]
    assert kept.schedule_store.fire([]) == {}


def test_last_may_move_without_a_slot_also_back(kept):
    for last in (150.0, 50.0):
        assert kept.schedule_store.fire([Tick(row_of(kept), last, (), ())]) == {"s": []}
        assert row_of(kept).last == last


def test_what_is_on_record_is_not_run_again_unless_it_was_missed(kept, hand: Hand):
    fire(kept, slot(101), slot(102, "missed"), slot(103, "skipped"), slot(104, "missed"))
    kept.schedule_store.fire([Tick(row_of(kept), 100.0, (), ())])  # the clock was set back
    again = [slot(101, job_id="other"), slot(102), slot(103), slot(104, "missed", reason="once more")]
    assert fire(kept, *again) == ["s@102"]
    assert outcomes(kept) == [(104, "missed"), (103, "skipped"), (102, "deferred"), (101, "deferred")]
    assert kept.schedule_store.slots_of("s", 1)[0][0].reason is None
    assert sorted(claim.id for claim in hand.claim(9)) == ["s@101", "s@102"]


@pytest.mark.parametrize("ended", [True, False])
def test_a_job_whose_id_is_known_is_not_accepted_again(kept, hand: Hand, ended):
    fire(kept, slot(101))
    if ended:
        hand.work()
    kept.schedule_store.remove("s")
    kept.schedule_store.add(ROW)
    assert fire(kept, slot(101)) == []
    assert outcomes(kept) == [(101, "deferred")] and len(hand.claim(9)) == (0 if ended else 1)


def test_the_newest_slots_are_kept_and_those_that_wait_and_the_last_that_ran(kept, hand: Hand):
    fire(kept, slot(100.5))
    hand.work()
    fire(kept, slot(101), slot(102, "queue"))
    hand.work()
    fire(kept, *(slot(200 + n, "missed") for n in range(KEPT - 1)))
    assert outcomes(kept)[-2:] == [(102, "waiting"), (101, "deferred")] and len(outcomes(kept)) == KEPT + 1
    fire(kept, *(slot(1000 + n, "missed") for n in range(KEPT)))
    found = outcomes(kept)
    assert found[KEPT:] == [(102, "waiting"), (101, "deferred")]
    assert found[:KEPT] == [(1000 + n, "missed") for n in reversed(range(KEPT))]


def test_a_slot_whose_job_has_not_ended_stays(kept, hand: Hand):
    fire(kept, slot(101), slot(102))
    claims = {claim.id: claim for claim in hand.claim(9)}
    for begin in (200, 200 + KEPT):
        fire(kept, *(slot(begin + n, "missed") for n in range(KEPT)))
    assert outcomes(kept)[KEPT:] == [(102, "deferred"), (101, "deferred")]
    hand.settle(claims["s@101"])
    fire(kept, slot(2000, "overlap"), slot(2001, "queue"))
    assert outcomes(kept)[:2] == [(2001, "waiting"), (2000, "skipped")] and outcomes(kept)[-1] == (102, "deferred")
    assert not kept.schedule_store.release("s", 2001, job("s@2001"))
    hand.settle(claims["s@102"])
    assert kept.schedule_store.release("s", 2001, job("s@2001"))
    fire(kept, slot(2002, "missed"))
    assert outcomes(kept)[-1][0] > 102 and len(outcomes(kept)) == KEPT


def test_a_clock_that_was_ahead_takes_nobody_s_place(kept, hand: Hand):
    """What ran then stays on record, beside the newest that are kept, and counts as a run that has not ended."""
    fire(kept, *(slot(9000 + n, "missed") for n in range(KEPT)), slot(9999))
    kept.schedule_store.fire([Tick(row_of(kept), 100.0, (), ())])  # it was set right
    assert fire(kept, slot(101, "overlap")) == [] and fire(kept, slot(102, "queue")) == []
    hand.settle(hand.claim_one())
    assert fire(kept, slot(103, "overlap")) == ["s@103"] and fire(kept, slot(104, "overlap")) == []
    assert [each.at for each, _ in kept.schedule_store.slots_of("s", 9, until=500.0)] == [104, 103, 102, 101]
    assert len(outcomes(kept)) == KEPT + 4


def test_each_slot_is_one_job_though_many_fire_it(kept, huey):
    """Schedulers side by side: each looks and fires as fast as it can."""
    end, won = 160, []
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
    assert sorted(won) == [100 + n for n in range(1, 61)]
    assert kept.counts().queued == 60 and [at for at, _ in outcomes(kept)] == sorted(won, reverse=True)


def test_workers_are_woken(kept, hire):
    hand = hire()
    hand.presence.asleep(True)
    fire(kept, slot(101))
    assert hand.presence.pipe.wait(5.0)


# overlap: skip


def test_a_slot_is_skipped_while_the_run_before_it_goes_on(kept, hand: Hand):
    assert fire(kept, slot(101, "overlap"), slot(102, "overlap")) == ["s@101"]
    claim = hand.claim_one()
    hand.begin(claim)
    assert fire(kept, slot(103, "overlap")) == []
    assert outcomes(kept) == [(103, "skipped"), (102, "skipped"), (101, "deferred")]
    skipped = kept.schedule_store.slots_of("s", 1)[0][0]
    assert (skipped.job_id, skipped.reason) == (None, "the run before it (job s@101) had not ended")
    hand.settle(claim)
    assert fire(kept, slot(104, "overlap")) == ["s@104"]


def test_a_run_that_waits_for_its_retry_goes_on(kept, hand: Hand, clock):
    fire(kept, slot(101, "overlap"))
    hand.settle(hand.claim_one(), "retrying", eta=clock.at + 60)
    assert fire(kept, slot(102, "overlap")) == []


def test_any_run_of_the_schedule_counts_and_no_other(kept, hand: Hand):
    kept.schedule_store.add(ROW._replace(name="other"))
    kept.schedule_store.fire(
        [Tick(row_of(kept, "other"), 101.0, [OccurrenceRow("other", 101.0, "deferred", "o", None, 0)], [job("o")])]
    )
    fire(kept, slot(101), slot(102))
    claims = {claim.id: claim for claim in hand.claim(9)}
    hand.settle(claims["s@102"])
    assert fire(kept, slot(103, "overlap")) == []
    hand.settle(claims["s@101"])
    assert fire(kept, slot(104, "overlap")) == ["s@104"]


# overlap: queue


def test_slots_wait_in_line_and_are_released_one_by_one(kept, hand: Hand):
    assert fire(kept, slot(101, "queue"), slot(102, "queue"), slot(103, "queue")) == ["s@101"]
    assert row_of(kept).waiting == 102 and kept.counts().queued == 1
    assert not kept.schedule_store.release("s", 102, job("s@102"))
    hand.work()
    assert not kept.schedule_store.release("s", 103, job("s@103")), "it is not the first in line"
    assert kept.schedule_store.release("s", 102, job("s@102"))
    assert not kept.schedule_store.release("s", 102, job("s@102")), "once"
    assert (row_of(kept).waiting, outcomes(kept)[1]) == (103, (102, "deferred"))
    assert not kept.schedule_store.release("s", 103, job("s@103"))
    hand.work("failed")
    assert kept.schedule_store.release("s", 103, job("s@103"))
    assert row_of(kept).waiting is None and hand.work() == "s@103"
    assert fire(kept, slot(104, "queue")) == ["s@104"]


def test_who_comes_later_waits_behind_those_that_wait(kept, hand: Hand):
    fire(kept, slot(101, "queue"), slot(102, "queue"))
    hand.work()
    assert fire(kept, slot(103, "queue")) == []
    assert outcomes(kept)[0] == (103, "waiting")


def test_a_pause_holds_those_that_wait(kept, hand: Hand):
    fire(kept, slot(101, "queue"), slot(102, "queue"))
    hand.work()
    kept.schedule_store.pause("s", True)
    assert not kept.schedule_store.release("s", 102, job("s@102"))
    kept.schedule_store.pause("s", False)
    assert kept.schedule_store.release("s", 102, job("s@102"))


def test_the_line_has_an_end(kept):
    slots = [slot(101 + n, "queue") for n in range(WAITING_MAX + 3)]
    assert fire(kept, *slots) == ["s@101"]
    found = [outcome for _, outcome in reversed(outcomes(kept))]
    assert found == ["deferred"] + ["waiting"] * WAITING_MAX + ["skipped"] * 2
    assert kept.schedule_store.slots_of("s", 1)[0][0].reason == f"{WAITING_MAX} slots waited already"


# unique keys


def test_a_slot_whose_unique_key_is_held_is_skipped(kept, hand: Hand):
    kept.enqueue_jobs([job("holder", unique_key="k")])
    row = row_of(kept)
    assert kept.schedule_store.fire([Tick(row, 101.0, [slot(101)], [job("s@101", unique_key="k")])]) == {"s": []}
    found = kept.schedule_store.slots_of("s", 1)[0][0]
    assert (found.outcome, found.job_id, found.reason) == ("skipped", None, "its unique key is held by job holder")
    with pytest.raises(UniqueConflict, match="holder"):
        kept.schedule_store.run_now(slot(150), job("s@150", unique_key="k"))
    assert [at for at, _ in outcomes(kept)] == [101] and kept.counts().queued == 1


# by hand


def test_a_slot_may_be_run_by_hand_once(kept):
    fire(kept, slot(101), slot(102, "missed"), slot(103, "skipped"))
    for at in (102, 103, 104.125):
        assert kept.schedule_store.run_now(slot(at, job_id=f"hand@{at:g}", reason="run by hand"), job(f"hand@{at:g}"))
        assert not kept.schedule_store.run_now(slot(at, job_id="again"), job("again"))
    assert not kept.schedule_store.run_now(slot(101, job_id="again"), job("again"))
    assert kept.counts().queued == 4 and {outcome for _, outcome in outcomes(kept)} == {"deferred"}
    assert row_of(kept).last == 103


def test_the_states_of_the_jobs_are_told(kept, hand: Hand):
    fire(kept, slot(101), slot(102), slot(103), slot(104))
    claims = {claim.id: claim for claim in hand.claim(9)}
    for at, outcome in ((101, "done"), (102, "failed"), (103, "expired")):
        hand.settle(claims[f"s@{at}"], outcome)
    kept.forget("s@103")
    assert [found for _, found in kept.schedule_store.slots_of("s", 9)] == ["unfinished", None, "failed", "done"]


# times without a scheduler


def test_gaps_are_told_apart_from_pauses_for_breath(storage, elsewhere):
    assert storage.schedule_store.note_alive(1000.0, "no consumer") is None
    assert elsewhere.schedule_store.note_alive(1000.0 + GAP_S, "no consumer") == 1000.0
    assert storage.schedule_store.gaps() == []
    assert storage.schedule_store.note_alive(1100.0, "no consumer") == 1000.0 + GAP_S
    assert elsewhere.schedule_store.gaps() == [Gap(1000.0 + GAP_S, 1100.0, "no consumer")]


def test_a_clock_that_goes_back_is_no_gap(storage):
    storage.schedule_store.note_alive(5000.0, "no consumer")
    assert storage.schedule_store.note_alive(1000.0, "no consumer") == 5000.0
    assert storage.schedule_store.note_alive(1001.0, "no consumer") == 1000.0
    assert storage.schedule_store.gaps() == []


def test_the_newest_gaps_are_kept(storage):
    for n in range(GAPS_KEPT + 3):
        storage.schedule_store.note_alive(n * 100.0, f"why {n}")
    found = storage.schedule_store.gaps()
    assert len(found) == GAPS_KEPT and found[-1] == Gap(
        (GAPS_KEPT + 1) * 100.0, (GAPS_KEPT + 2) * 100.0, f"why {GAPS_KEPT + 2}"
    )
