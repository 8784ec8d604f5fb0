"""What follows a job's end: the later steps of its pipeline, and its part of a chord. Stored beside its payload.

So a job that cannot end by itself (it is rescued or canceled, or its payload cannot be read) can give them an error
without decoding its arguments, which would run an author's code in a process that must not die.
"""

from __future__ import annotations

import copy
import datetime
import json
from typing import Any, NamedTuple

from huey.api import Task

from duey.model.job import STATED, ChordPart, JobRecord

NOTHING = ""  # nothing follows. None: the job was accepted by a version that did not store this


class Sequel(NamedTuple):
    """`steps`: the ids of the later steps of the pipeline, under which their results are expected."""

    steps: list[str]
    chord: tuple[str, int, int] | None = None  # cid, index, size
    callback: JobRecord | None = None
    expires_s: float | None = None  # of the callback, from when it is accepted

    def part(self, value: bytes, member: str, now: float) -> ChordPart | None:
        """The part of the chord, with a value in place of this member's result. `member`: the id of the job, which is
        the callback's parent if it is the last."""
        if self.chord is None or self.callback is None:
            return None
        expires_at = self.callback.expires_at if self.expires_s is None else now + self.expires_s
        return ChordPart(
            *self.chord, value, self.callback._replace(enqueued_at=now, expires_at=expires_at, parent=member)
        )


def sequel_of(huey: Any, task: Task, context: str | None, by: str | None) -> Sequel:
    """What follows this call. `context` and `by` are those of its job."""
    steps: list[str] = []
    config = task.chord_config
    while task.on_complete is not None:
        task = task.on_complete
        steps.append(task.id)
        config = config or task.chord_config
    if config is None:
        return Sequel(steps)
    callback = copy.copy(config.callback)  # its relative `expires` is resolved when it is accepted, not here
    row = huey.new_job(callback, config.cid, context, by)._replace(parent=None)
    relative = bool(callback.expires) and not isinstance(callback.expires, datetime.datetime)
    expires_s = row.expires_at - row.enqueued_at if relative and row.expires_at is not None else None
    return Sequel(steps, (config.cid, config.idx, config.size), row, expires_s)


def written(sequel: Sequel) -> str:
    """The sequel as text for the storage."""
    callback = sequel.callback
    if not sequel.steps and callback is None:
        return NOTHING
    row = callback and [
        *callback._replace(payload=b"", sequel="")[:STATED], callback.payload.decode("latin-1"), callback.sequel,
    ]  # fmt: skip
    return json.dumps([sequel.steps, sequel.chord, row, sequel.expires_s], separators=(",", ":"), default=str)


def read(text: str) -> Sequel:
    """The sequel from the text of `written`."""
    if not text:
        return Sequel([])
    steps, chord, row, expires_s = json.loads(text)
    if row is None:
        return Sequel(steps)
    *columns, payload, sequel = row
    callback = JobRecord(*columns)._replace(payload=payload.encode("latin-1"), sequel=sequel)
    return Sequel(steps, tuple(chord), callback, expires_s)
