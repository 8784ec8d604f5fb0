"""The display form of schedules.

A schedule that cannot be computed, called or shown does not affect others. It is shown with its `problem` and with
everything else that is known. An author's code (a function of a minute, a registered type, a `unique_key`) runs in a
thread of its own, and a page waits for it only for a short time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from duey import clock, errors
from duey.execution.huey import DurableHuey
from duey.model.schedule import DEFERRED, KEPT, OccurrenceRow, ScheduleRow
from duey.payload.clip import clip
from duey.payload.plain import JOB, Bounds
from duey.scheduling import entry
from duey.scheduling.due import GRACE_S
from duey.scheduling.entry import KINDS, OPTIONS
from duey.scheduling.isolation import PATIENCE_S, Answer, Aside, reason_of
from duey.scheduling.timetable import LAST_INSTANT, Minutes, Timetable
from duey.scheduling.timezones import zone
from duey.tasks.registry import KnownTasks

SHOWN_SLOTS = 60
SHOWN_NEXT = 5


@dataclass(frozen=True)
class Slot:
    """A due time and its outcome; `reason` says why.

    Outcomes: `on time` and `late` (its job was enqueued and is done), `running` (its job has not ended), `failed`,
    `canceled` and `expired` (its job ended so), `waiting` (for the previous run), `skipped`, `missed`."""

    at: float
    outcome: str
    job_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Schedule:
    """The display form of a schedule."""

    name: str
    task: str  # short name; the full name if it is not known here
    source: str  # 'code' or 'made'
    expression: str
    words: str
    tz: str
    catch_up: str
    overlap: str
    paused: bool
    known: bool  # whether this process knows its task
    last_at: float | None
    next_at: tuple[float, ...]  # up to five; an overdue one only if no other follows
    slots: tuple[Slot, ...]  # the newest first
    args: list[Any]
    kwargs: dict[str, Any]
    qualname: str = ""
    window_s: float = 0.0
    problem: str | None = None  # broken: why it cannot be computed, called or shown here, in a sentence
    given: Mapping[str, Any] = field(default_factory=dict)  # what one was made with: one of KINDS, and of OPTIONS
    is_over: bool = False  # it never falls due again
    removable: bool = False  # it was made, or the code has it no more
    version: str = ""  # changes with what it runs, and when

    @property
    def summary(self) -> str:
        """What it runs and when, as the audit log keeps it. Hidden arguments are hidden here, too."""
        given = [*map(_short, self.args), *(f"{name}={_short(value)}" for name, value in self.kwargs.items())]
        options = [f"{key} {value}" for key, value in self.given.items() if key in ("catch_up", "overlap", "window_s")]
        return ", ".join([f"{self.task}({', '.join(given[:20])}): {self.expression} {self.tz}", *options])

    def change_to(self, changed: Schedule) -> str:
        """What differs after a change, as the audit log keeps it."""
        before, after = self.summary, changed.summary
        return f"{before} -> {after}" if before != after else f"{after}, as before as far as it is shown"


class ScheduleDraft:
    """The display form while it is being built: from the row, then from the timetable and the task."""

    def __init__(self, item: entry.ScheduleEntry) -> None:
        self.item, self.problem = item, item.problem
        self.qualname = entry.task_name(item.row, item.spec)
        self.text, self.words = str(item.spec.get("text", "")), str(item.spec.get("words", ""))
        self.call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}
        self.next_at: tuple[float, ...] = ()
        self.is_over = False

    def describe(self, table: Timetable) -> None:
        self.text = table.text
        self.words = table.words

    def look_ahead(self, now: float) -> None:
        self.next_at = self.item.upcoming(now, SHOWN_NEXT)
        # The answer of a function for a later minute is unknown.
        self.is_over = not self.next_at and not isinstance(self.item.timetable, Minutes)


class Showing:
    """Builds the display form of schedules from their rows."""

    def __init__(self, huey: DurableHuey, known: KnownTasks) -> None:
        self._huey, self._known, self._aside = huey, known, Aside()

    def shown(self, rows: Sequence[ScheduleRow], bounds: Bounds = JOB) -> list[Schedule]:
        """Schedules as they are shown, their arguments within bounds; those in which code of an author runs are asked
        side by side."""
        now = clock.now()
        looks: list[tuple[ScheduleDraft, Answer | None]] = []
        for row in rows:
            draft = ScheduleDraft(entry.of_row(self._huey, row))
            look = partial(self._look, draft, now, bounds)
            looks.append((draft, self._aside.ask(row.name, look) if draft.item.runs_code else None))
            if not draft.item.runs_code:
                look()
        slots = (partial(self._slots, row.name, SHOWN_SLOTS, now) for row in rows)
        with self._huey.storage.read_ahead(*slots):
            return [self._schedule(self._answered(draft, answer), now) for draft, answer in looks]

    def _answered(self, draft: ScheduleDraft, answer: Answer | None) -> ScheduleDraft:
        """The display form after the author's code has answered, or after the time for it is over."""
        if answer is not None:
            answer.wait(PATIENCE_S)
            try:
                draft = answer.value()  # it may be the answer to the request of another page
            except Exception as exc:
                draft.problem = draft.problem or reason_of(exc)
        return draft

    def _look(self, draft: ScheduleDraft, now: float, bounds: Bounds) -> ScheduleDraft:
        """Fill in what code of an author may be asked for; what fails leaves the rest as it is."""
        item = draft.item
        steps: list[tuple[str, Callable[[], Any]]] = [
            ("its arguments cannot be shown", partial(self._arguments, draft, bounds))
        ]
        if item.timetable is not None:
            steps.append(("its timetable cannot be shown", partial(draft.describe, item.timetable)))
        if item.runnable:
            steps.append(("its job cannot be made", lambda: item.check(*(draft.call or item.arguments()))))
            steps.append(("its next time cannot be computed", partial(draft.look_ahead, now)))
        for sentence, step in steps:
            try:
                step()
            except Exception as exc:
                draft.problem = draft.problem or f"{sentence}: {reason_of(exc)}"
        return draft

    def _arguments(self, draft: ScheduleDraft, bounds: Bounds) -> None:
        draft.call = args, kwargs = draft.item.arguments()
        draft.args, draft.kwargs, _ = self._huey.display.redacted(
            draft.qualname, args, kwargs, None, bounds, draft.item.stored
        )

    def _schedule(self, draft: ScheduleDraft, now: float) -> Schedule:
        item, row = draft.item, draft.item.row
        qualname = draft.qualname
        slots: tuple[Slot, ...] = ()
        last_at = None
        try:
            slots = self._slots(row.name, SHOWN_SLOTS, now)
            last_at = last_run(slots)
            if last_at is None and len(slots) == SHOWN_SLOTS:  # all of them were skipped or missed
                last_at = last_run(self._slots(row.name, 2 * KEPT, now))
        except errors.StorageUnavailable:
            raise
        except Exception as exc:
            draft.problem = draft.problem or f"its slots cannot be read: {reason_of(exc)}"
        return Schedule(
            name=row.name, task=self._known.short(qualname), source=row.source, expression=draft.text,
            words=draft.words, tz=zone_or(item.spec.get("tz") if item.timetable is None else item.tz, item.default_tz),
            catch_up=item.catch_up, overlap=item.overlap, paused=row.paused, known=item.task is not None,
            last_at=last_at, next_at=draft.next_at, slots=slots, args=draft.args, kwargs=draft.kwargs,
            qualname=self._known.present(qualname), window_s=item.window_s, problem=draft.problem,
            given={key: item.spec[key] for key in (*KINDS, *OPTIONS) if item.spec.get(key) is not None}
            if row.source == "made" else {},
            is_over=draft.is_over, removable=row.source == "made" or item.timetable is None,
            version=entry.version_of(row),
        )  # fmt: skip

    def _slots(self, name: str, limit: int, now: float) -> tuple[Slot, ...]:
        # Slots in the future come from a clock that was ahead. They would hide the present ones.
        found = self._huey.storage.schedule_store.slots_of(name, limit, now + GRACE_S)
        return tuple(shown_slot(*each) for each in found if 0 <= each[0].at <= LAST_INSTANT)


def _short(value: Any) -> str:
    return json.dumps(clip(value, 60)[0], ensure_ascii=False)


def last_run(slots: Sequence[Slot]) -> float | None:
    """When the newest slot that ran was due, or None."""
    return next((each.at for each in slots if each.job_id), None)


def zone_or(name: Any, default: str) -> str:
    """The name of a time zone, or the default if there is no such zone."""
    try:
        return zone(name).key if name else default
    except errors.Misconfigured:
        return default


def shown_slot(row: OccurrenceRow, state: str | None) -> Slot:
    """The display form of a slot: its outcome combined with the state of its job."""
    outcome = row.outcome
    if outcome == DEFERRED:
        if state in ("failed", "canceled", "expired"):
            outcome = state
        elif state == "unfinished":
            outcome = "running"
        else:
            outcome = "late" if row.reason and row.reason.startswith("late") else "on time"
    return Slot(row.at, outcome, row.job_id, row.reason)
