"""Creates what is stored at the end of an attempt, and the events for the history.

Stored are the result of a failure (Huey's Error with type, message and traceback), the detail of the event, and a
chord's part for a job that ends without its body. Events carry arguments and results in their display form.
"""

from __future__ import annotations

import json
import os
import traceback
from types import TracebackType
from typing import Any

import huey
from huey.exceptions import TaskException, TaskTimeout
from huey.utils import SKIPPED, Error

from duey import clock, logs, os_process
from duey.errors import StepNotReached, TaskExit
from duey.execution.display import TOO_LARGE, UNREADABLE, Display
from duey.model.event import COUNTED, Event
from duey.model.job import BLOCKED, DONE, ENDED, FAILED, HANDLED, RETRYING, Claim, Settlement
from duey.model.sequel import NOTHING, Sequel, read, sequel_of
from duey.payload.clip import clip
from duey.payload.plain import LISTED_BYTES, Bounds
from duey.payload.redact import Mask
from duey.payload.serializer import of_job, of_part, of_result
from duey.storage.contract import EventRow, StoredJob
from duey.tasks.on_failed import add_handler
from duey.tasks.retry import allows

TRACEBACK_MAX = 64 * 1024
MESSAGE_MAX = 4 * 1024
MASKED_MAX = 1024 * 1024  # of a text that is masked: masking comes before truncation, so that no part of a secret stays
READ_BYTES = 256 * 1024  # larger calls and results are not recorded in the history
GROWTH = 16  # the display form as JSON is at most so many times as large as the stored value

HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
HUEYS = os.path.dirname(huey.__file__) + os.sep


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of Huey and Duey above those of the task."""
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith((HERE, HUEYS)):
        first = first.tb_next
    return first or trace


def listed(stored: StoredJob) -> StoredJob:
    """A job for a list: without large arguments and results. (The length of an error was limited when it was
    stored.)"""
    payload = b"" if len(stored.payload) > LISTED_BYTES else stored.payload
    is_large = stored.state == DONE and len(stored.result or b"") > LISTED_BYTES
    return stored._replace(payload=payload, result=b"" if is_large else stored.result)


class Composer(Display):
    """For one huey."""

    def __init__(self, huey: Any) -> None:
        super().__init__(huey)
        self._untold: dict[
            str, Settlement
        ] = {}  # failures to log; by job, so that one that is created again is logged once

    # errors; exceptions whose methods raise are handled

    @staticmethod
    def text_of(exc: BaseException) -> str:
        """str(exc), or a replacement if that raises."""
        try:
            return os_process.call(str, exc)[:MASKED_MAX]
        except BaseException:
            return "<its message could not be made>"

    def short(self, exc: BaseException, task: Any = None) -> str:
        """Type and message, masked."""
        return f"{type(exc).__name__}: {self.mask_of(task).text(self.text_of(exc))}"

    def trace_of(self, exc: BaseException, task: Any = None) -> str:
        """The traceback, masked."""
        return str(self.error_record("", exc, 0, self.mask_of(task))["traceback"]).rstrip()

    def error_record(self, job_id: str, exc: BaseException, retries: int, mask: Mask) -> dict[str, Any]:
        """Huey's error metadata, with type and message as separate fields, masked."""
        message = self.text_of(exc)
        exc = exc.__cause__ if isinstance(exc, TaskExit) and exc.__cause__ is not None else exc
        try:
            frames = own_frames(exc.__traceback__)
            trace = "".join(os_process.call(traceback.format_exception, type(exc), exc, frames))
        except BaseException:
            trace = f"{type(exc).__name__}: {message}\n"
        half = MASKED_MAX // 2
        trace = mask.text(trace if len(trace) <= MASKED_MAX else f"{trace[:half]}\n...\n{trace[-half:]}")
        if len(trace) > TRACEBACK_MAX:
            half = TRACEBACK_MAX // 2
            trace = f"{trace[:half]}\n... {len(trace) - 2 * half} characters left out ...\n{trace[-half:]}"
        try:
            stored = exc.metadata.get("error") if isinstance(exc, TaskException) else None
            said = stored or os_process.call(repr, exc)
        except BaseException:
            said = f"{type(exc).__name__}({message!r})"
        return {
            "error": mask.text(said[:MASKED_MAX])[:MESSAGE_MAX], "retries": retries, "traceback": trace,
            "task_id": job_id, "type": type(exc).__name__, "message": mask.text(message)[:MESSAGE_MAX],
        }  # fmt: skip

    def write_error(self, settlement: Settlement, exc: BaseException) -> None:
        """Store in the settlement why the attempt failed."""
        record = self.error_record(settlement.claim.id, exc, settlement.retries, self.mask(settlement.claim))
        settlement.result = self._huey.serializer.serialize(Error(record), use=of_result(settlement.claim.id))
        settlement.detail = json.dumps({k: record[k] for k in ("type", "message", "traceback")})

    @staticmethod
    def seal(settlement: Settlement) -> None:
        """Complete the detail of the event: the log lines of the body, and what follows a failed attempt."""
        more: dict[str, Any] = {"logs": settlement.logs} if settlement.logs else {}
        if settlement.outcome == RETRYING:
            if settlement.reason is not None:  # it waits for a lock and has not failed
                settlement.detail, more["reason"] = None, settlement.reason
            more |= {"eta": settlement.eta, "retries": settlement.retries}
        elif settlement.discarded:
            said = json.loads(settlement.detail or "{}")
            more |= {"discarded": True, "reason": f"discarded: {settlement.why or said.get('message', '')}"}
        elif settlement.why:
            more["reason"] = f"not retried: {settlement.why}"
        if more:
            settlement.detail = json.dumps({**json.loads(settlement.detail or "{}"), **more})

    # ends without a body

    def end(self, claim: Claim, outcome: str, error: Exception | None = None, began: float | None = None) -> Settlement:
        """The settlement of a job that ends, or is set aside, without a body or during one. `began`: when it began."""
        settlement = Settlement(claim)
        settlement.outcome, settlement.finished_at = outcome, clock.now()
        settlement.started_at = None if began is None else min(began, settlement.finished_at)
        if error is not None:
            self.write_error(settlement, error)
        if outcome in ENDED:
            self.tell(settlement)
        if outcome == FAILED:
            self.exhausted(settlement)
            self._untold[claim.id] = settlement
        return settlement

    def log_failures(self) -> None:
        """Log the failures that were created here. Called after they were stored, never within a transaction."""
        while self._untold:
            logs.log_failure(self._untold.popitem()[1], self.redactor)

    def exhausted(self, settlement: Settlement) -> None:
        """The job has failed for good: add the job that runs its task's on_failed handler, if there is one."""
        if settlement.claim.flags & HANDLED:
            add_handler(settlement, self._huey.serializer.serialize)

    def timed_out(self, claim: Claim, began: float | None) -> Settlement:
        """The settlement of a body that was killed at its time-out: a failed attempt like any other."""
        began = clock.now() - (claim.timeout_s or 0) if began is None else began
        error = TaskTimeout(f"killed: it ran past its timeout of {claim.timeout_s:g} s")
        task = self._huey._registry._registry.get(claim.task)
        judged = self.end(claim, BLOCKED, error, began)
        if allows(judged, getattr(task, "policy", None), error, apart=True) and claim.retries > 0:
            settlement = judged
            settlement.outcome, settlement.retries = RETRYING, claim.retries - 1
            if settlement.eta is None:
                settlement.eta = clock.now() + claim.retry_delay_s
                settlement.retry_delay_s *= getattr(task, "default_retry_backoff", 0) or 1
        else:
            settlement = self.end(claim, FAILED, error, began)
            settlement.why, settlement.discarded = judged.why, judged.discarded
        self._untold[claim.id] = settlement
        self.seal(settlement)
        return settlement

    def tell(self, settlement: Settlement) -> None:
        """For a job that does not end as done: add errors for the later steps of its pipeline, and its part of a chord,
        unless they are there already."""
        claim, failed = settlement.claim, settlement.outcome == FAILED
        if claim.sequel == NOTHING:
            return
        serializer = self._huey.serializer
        sequel = self._sequel_of(claim)
        told = {key for key, _ in settlement.others or ()}
        untold = [step for step in sequel.steps if step not in told]
        if untold:
            why, use = settlement.result if failed else None, of_result(claim.id)
            if why is None:
                error = StepNotReached(claim.id, settlement.outcome)
                why = serializer.serialize(Error(self.error_record(claim.id, error, 0, self.everywhere)), use=use)
            told_now = [(step, serializer.for_use(why, use, of_result(step))) for step in untold]
            settlement.others = [*(settlement.others or ()), *told_now]
        if settlement.chord_part is None and sequel.chord is not None and sequel.callback is not None:
            use = of_part(*sequel.chord, sequel.callback.id)
            if failed and settlement.result is not None:
                value = serializer.for_use(settlement.result, of_result(claim.id), use)
            else:
                value = serializer.serialize(SKIPPED, use=use)
            settlement.chord_part = sequel.part(value, clock.now())

    def _sequel_of(self, claim: Claim) -> Sequel:
        if claim.sequel is not None:
            return read(claim.sequel)
        try:  # it was accepted by schema version 2: only its payload says what follows
            task = self._huey.deserialize_task(claim.payload, of_job(claim))
            return sequel_of(self._huey, task, claim.context, claim.by)
        except Exception:
            return Sequel([])  # it cannot be read, or this process does not know its task

    # events

    @property
    def _recorded(self) -> Bounds:
        """About what fits into `max_value_bytes`. The exact truncation follows the redaction."""
        return Bounds(self.max_value_bytes // 8, 2 * self.max_value_bytes)

    def event(self, row: EventRow) -> Event:
        """A stored event for the history: in its display form, truncated to `max_value_kb`."""
        args: list[Any] | None = None
        kwargs: dict[str, Any] | None = None
        detail = json.loads(row.detail) if row.detail else {}
        if row.kind == COUNTED:
            return Event(row.seq, COUNTED, "", row.token, row.at, detail["task"], "", 0.0, row.at, detail=detail)
        if row.payload is not None and row.kind != DONE:
            payload = row.payload if len(row.payload) <= READ_BYTES else b""
            args, kwargs, mask = self.shown_call(row._replace(payload=payload), self._recorded)
            if len(row.payload) * GROWTH > self.max_value_bytes:
                args, kwargs = clip(args, self.max_value_bytes)[0], clip(kwargs, self.max_value_bytes)[0]
            signature = self.signature(row.task)
            detail |= {
                "eta": row.eta, "expires_at": row.expires_at, "retries": row.retries, "parent": row.parent,
                "by": row.by, "context": self.shown_context(row.context, mask),
                "names": signature.names_of(len(args or ())) if signature else [],
            }  # fmt: skip
            keep_s = getattr(self._huey._registry._registry.get(row.task), "keep_for", None)
            if keep_s is not None:
                detail["keep_s"] = keep_s
        result = detail.pop("shown", None)
        if row.result is not None and result is None and len(row.result) <= READ_BYTES:
            mask = self._result_mask(row)
            result = self.shown_result(row.task, row.result, mask, self._recorded, of_result(row.job_id))
            if len(row.result) * GROWTH > self.max_value_bytes:
                result = clip(result, self.max_value_bytes)[0]
        return Event(
            row.seq, row.kind, row.job_id, row.token, row.at, row.task, row.queue, row.priority, row.enqueued_at,
            row.attempt, row.started_at, row.worker, args, kwargs, result, detail,
        )  # fmt: skip

    def _result_mask(self, row: EventRow) -> Mask:
        """The mask for the result of a job that is done. If its call cannot be looked through, no text is shown."""
        if row.payload and self.hides_nothing(row):
            return self.everywhere
        args, _, mask = self.shown_call(row, self._recorded)
        return Mask((), self.redactor.text, hides_all=True) if args in ([TOO_LARGE], [UNREADABLE]) else mask
