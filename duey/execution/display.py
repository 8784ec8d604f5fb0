"""The display form of a job: its stored values, redacted; and the mask for all other texts that are made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from huey.utils import Error

from duey.model.job import DONE, Claim, Failure, JobRecord
from duey.model.log_lines import Line
from duey.payload.clip import clip
from duey.payload.plain import LISTED, LISTED_BYTES, WHOLE, Bounds, is_cut, plain_call, to_plain
from duey.payload.redact import Mask, Redactor
from duey.payload.serializer import Use, of_job
from duey.storage.values import StoredJob
from duey.tasks.current import JobContext, latest_job_context
from duey.tasks.signature import Signature

TOO_LARGE = "[too large to show]"
UNREADABLE = "[unreadable]"
MEMBERS = "[results of the members of its chord]"  # where they are not read
MOST_MEMBERS = 500  # whose results are read to be shown


def listed(stored: StoredJob) -> StoredJob:
    """A job for a list: without large arguments and results. (The length of an error was limited when it was
    stored.)"""
    job = stored.job._replace(payload=b"") if len(stored.job.payload) > LISTED_BYTES else stored.job
    is_large = stored.state == DONE and len(stored.result or b"") > LISTED_BYTES
    return stored._replace(job=job, result=b"" if is_large else stored.result)


class Display:
    """For one huey. `redactor` may be replaced by the configured one."""

    def __init__(self, huey: Any) -> None:
        self._huey = huey
        self.redactor = Redactor(())
        self.max_value_bytes = 16 * 1024  # of arguments, and of a result, in the history
        self._signatures: dict[str, Signature] = {}
        self._secretive: dict[str, bool] = {}  # by task: whether the name of a parameter stands for a secret

    def signature(self, task: str) -> Signature | None:
        """The signature of a registered task (by full name), or None."""
        if task not in self._signatures:
            cls = self._huey._registry._registry.get(task)
            if cls is None:
                return None  # not cached: it may be registered later
            self._signatures[task] = Signature(cls.function, cls.__name__, context=cls.context)
        return self._signatures[task]

    def present(self, task: str) -> str:
        """The present full name of a task, for any of its full names."""
        return str(self._huey.renamed.present(task))

    def shown_call(self, job: JobRecord, bounds: Bounds = WHOLE) -> tuple[list[Any], dict[str, Any], Mask]:
        """Arguments in their display form within bounds, for a chord's callback with the results of its members. A
        marker stands for unreadable or very large ones."""
        if not job.payload:
            return [TOO_LARGE], {}, self.everywhere
        try:
            message = self._huey.serializer.stored(job.payload, of_job(job))
            args, kwargs = (*message.args, *self._members(job, bounds)), message.kwargs or {}
        except Exception:  # AttributeError: it is a value, not a message
            return [UNREADABLE], {}, self.everywhere
        return self.redacted(job.task, args, kwargs, job.context, bounds, job.payload)

    def _members(self, job: JobRecord, bounds: Bounds) -> tuple[Any, ...]:
        if job.chord is None:
            return ()
        if bounds is LISTED:
            return (MEMBERS,)  # a list does not read them for each of its rows
        (found,) = self._huey.results_of_members(job, self._huey.serializer.stored, MOST_MEMBERS)
        return (MEMBERS if found is None else found,)

    def redacted(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], context: str | None = None,
        bounds: Bounds | None = WHOLE, stored: bytes | None = None,
    ) -> tuple[list[Any], dict[str, Any], Mask]:  # fmt: skip
        """Arguments in their display form, and the mask for all other texts that are made from the job. They are
        truncated first, so that hidden parts cost almost nothing. `bounds` None: they are known to be plain and few.
        `stored`: the same in their stored form, in which it is quick to see that there are no secrets."""
        placed, named = (list(args), dict(kwargs)) if bounds is None else plain_call(args, kwargs, bounds)
        was_cut = bounds not in (WHOLE, None) and (is_cut(placed) or is_cut(named))
        if was_cut and stored is not None:
            was_cut = self._may_hide(task, stored, context)
        signature = self.signature(task)
        names = signature.names_of(len(args)) if signature else []
        return self.redactor.redact_call(
            placed, named, names, json.loads(context) if context else None, (args, kwargs) if was_cut else None
        )

    def shown_context(self, context: str | None, mask: Mask) -> dict[str, Any]:
        """A stored context in its display form."""
        return mask.plain(self.redactor.redact(json.loads(context))) if context else {}

    @property
    def everywhere(self) -> Mask:
        """The mask to use if no hidden values are known."""
        return Mask((), self.redactor.text)

    def mask(self, claim: Claim) -> Mask:
        """The mask for texts that are made from the job: it hides the job's hidden values, and secrets in any text."""
        latest = latest_job_context()
        mask: Mask = (latest if latest is not None and latest.claim is claim else JobContext(self._huey, claim)).mask
        return mask

    def mask_of(self, task: Any) -> Mask:
        """The mask for a Huey task, claimed or not. For None: the mask for texts that belong to no job."""
        if getattr(task, "claim", None) is not None:
            return self.mask(task.claim)
        if task is None:
            return self.everywhere
        name = self._huey._registry.task_to_string(type(task))
        return self.redacted(name, task.args, task.kwargs, getattr(task, "job_context", None))[2]

    def hides_nothing(self, job: JobRecord) -> bool:
        """Whether the job certainly has no hidden values. Fast; may be False although there are none."""
        return job.chord is None and not self._may_hide(job.task, job.payload, job.context)

    def _may_hide(self, task: str, stored: bytes, context: str | None) -> bool:
        may_hide = self.redactor.may_hide
        return self._secretive_task(task) or may_hide(stored) or may_hide((context or "").encode())

    def _secretive_task(self, task: str) -> bool:
        found = self._secretive.get(task)
        if found is None:
            signature = self.signature(task)
            if signature is None:
                return True
            found = self._secretive[task] = any(self.redactor.is_secret(each.name) for each in signature.parameters)
        return found

    def kept_s(self, task: str) -> float | None:
        """How long the ended jobs of a task (by full name) are kept, in seconds, if the task says so."""
        kept: float | None = getattr(self._huey._registry._registry.get(task), "keep_for", None)
        return kept

    def detail_of_done(
        self, lines: Sequence[Line] | None, usage: Sequence[Any] | None, value: Any, job: JobContext
    ) -> str | None:
        """The detail of the event of a job that is done: what it used, and the lines that it logged. If it handled the
        failure of another job, its result is masked here; others are masked when the history reads their event."""
        detail: dict[str, Any] = {"usage": usage} if usage else {}
        if lines:
            detail["logs"] = lines
        if job.handles:
            shown = self.redactor.redact(to_plain(value))
            masked = job.mask.plain(shown)
            if masked != shown:
                detail["shown"] = clip(masked, self.max_value_bytes)[0]
        return json.dumps(detail) if detail else None

    def shown_result(
        self, result: bytes | None, mask: Mask | None = None, bounds: Bounds = WHOLE, use: Use | None = None
    ) -> Any:
        """A stored result in its display form within bounds. A Failure if it is an error."""
        if result is None:
            return None
        if not result:
            return TOO_LARGE
        try:
            value = self._huey.serializer.stored(result, use)
        except Exception:
            return UNREADABLE
        mask = mask or self.everywhere
        if value is None or type(value) is bool:
            return value
        if isinstance(value, Error):
            meta = value.metadata
            texts = [mask.text(str(meta.get(name, ""))) for name in ("message", "traceback")]
            return Failure(str(meta.get("type", "")), *texts)
        return mask.plain(self.redactor.redact(to_plain(value, bounds)))
