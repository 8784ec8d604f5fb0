"""The texts of an exception: its message and traceback, masked and limited. Exceptions whose methods raise are handled,
because these methods are an author's code."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from huey.exceptions import TaskException, TaskTimeout

from duey import os_process
from duey.errors import TaskExit
from duey.execution.body.thread_timeouts import ENGINE, HUEY, RECIPES
from duey.payload.redact import Mask

TRACEBACK_MAX = 64 * 1024
MESSAGE_MAX = 4 * 1024
MASKED_MAX = 1024 * 1024  # of a text that is masked: masking comes before truncation, so that no part of a secret stays


def is_engine(file: str) -> bool:
    """Whether a file is a part of Duey or Huey."""
    return file.startswith((ENGINE, HUEY)) and not file.startswith(RECIPES)


def own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of Huey and Duey above those of the task."""
    first = trace
    while first is not None and is_engine(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first or trace


def formatted(exc: BaseException) -> str:
    """The traceback as text. That of a time-out ends where the body stood, without the frames that raised it there."""
    made = traceback.TracebackException(type(exc), exc, own_frames(exc.__traceback__))
    while isinstance(exc, TaskTimeout) and len(made.stack) > 1 and is_engine(made.stack[-1].filename):
        del made.stack[-1]
    return "".join(made.format())


def text_of(exc: BaseException) -> str:
    """str(exc), or a replacement if that raises."""
    try:
        return os_process.call(str, exc)[:MASKED_MAX]
    except BaseException:
        return "<its message could not be made>"


def short(exc: BaseException, mask: Mask) -> str:
    """Type and message, masked."""
    return f"{type(exc).__name__}: {mask.text(text_of(exc))}"


def trace_of(exc: BaseException, mask: Mask) -> str:
    """The traceback, masked."""
    return str(error_record("", exc, 0, mask)["traceback"]).rstrip()


def error_record(job_id: str, exc: BaseException, retries: int, mask: Mask, stack: str = "") -> dict[str, Any]:
    """Huey's error metadata (`Huey.build_error_result`), with type and message as separate fields, masked. `stack`: the
    frames of the traceback, if the error was not raised there."""
    message = text_of(exc)
    exc = exc.__cause__ if isinstance(exc, TaskExit) and exc.__cause__ is not None else exc
    try:
        trace = os_process.call(formatted, exc)
        trace = f"Traceback (most recent call last):\n{stack}{trace}" if stack else trace
    except BaseException:
        trace = f"{type(exc).__name__}: {message}\n"
    half = MASKED_MAX // 2
    trace = mask.text(trace if len(trace) <= MASKED_MAX else f"{trace[:half]}\n...\n{trace[-half:]}")
    if len(trace) > TRACEBACK_MAX:
        half = TRACEBACK_MAX // 2
        trace = f"{trace[:half]}\n... {len(trace) - 2 * half} characters left out ...\n{trace[-half:]}"
    try:
        stored = exc.metadata.get("error") if isinstance(exc, TaskException) else None
        error = stored or os_process.call(repr, exc)
    except BaseException:
        error = f"{type(exc).__name__}({message!r})"
    return {
        "error": mask.text(error[:MASKED_MAX])[:MESSAGE_MAX], "retries": retries, "traceback": trace,
        "task_id": job_id, "type": type(exc).__name__, "message": mask.text(message)[:MESSAGE_MAX],
    }  # fmt: skip
