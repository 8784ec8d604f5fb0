"""Rows of `entries`: what happened to a job besides acceptance and a plain end."""

from __future__ import annotations

from typing import Any

from duey.model.event import DIED, RELEASED, RESCUED, RETRYING, Event
from duey.model.job import FAILED
from duey.model.log_lines import HALF_CHARS, HALF_LINES, shortened
from duey.monitor.history import plain
from duey.monitor.history.recording.job_state import JobState

MAX_TRACEBACK_CHARS = 64 * 1024
MAX_LOGS_CHARS = 1024 * 1024  # of JSON, in which a character may take 12; the engine keeps fewer (duey.model.log_lines)

COLUMNS = (
    "job", "token", "kind", "at", "number", "worker", "started_at", "wait_ms", "run_ms", "reason", "fingerprint",
    "error_type", "error_message", "traceback", "logs", "cpu_ms", "peak_bytes",
)  # fmt: skip


def row(s: JobState, event: Event, wait_ms: float | None, run_ms: float | None) -> tuple[Any, ...]:
    """Return the row of an event that was applied to `s`, with the columns COLUMNS."""
    detail = event.detail
    failed = has_error(event)
    logs = detail.get("logs")
    return (
        s.n, event.token, event.kind, event.at, number_of(event), plain.whole_or_none(event.worker),
        plain.number_or_none(event.started_at), wait_ms, run_ms, reason_of(event),
        s.fingerprint if failed else None, s.error_type if failed else None, s.error_message if failed else None,
        plain.text(detail.get("traceback") or "", MAX_TRACEBACK_CHARS) if failed else None,
        _logs(logs) if isinstance(logs, list) and logs else None, *usage_of(event),
    )  # fmt: skip


def jobless_row(event: Event) -> tuple[Any, ...]:
    """Return the row of an event that belongs to no job."""
    worker, reason = plain.whole_or_none(event.worker), reason_of(event)
    return (0, event.token, event.kind, event.at, 0, worker, None, None, None, reason, *[None] * (len(COLUMNS) - 10))


def _logs(logs: list[Any]) -> str:
    sound = [line for line in logs if isinstance(line, list) and len(line) == 3]
    return plain.encode_list(shortened(sound, HALF_LINES + 1, HALF_CHARS), MAX_LOGS_CHARS)


def usage_of(event: Event) -> tuple[float | None, int | None]:
    """Return the processor time in ms and the peak of memory in bytes of the attempt that an event ends."""
    used = event.detail.get("usage")
    cpu_ms, peak = (*(used if isinstance(used, list) else ()), None, None)[:2]
    return plain.number_or_none(cpu_ms), plain.whole_or_none(peak)


def has_error(event: Event) -> bool:
    """Return whether the event is a failed attempt. A retry with a reason only waited, for a lock for example."""
    return event.kind == FAILED or (event.kind == RETRYING and "reason" not in event.detail)


def number_of(event: Event) -> int:
    """Return the number of the attempt that an event ends, or 0 if no attempt was running."""
    # The engine does not count interrupted attempts. For a dead worker the start was not recorded either.
    interrupted = event.kind in (RESCUED, RELEASED) or (event.kind == FAILED and event.started_at is None)
    if interrupted:
        return plain.whole(event.attempt) + 1 if event.token > 0 else 0
    return plain.whole(event.attempt) if event.started_at is not None else 0


def reason_of(event: Event) -> str | None:
    """Return a short explanation of the event, or None if it has none."""
    detail = event.detail
    if event.kind == RESCUED and "host" in detail:
        return plain.text(f"its worker died on {detail['host']} as pid {detail.get('pid')}", 500)
    if event.kind == DIED and "host" in detail:
        how = f": {detail['how']}" if detail.get("how") else ""
        return plain.text(f"worker {event.worker} died on {detail['host']} as pid {detail.get('pid')}{how}", 500)
    return plain.text_or_none(detail.get("reason"), 500)
