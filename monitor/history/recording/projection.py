"""The projection: turns the events of one batch into rows to write.

`Projection` starts with the stored state of the jobs in the batch. `apply` takes the events in order. Then `states`,
`entries`, `tallies`, `groups` and `tasks` hold what has to be written. This module does not access the database.

Every event is applied once. Within its job it is identified by (token, kind, at). The time is needed because events
of users' commands have no token of a claim, and tokens repeat after a backup was restored. An event is known if it
has a row in `entries`. Two kinds of events need no such row, which saves space: acceptance, identified by the job's
enqueued_at, and the last plain end, by state, token and finished_at. `_spill` adds the row before an end is
overwritten.
"""

from __future__ import annotations

import logging
from typing import Any

from duey.model.event import (
    BLOCKED,
    COUNTED,
    ENQUEUED,
    JOBLESS,
    RELEASED,
    RESCUED,
    RETRIED,
    RETRYING,
    UNBLOCKED,
    Event,
)  # fmt: skip
from duey.model.job import CANCELED, DONE, ENDED, EXPIRED, FAILED, QUEUED, SCHEDULED
from duey.monitor.history import plain
from duey.monitor.history.recording import entries, job_state
from duey.monitor.history.recording.causes import GroupTally, cause_of
from duey.monitor.history.recording.job_state import JobState
from duey.monitor.history.tallies import Tally

logger = logging.getLogger(__name__)

MAX_MESSAGE_CHARS = 4 * 1024
MINUTE_S = 60
CLOCKS_S = 1.0  # how far the clocks of two machines may be apart

_COUNTED = {
    DONE: "done", FAILED: "failed", RETRYING: "retried", CANCELED: "canceled", EXPIRED: "expired", RESCUED: "rescued",
}  # fmt: skip
# Events after which a job waits or is due again. Unknown kinds are stored as entries and do not change the state.
PLAIN = frozenset({"usage"})  # what the detail of a plain end may hold
_MOVING = frozenset({RETRYING, RELEASED, RESCUED, BLOCKED, UNBLOCKED, RETRIED})


class Projection:
    """One batch. `states`: the known jobs by id. `next_n`: the number of the next new job."""

    def __init__(self, states: dict[str, JobState], next_n: int, max_value_chars: int) -> None:
        self.states, self.next_n, self._max_chars = states, next_n, max_value_chars
        self.entries: list[tuple[Any, ...]] = []
        self.tallies: dict[tuple[int, str], Tally] = {}
        self.groups: dict[str, GroupTally] = {}
        self.tasks: dict[str, tuple[float, float]] = {}
        self.jobless: set[tuple[float, str, int]] = set()  # (at, kind, token) of events without a job that are stored
        self.applied = self.refused = self.begun = self.counted = 0

    def apply(self, event: Event) -> None:
        """Apply one event, if it is not known. An event that cannot be understood is logged and left out."""
        if not event.job_id and event.kind not in JOBLESS:
            self.refused += 1  # the job was deleted from the queue's storage
            return
        try:
            self._apply_jobless(event) if event.kind in JOBLESS else self._apply(event)
        except Exception:
            self.refused += 1
            logger.exception("an event of the job %.100r cannot be recorded and is left out", event.job_id)

    def _apply(self, event: Event) -> None:
        if not is_sound(event):
            raise ValueError(f"expected kind, token, instant and detail, found {event!r:.1000}")
        kind, at = event.kind, event.at
        s = self.states.get(event.job_id) or self.states.get(job_state.id_of(event))
        if s is None:
            job_id = job_state.id_of(event)
            s = self.states[job_id] = job_state.begin(self.next_n, job_id, event)
            self.next_n += 1
            self.begun += 1
        elif job_state.is_known(s, event):
            return
        elif s.state in ENDED:
            self._spill(s)
        self.applied += 1
        if at > s.changed_at:
            s.changed_at = at
        if kind == DONE and event.detail.keys() <= PLAIN:
            s.is_done = True  # only the columns ENDING change
        else:
            s.is_changed = True
        if kind == ENQUEUED:
            self._accepted(s, event)
        elif kind in ENDED:
            self._ended(s, event)
        else:
            self._between(s, event)
        first, last = self.tasks.get(s.task, (at, at))
        if not first < at < last:
            self.tasks[s.task] = (min(first, at), max(last, at))

    def _apply_jobless(self, event: Event) -> None:
        """Add jobs that were combined into one event while the history was behind (duey.storage.compaction), or a
        death of a worker process."""
        if not is_sound(event):
            raise ValueError(f"expected kind, token, instant and detail, found {event!r:.1000}")
        if (event.at, event.kind, event.token) in self.jobless:
            return
        if event.kind == COUNTED:
            self._tally(event.at, plain.text(event.task, 500)).add_counted(event.detail)
            self.counted += plain.whole(event.detail["done"])
        self.jobless.add((event.at, event.kind, event.token))
        self.entries.append(entries.jobless_row(event))
        self.applied += 1

    # kinds of events

    def _accepted(self, s: JobState, event: Event) -> None:
        if s.accepted:  # a new job with the id of an earlier one
            self._add_entry(s, Event(0, ENQUEUED, s.id, 0, s.enqueued_at, s.task, s.queue, 0.0, s.enqueued_at))
        if s.accepted or event.at != s.enqueued_at:
            s.enqueued_at, s.state, s.attempt, s.crashes = event.at, QUEUED, 0, 0
            self._clear_end(s)
            s.fingerprint = s.error_type = s.error_message = None
        detail = event.detail
        s.accepted, s.priority = 1, plain.number(event.priority)
        s.eta, s.expires_at = plain.number_or_none(detail.get("eta")), plain.number_or_none(detail.get("expires_at"))
        s.retries_left = plain.whole(detail.get("retries"))
        s.parent = plain.text_or_none(detail.get("parent"), job_state.MAX_ID_CHARS)
        s.by = plain.text_or_none(detail.get("by"), job_state.MAX_ID_CHARS)
        if s.state == QUEUED:
            s.ready_at = event.at
            if s.eta is not None and s.eta > event.at:
                s.ready_at, s.state = s.eta, SCHEDULED
        self._take_call(s, event)
        if detail.get("context"):
            s.context = plain.encode_dict(detail["context"], self._max_chars)
        self._tally(event.at, s.task).enqueued += 1

    def _take_call(self, s: JobState, event: Event) -> None:
        s.call_is_new = True
        if event.args is not None:
            s.args = plain.encode_list(event.args, self._max_chars)
        if event.kwargs is not None:
            s.kwargs = plain.encode_dict(event.kwargs, self._max_chars) if event.kwargs else "{}"
        if event.detail.get("names"):
            s.names = plain.encode_list(event.detail["names"], self._max_chars)
        s.keep_s = plain.number_or_none(event.detail.get("keep_s"))

    def _ended(self, s: JobState, event: Event) -> None:
        detail = event.detail
        self._measure(s, event)
        s.state, s.finished_at, s.token = event.kind, event.at, event.token
        s.reason = s.result = None
        if event.kind == DONE:
            if event.result is not None:
                s.result = plain.encode(event.result, self._max_chars)
            elif detail.get("result_stored") is False:
                s.result = ""
        if event.kind == FAILED or not detail.keys() <= PLAIN:
            self._take_detail(s, event)
            if event.kind == FAILED or "type" in detail or "logs" in detail or "reason" in detail:
                self._add_entry(s, event, s.wait_ms, s.run_ms)

    def _between(self, s: JobState, event: Event) -> None:
        """Apply an event after which the job has not ended."""
        kind, detail = event.kind, event.detail
        wait_ms = run_ms = None
        if kind == RETRYING:
            self._measure(s, event)
            wait_ms, run_ms = s.wait_ms, s.run_ms
        if kind in _MOVING:
            self._clear_end(s)
            s.reason = None
        if kind == RETRYING:
            s.state, s.eta = RETRYING, plain.number_or_none(detail.get("eta"))
            s.reason = plain.text_or_none(detail.get("reason"))
            s.ready_at = event.at if s.eta is None else s.eta
        elif kind in (RELEASED, RESCUED, UNBLOCKED, RETRIED):
            s.state, s.ready_at = QUEUED, event.at
            if kind == RETRIED:
                s.eta, s.crashes = None, 0
                if event.args is not None or event.kwargs is not None:
                    self._take_call(s, event)
        elif kind == BLOCKED:
            s.state, s.reason = BLOCKED, plain.text_or_none(detail.get("reason"))
        if kind in _COUNTED and kind != RETRYING:
            tally = self._tally(event.at, s.task)
            setattr(tally, _COUNTED[kind], getattr(tally, _COUNTED[kind]) + 1)
        self._take_detail(s, event)
        self._add_entry(s, event, wait_ms, run_ms)

    # parts of events

    def _measure(self, s: JobState, event: Event) -> None:
        """Count the end of an attempt or of a job that did not start, and measure how long it waited and ran."""
        s.attempt, s.worker = plain.whole(event.attempt), plain.whole_or_none(event.worker)
        tally = self._tally(event.at, s.task)
        outcome = _COUNTED[event.kind]
        setattr(tally, outcome, getattr(tally, outcome) + 1)
        s.started_at = started = plain.number_or_none(event.started_at)
        s.wait_ms = s.run_ms = None
        s.cpu_ms, s.peak_bytes = entries.usage_of(event)
        if started is not None:
            ready_at = s.ready_at
            if s.attempt <= 1 and ready_at - started > CLOCKS_S:
                ready_at = s.enqueued_at  # `ready_at` is that of a retry: its `enqueued` event came late
            # A clock may have been set back, so negative durations become 0.
            s.run_ms = run_ms = round(max(0.0, event.at - started) * 1000, 3)
            s.wait_ms = wait_ms = round(max(0.0, started - ready_at) * 1000, 3)
            tally.add_run(run_ms)
            if started // MINUTE_S != event.at // MINUTE_S:
                tally = self._tally(started, s.task)
            tally.add_wait(wait_ms)

    def _clear_end(self, s: JobState) -> None:
        s.started_at = s.finished_at = s.wait_ms = s.run_ms = s.token = s.worker = s.result = None
        s.cpu_ms = s.peak_bytes = None

    def _take_detail(self, s: JobState, event: Event) -> None:
        """Apply what the detail says about the job, and add a failure to its error group."""
        detail = event.detail
        if "progress" in detail:
            s.progress = plain.encode(detail["progress"], self._max_chars)
        crashes = detail.get("crashes", detail.get("deliveries"))  # the latter in an event of an older version
        if crashes is not None:
            s.crashes = plain.whole(crashes)
        if "retries" in detail:
            s.retries_left = plain.whole(detail["retries"])
        if not entries.has_error(event):
            return
        s.error_type = type_name = plain.text(detail.get("type") or "Error", 200)
        s.error_message = message = plain.text(detail.get("message") or "", MAX_MESSAGE_CHARS)
        cause = cause_of(type_name, plain.text(detail.get("traceback") or "", entries.MAX_TRACEBACK_CHARS), s.task)
        s.fingerprint = cause.fingerprint
        group = self.groups.get(cause.fingerprint)
        if group is None:
            group = self.groups[cause.fingerprint] = GroupTally(
                type_name, message, s.task, cause.frames, event.at, event.at, s.id
            )
        group.add(event.at, message, s.id)

    def _spill(self, s: JobState) -> None:
        """Add the entry of an end that is stored only in the job's row, before it is overwritten."""
        assert s.finished_at is not None and s.token is not None
        if (s.finished_at, s.state, s.token) not in s.known:
            end = Event(
                0, s.state, s.id, s.token, s.finished_at, s.task, s.queue, 0.0, s.enqueued_at, s.attempt,
                s.started_at, s.worker, detail={"usage": [s.cpu_ms, s.peak_bytes]},
            )  # fmt: skip
            self._add_entry(s, end, s.wait_ms, s.run_ms)

    def _add_entry(self, s: JobState, event: Event, wait_ms: float | None = None, run_ms: float | None = None) -> None:
        self.entries.append(entries.row(s, event, wait_ms, run_ms))
        s.known.add((event.at, event.kind, event.token))
        s.entries += 1
        s.is_changed = True

    def _tally(self, at: float, task: str) -> Tally:
        key = (int(at // MINUTE_S) * MINUTE_S, task)
        tally = self.tallies.get(key)
        if tally is None:
            tally = self.tallies[key] = Tally()
        return tally


def is_sound(event: Event) -> bool:
    """Return whether an event can be identified and ordered. Other bad values are corrected when they are used."""
    if type(event.at) is float and type(event.token) is int and type(event.detail) is dict:  # the usual case
        return isinstance(event.kind, str) and abs(event.at) < 1e300 and plain.is_whole(event.token)
    return (
        isinstance(event.kind, str)
        and plain.is_whole(event.token)
        and plain.is_number(event.at)
        and isinstance(event.detail, dict)
    )
