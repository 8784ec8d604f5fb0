"""Creates the outcome of a job that does not end as done: of an attempt that has failed, and of jobs that end without
a body, because they are canceled or have expired, or because their worker has died.

An outcome holds all that is written then: the error as the job's result (Huey's Error with type, message and
traceback), the detail of the event, errors for the later steps of the pipeline, the part of the chord, and the job of
the task's on_failed handler.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from huey.exceptions import TaskTimeout
from huey.utils import SKIPPED, Error

from duey import clock
from duey.errors import StepNotReached
from duey.execution.body.usage import MemoryExceeded, Usage
from duey.execution.display import Display
from duey.execution.error_text import error_record
from duey.model.job import ENDED, FAILED, HANDLED, RETRYING, ChordPart, Claim, JobRecord
from duey.model.log_lines import Line
from duey.model.outcome import Outcome
from duey.model.sequel import NOTHING, Sequel, read, sequel_of
from duey.payload.serializer import of_job, of_part, of_result
from duey.storage.values import DeadWorker
from duey.tasks.on_failed import handler_job
from duey.tasks.retry import Decision, decide

Record = Mapping[str, Any]  # duey.execution.error_text.error_record


class Ran(NamedTuple):
    """What is known of a body: when it began (None: it has not), the lines that it logged, and what it used."""

    started_at: float | None = None
    lines: Sequence[Line] | None = None
    usage: Usage | None = None

    @property
    def detail(self) -> dict[str, Any]:
        """Its part of an event's detail."""
        return {**({"logs": self.lines} if self.lines else {}), **({"usage": self.usage} if self.usage else {})}


NOTHING_RAN = Ran()


class Outcomes:
    """For one huey."""

    def __init__(self, huey: Any, display: Display) -> None:
        self._huey, self._display = huey, display

    def record(self, claim: Claim, error: BaseException, retries: int, stack: str = "") -> Record:
        """Huey's error metadata for this job, masked. `stack`: see error_record."""
        return error_record(claim.job.id, error, retries, self._display.mask(claim), stack)

    def serialized(self, claim: Claim, record: Record) -> bytes:
        """An error as the result of this job."""
        result: bytes = self._huey.serializer.serialize(Error(record), use=of_result(claim.job.id))
        return result

    def retry(
        self, claim: Claim, decision: Decision, record: Record | None, left: int, retry_delay_s: float, backoff: float,
        ran: Ran, reason: str | None = None, follow_ups: tuple[JobRecord, ...] = (),
    ) -> Outcome:  # fmt: skip
        """Another attempt follows. `left`, `retry_delay_s`, `backoff`: before this one. `reason`: what it waits for, if
        it has not failed."""
        now = clock.now()
        at, delay_s = decision.at, retry_delay_s
        if at is None:
            at, delay_s = now + retry_delay_s, retry_delay_s * (backoff or 1)
        left -= decision.spends
        detail = {**ran.detail, **(_error_detail(record) if reason is None else {"reason": reason})}
        return Outcome(
            claim, RETRYING, ran.started_at, now, detail=json.dumps({**detail, "eta": at, "retries": left}),
            follow_ups=follow_ups, reason=reason, eta=at, retries=left, retry_delay_s=delay_s,
            failures=decision.failures, failed_at=decision.failed_at,
        )  # fmt: skip

    def end(
        self, claim: Claim, state: str, error: BaseException | None = None, *, record: Record | None = None,
        ran: Ran = NOTHING_RAN, decision: Decision | None = None,
        follow_ups: tuple[JobRecord, ...] = (), reason: str | None = None, keep_s: float | None = None,
    ) -> Outcome:  # fmt: skip
        """The job ends in this state, which is not DONE, or is set aside. `record`: the error, if there is one yet."""
        now = clock.now()
        if error is not None:
            record = self.record(claim, error, claim.job.retries)
        result = None if record is None else self.serialized(claim, record)
        detail = {**_error_detail(record), **ran.detail}
        if decision is not None and decision.discarded:
            detail |= {"discarded": True, "reason": f"discarded: {decision.why or detail.get('message', '')}"}
        elif decision is not None and decision.why:
            detail["reason"] = f"not retried: {decision.why}"
        others, part = self._unreached(claim.job, state, result) if state in ENDED else ((), None)
        outcome = Outcome(
            claim, state, None if ran.started_at is None else min(ran.started_at, now), now, result,
            json.dumps(detail) if detail else None, follow_ups, others, part, reason, retries=claim.job.retries,
            keep_s=keep_s, discarded=decision is not None and decision.discarded,
        )  # fmt: skip
        if state == FAILED and claim.job.flags & HANDLED:
            handler = handler_job(outcome, self._huey.serializer.serialize)
            outcome = outcome._replace(follow_ups=(*follow_ups, handler))
        return outcome

    def killed(self, claim: Claim, dead: DeadWorker, lines: Sequence[Line]) -> Outcome:
        """A body was killed at its time-out, or for its memory: a failed attempt like any other. `lines`: that the body
        logged, as far as they were written while it ran."""
        job = claim.job
        mark = dead.marks.get(claim.token)
        ran = Ran(clock.now() - (job.timeout_s or 0) if mark is None else mark.started_at, lines)
        error: Exception = TaskTimeout(f"killed: it ran past its timeout of {job.timeout_s or 0:g} s")
        if dead.too_much:
            error = MemoryExceeded(dead.too_much)
        task = self._huey._registry._registry.get(job.task)
        policy, backoff = getattr(task, "policy", None), getattr(task, "default_retry_backoff", 0)
        if policy is not None and not dead.asks:
            policy = policy.without_code
        decision = decide(job, error, policy, job.retries, job.retry_delay_s)
        record = self.record(claim, error, job.retries, dead.stack)
        if not decision.again:
            return self.end(claim, FAILED, record=record, ran=ran, decision=decision)
        return self.retry(claim, decision, record, job.retries, job.retry_delay_s, backoff, ran)

    def _unreached(
        self, job: JobRecord, state: str, result: bytes | None
    ) -> tuple[tuple[tuple[str, bytes], ...], ChordPart | None]:
        """For a job that does not end as done: errors as the results of the later steps of its pipeline, and its part
        of a chord."""
        if job.sequel == NOTHING:
            return (), None
        serializer, use = self._huey.serializer, of_result(job.id)
        sequel = self._sequel_of(job)
        others: list[tuple[str, bytes]] = []
        if sequel.steps:
            why = result
            if why is None:
                error = StepNotReached(job.id, state)
                why = serializer.serialize(Error(error_record(job.id, error, 0, self._display.everywhere)), use=use)
            others = [(step, serializer.for_use(why, use, of_result(step))) for step in sequel.steps]
        if sequel.chord is None or sequel.callback is None or result is None:
            return tuple(others), self._part(sequel, job, SKIPPED)
        value = serializer.for_use(result, use, of_part(*sequel.chord, sequel.callback.id))
        return tuple(others), sequel.part(value, job.id, clock.now())

    def chord_part(self, claim: Claim, value: Any) -> ChordPart | None:
        """The part of a member of a chord that is done."""
        return self._part(self._sequel_of(claim.job), claim.job, value)

    def _part(self, sequel: Sequel, job: JobRecord, value: Any) -> ChordPart | None:
        if sequel.chord is None or sequel.callback is None:
            return None
        use = of_part(*sequel.chord, sequel.callback.id)
        return sequel.part(self._huey.serializer.serialize(value, use=use), job.id, clock.now())

    def _sequel_of(self, job: JobRecord) -> Sequel:
        if job.sequel is not None:
            return read(job.sequel)
        try:  # it was accepted by schema version 2: only its payload says what follows
            task = self._huey.deserialize_task(job.payload, of_job(job))
            return sequel_of(self._huey, task, job.context, job.by)
        except Exception:
            return Sequel([])  # it cannot be read, or this process does not know its task


def _error_detail(record: Record | None) -> dict[str, Any]:
    """The part of an error that the event holds."""
    return {} if record is None else {name: record[name] for name in ("type", "message", "traceback")}
