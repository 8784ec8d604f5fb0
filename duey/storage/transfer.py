"""What a whole queue consists of, so that it can be copied from one storage to another: the port of `duey move`.

A queue is read and written in sections. A section is a list of items in the order of their keys, and each storage gives
the same items for the same queue, so that two copies can be compared by digest. Payloads and results are bytes that
nobody decodes here, so signatures stay valid.

A `Marker` in the storage says that a move is going on or was made. `hold`: no worker claims any more. The fence: every
change is refused, with a sentence; only the mover writes. docs/internals/moving.md has the steps.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

from duey import errors
from duey.model.job import JobRecord

HOLD = ("hold", "")  # a pause (kind, name): workers claim nothing
STEP = 500  # items that are read and written at once
BYTES = 32 * 2**20  # of jobs that are read at once, because some may be large; one is always read
JOBS, EVENTS = "jobs", "events"
# Besides the jobs and the unread events, each with the columns that begin an item and order it.
KEYS = {
    "parts": ("cid", "idx"),
    "unique": ("key",),
    "limits": ("name",),
    "pauses": ("kind", "name"),
    "schedules": ("name",),
    "slots": ("schedule", "at"),
    "values": ("key",),
    "revocations": ("key",),
    "locks": ("key",),
    "counters": ("key",),
    "idempotency": ("token", "key"),
    "scheduler": ("key",),
}
SECTIONS = (JOBS, EVENTS, *KEYS)
FLOATS = (
    "priority", "enqueued_at", "eta", "expires_at", "retry_delay_s", "timeout_s", "unique_s", "failed_at",
)  # fmt: skip
HELD, CLOSED, LEFT = "held", "closed", "left"  # states of the source, in order
# States of the target; begun: it is being emptied.
BEGUN, RECEIVING, ARRIVED = "begun", "receiving", "arrived"


class StorageMoved(errors.StorageUnavailable):
    """The queue was moved to another storage, or is being moved. The sentence says where to."""

    SIGN = "duey fence: "  # how the messages begin by which the storages refuse a change

    @classmethod
    def found_in(cls, text: str) -> StorageMoved | None:
        """The error for the message of a refusal, None if it is another message."""
        _, sign, sentence = text.partition(cls.SIGN)
        return cls(sentence) if sign else None


class MoveRefused(errors.DueyError):
    """A move cannot begin, or cannot go on. Both queues stay as they are."""


class TargetNotEmpty(MoveRefused):
    """Something would be mixed with the queue that is to be moved there."""

    def __init__(self, label: str, found: str, can_replace: bool):
        how = "let its jobs end, record its events with `duey record`, and stop its consumers"
        if can_replace:
            how = "add --replace to remove these, whose history stays"
        super().__init__(
            f"expected an empty queue without consumers at {label}, found {found}: {how}, or name another file or "
            "[storage] name"
        )


class JobItem(NamedTuple):
    """A job in its place. It is never claimed: a move waits for running jobs."""

    seq: int
    job: JobRecord
    place: str  # ready, scheduled, blocked or finished
    why: str | None = None  # blocked: KIND NAME; scheduled: what a retry waits for
    blocked_at: float | None = None  # only if no consumer knew its task
    state: str | None = None  # finished: this, and what follows
    attempts: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    worker: int | None = None
    gone_at: float | None = None
    result: bytes | None = None
    progress: str | None = None
    checkpoints: tuple[tuple[str, bytes], ...] = ()


class EventItem(NamedTuple):
    """An unread event. `job_id` is empty, and `seq` 0, if it belongs to no job."""

    number: int
    job_id: str
    seq: int
    kind: str
    token: int
    at: float
    started_at: float | None
    attempt: int
    detail: str | None


class Numbers(NamedTuple):
    """The last number given to a job, an event, a worker process, and an event that no worker caused. They go on in the
    target, because the history tells events apart by them."""

    seq: int
    event: int
    worker: int
    manual: int


class Contents(NamedTuple):
    """What a storage holds that a copy would mix with."""

    waiting: int
    ended: int
    unread: int  # events that the history has not
    values: int
    schedules: int  # created by hand
    workers: int  # alive

    @property
    def words(self) -> str:
        """Such as `3 jobs that have not ended, 1 live worker process`; an empty text for an empty storage."""
        names = (
            "jobs that have not ended", "jobs that have ended", "unread events", "stored values",
            "schedules created by hand", "live worker processes",
        )  # fmt: skip
        return ", ".join(f"{count:,} {name}" for count, name in zip(self, names, strict=True) if count)

    def refuse(self, label: str, is_stale: bool, replace: bool) -> None:
        """Raise TargetNotEmpty unless nothing runs there, and it is empty, or what is stored is stale, or it is only
        jobs that have ended and `replace` allows to remove them."""
        only_ended = not any(self._replace(ended=0))
        if self.workers or not (is_stale or (only_ended and (replace or not self.ended))):
            raise TargetNotEmpty(label, self.words, only_ended)


@dataclass(frozen=True)
class Marker:
    """What a storage says of a move. `peer`: the other storage, without its password."""

    move: str  # id, the same in both storages
    state: str
    peer: str
    at: float
    cursor: tuple[int, Any] = (0, None)  # target: number of the section, key of the last item that is stored
    numbers: Numbers | None = None  # target that has arrived: those that it began with
    takes_back: str = ""  # id of the earlier move in the other direction, whose source is the target of this one

    def becomes(self, state: str, **fields: Any) -> Marker:
        return dataclasses.replace(self, state=state, **fields)

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str | bytes | None) -> Marker | None:
        """The marker of this JSON."""
        if not text:
            return None
        fields = json.loads(text)
        number, key = fields.pop("cursor")
        numbers = fields.pop("numbers")
        return cls(**fields, cursor=(number, tuple(key) if isinstance(key, list) else key),
                   numbers=numbers and Numbers(*numbers))  # fmt: skip


class Transfer(Protocol):
    """A storage as a move sees it. Every method that writes is one transaction, and synced."""

    label: str  # its address without password; the same text names the same queue

    def marker(self) -> Marker | None: ...

    def close(self) -> None:
        """Close its connections."""

    # the source

    def hold(self, marker: Marker) -> None:
        """No worker claims a job from now on. What runs goes on and ends."""

    def running(self) -> list[tuple[str, str]]:
        """Id and task of each job that a worker holds."""

    def fence(self, marker: Marker, sentence: str) -> bool:
        """Refuse every change from now on. False, and nothing is changed, if a worker still holds a job."""

    def leave(self, marker: Marker, sentence: str) -> None:
        """The copy is complete: refuse every change with another sentence."""

    def release(self) -> None:
        """End hold and fence, and forget the move."""

    # both

    def numbers(self) -> Numbers: ...

    def contents(self) -> Contents: ...

    def read(self, section: str, after: Any, limit: int) -> Sequence[tuple[Any, ...]]:
        """Up to `limit` items behind the key `after`; none at the end."""

    # the target

    def begin(self, marker: Marker, sentence: str, is_stale: bool, replace: bool = False) -> None:
        """Refuse every change by others, and remove everything. Raises TargetNotEmpty, and changes nothing, if there is
        something of its own. `is_stale`: all of it may be removed; `replace`: jobs that have ended."""

    def write(self, section: str, items: Sequence[Any], marker: Marker) -> None:
        """Store items, and the marker whose cursor is behind them."""

    def sync(self) -> list[str]:
        """Make what was written survive a power cut. Returns why that is not certain, one sentence each."""

    def arrive(self, marker: Marker, numbers: Numbers) -> None:
        """The copy is complete: continue after these numbers, and end the fence."""

    def lift(self, marker: Marker) -> None:
        """End the fence, and keep the marker."""

    def used_since(self, numbers: Numbers) -> bool:
        """Whether a worker was registered or a job accepted since the copy was complete."""


def key_of(section: str, item: Sequence[Any]) -> Any:
    """The key of an item."""
    return item[0] if section in (JOBS, EVENTS) else tuple(item[: len(KEYS[section])])


def items(storage: Transfer, section: str, after: Any = None) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The items of a section behind a key, STEP at a time."""
    while found := storage.read(section, after, STEP):
        yield found
        after = key_of(section, found[-1])


def words_of(text: str | bytes | None, label: str) -> list[str]:
    """What to say of a queue with this marker, one sentence each. Behind a fence, the fence says it."""
    marker = Marker.of(text)
    if marker is None or marker.state != HELD:
        return []
    return [
        f"no job begins, because a move of {label} to {marker.peer} has begun: run `duey move` again to finish it, or "
        "take it back with `duey move --undo`"
    ]


def plain(job: JobRecord) -> JobRecord:
    """The record with numbers of one type, whichever storage held it."""
    fixed: dict[str, Any] = {name: float(value) for name in FLOATS if (value := getattr(job, name)) is not None}
    if job.unique_s is not None:
        fixed["unique_s"] = round(float(job.unique_s), 6)  # what Redis keeps of it
    return job._replace(**fixed)


def number(value: Any) -> float | None:
    return None if value is None else float(value)
