"""Changes of a schedule's timetable, in the code or at run time.

With another expression its slots count from now. Slots that were due by the old one and not handled yet are recorded as
missed, so that they can be run by hand. With another time zone the slots count by the new clock from the last recorded
one. The row stores that change (`moved`), because it explains why slots in the past are due then.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from duey import errors
from duey.model.schedule import MISSED, PAUSED, SKIPPED, OccurrenceRow, ScheduleRow, Tick
from duey.scheduling.due import due_slots
from duey.scheduling.entry import KINDS, ScheduleEntry, code_row, spec_of, timetable_from, timetable_of
from duey.scheduling.isolation import Aside
from duey.scheduling.timetable import At, Cron, Every, Minutes, Timetable

EDITED = "its timetable was changed before a consumer came to it"
TIMES = 10  # attempts to be first, against schedulers that handle the same slots
WRITTEN = (*KINDS, "days", "first_in")


def sync(
    huey: Any, rows: Sequence[ScheduleRow], now: float, complain: Callable[..., None], aside: Aside, patience_s: float
) -> tuple[bool, bool]:
    """Store the present periodic tasks of the code. Returns whether anything was changed, and whether all timetables
    have answered; the others must be asked again. `complain` is called for one that cannot be stored."""
    known = {row.name: row for row in rows}
    changed, answered = False, True
    for row in rows:
        if row.source == "made":
            changed |= note_zone(huey, row, now)
    for cls in huey._registry._periodic_tasks:
        name = huey._registry.task_to_string(cls)
        changed |= take_over(huey, name, known)
        try:
            table = timetable_of(cls)
            if table is None:
                continue
            if table.is_ours or isinstance(table, Minutes):
                words = in_words(table)
            else:
                answer = aside.ask(f"{name} in words", partial(in_words, table))
                if not answer.wait(patience_s):
                    answered = False
                words = answer.value()
            changed |= put_on_record(huey, name, table, words, known.get(name), now)
        except errors.StorageUnavailable:
            raise
        except BaseException as exc:  # a timetable of an author's own may do anything
            complain(name, f"schedule {name} cannot be put on record", exc)
    return changed, answered


def take_over(huey: Any, name: str, known: dict[str, ScheduleRow]) -> bool:
    """Give the row of a periodic task that was renamed its present name, so that it goes on from its last slot. Returns
    whether anything was changed."""
    changed = False
    for former in huey.renamed.names(name)[1:]:
        row = known.pop(former, None)
        if row is None or row.source == "made":
            continue
        if name not in known and huey.storage.schedule_store.rename(former, name):
            known[name] = row._replace(name=name)
        else:  # a consumer with the code of before has stored it again
            huey.storage.schedule_store.remove(former)
        changed = True
    return changed


def in_words(table: Timetable) -> tuple[str, str]:
    """The expression and the description of a timetable. One of an author's own may do anything."""
    return table.text, table.words


def put_on_record(
    huey: Any, name: str, table: Timetable, in_words: tuple[str, str], row: ScheduleRow | None, now: float
) -> bool:
    """Store one periodic task. Returns whether anything was changed."""
    text, words = in_words
    tz = table.tz or str(huey.settings.schedule.timezone)
    spec: dict[str, Any] = {"text": text, "words": words, "tz": tz, **written(table)}
    if row is None:
        return bool(huey.storage.schedule_store.add(code_row(name, now, json.dumps(spec))))
    before = spec_of(row)
    if {**spec, "moved": before.get("moved")} == {"moved": None, **before}:
        return False
    last = row.last
    if is_same(before, table, text):
        spec |= moved(before, before.get("tz", tz), tz, now)
    else:
        last = float(math.floor(now))
        row = settle(huey, row, before, now)
    return bool(huey.storage.schedule_store.replace(row, json.dumps(spec), last))


def written(table: Timetable) -> dict[str, Any]:
    """A timetable in the form for a spec; empty for one with an author's code."""
    if not table.is_ours:
        return {}
    if isinstance(table, Cron):
        return {"cron": table.expression} | ({} if table.days is None else {"days": sorted(table.days)})
    if isinstance(table, Every):
        return {"every": table.seconds} | ({} if table.first_in is None else {"first_in": table.first_in})
    assert isinstance(table, At)
    return {"at": table.instant}


def is_same(before: Mapping[str, Any], table: Timetable, text: str) -> bool:
    """Whether the stored expression is that of this timetable."""
    if any(kind in before for kind in KINDS):
        after = written(table)
        return all(before.get(key) == after.get(key) for key in WRITTEN)
    texts = {text}  # of a function of a minute, and of rows that an older version has stored
    if isinstance(table, Every):
        first = "" if table.first_in is None else f", first in {table.first_in:g} s"
        texts.add(f"every {table.seconds:g} s{first}")
    return before.get("text", text) in texts


def moved(before: Mapping[str, Any], old: str, new: str, now: float) -> dict[str, Any]:
    """The part of a spec about the last change of its zone."""
    if old != new:
        return {"moved": {"from": old, "to": new, "at": now}}
    return {"moved": before["moved"]} if before.get("moved") else {}


def zone_noted(spec: Mapping[str, Any], tz: str) -> dict[str, Any]:
    """What the spec of a schedule created at run time notes of the service's zone, if its slots follow that zone."""
    counts = spec.get("cron") is not None and spec.get("tz") is None and not spec.get("moved")
    return {"moved": {"to": tz}} if counts else {}


def note_zone(huey: Any, row: ScheduleRow, now: float) -> bool:
    """Note in a schedule created at run time that the service's zone has changed. Returns whether it had."""
    spec, tz = spec_of(row), str(huey.settings.schedule.timezone)
    if spec.get("cron") is None or spec.get("tz") is not None:
        return False
    before = spec["moved"].get("to") if isinstance(spec.get("moved"), dict) else None
    if before == tz:
        return False
    noted = {"to": tz} if before is None else {"from": before, "to": tz, "at": now}
    # If somebody else changes the schedule right now, their change counts.
    return bool(huey.storage.schedule_store.replace(row, json.dumps(spec | {"moved": noted}), row.last))


def settle(huey: Any, row: ScheduleRow, spec: Mapping[str, Any], now: float) -> ScheduleRow:
    """Record what is due by the timetable of this spec, which is about to be replaced. Returns the row afterwards."""
    try:
        item = ScheduleEntry(huey, row._replace(waits=0), None, timetable_from(spec), dict(spec))
    except errors.StorageUnavailable:
        raise
    except Exception:  # it is not a timetable, or one of an author's own: what is due is unknown
        return row
    for _ in range(TIMES):
        try:
            due = due_slots(item, now)
        except errors.DueyError:
            return row
        if due is None:
            return row
        outcome, reason = (SKIPPED, PAUSED) if row.paused else (MISSED, EDITED)
        slots = [OccurrenceRow(row.name, at, outcome, None, reason, now) for at in due.slots]
        if row.name in huey.storage.schedule_store.fire([Tick(item.row, due.last, slots, ())]):
            row = item.row._replace(last=due.last)
        else:  # a scheduler was faster
            found = huey.storage.schedule_store.schedules(row.name)
            if not found:
                return row
            row = found[0]._replace(waits=0)
        item = replace(item, row=row)
    return row
