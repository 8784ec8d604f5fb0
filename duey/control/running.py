"""A running job: what its body logs, whether it was asked to stop, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from duey import errors
from duey.control.job_log import shown_lines
from duey.control.service import Control
from duey.model.job import RUNNING
from duey.model.log_lines import LogLine
from duey.storage.values import StoredJob


class RunningBody(NamedTuple):
    """A body that a worker has. `progress_at`: when it last reported progress, if it has. `stack`: where it stood, as a
    traceback, and when that was; None if nobody has asked in the last minute."""

    lines: Sequence[LogLine]
    asked_to_stop: bool
    progress_at: float | None
    stack: tuple[float, str] | None


def running_body(control: Control, job_id: str) -> RunningBody | None:
    """The body of a running job, as of about a second ago; None if it does not run. Raises UnknownJob."""
    stored = _stored(control, job_id)
    if stored.place != "claimed":
        return None
    storage, seq, token = control.storage, stored.job.seq, stored.token
    reads = partial(storage.progress_of, seq), partial(storage.log_of, token), partial(storage.stack_of, token)
    with storage.read_ahead(*reads):
        progress = json.loads(storage.progress_of(seq) or "{}")
        lines = shown_lines(storage.log_of(token))
        return RunningBody(lines, stored.stopping, progress.get("at"), storage.stack_of(token))


def ask_stack(control: Control, job_id: str) -> None:
    """Ask the worker of a running job where its body stands. Raises UnknownJob, StateConflict."""
    stored = _stored(control, job_id)
    if stored.state != RUNNING:
        raise errors.StateConflict(job_id, "show the stack of", stored.state)
    control.storage.ask_stack(stored.token)


def _stored(control: Control, job_id: str) -> StoredJob:
    stored = control.storage.get_job(job_id)
    if stored is None:
        raise errors.UnknownJob(job_id)
    return stored
