"""Moves a queue from one storage to another: everything once, with the process free to die at any line.

1. hold: workers of the source claim nothing; what runs ends.
2. close: once nothing runs, the source refuses every change. It stays so.
3. begin: the target refuses every change by others, and is emptied.
4. copy: a batch of items and how far the copy is, in one transaction of the target.
5. compare: both are read again, item by item, and the target is synced to the disk.
6. leave: the source says where it was moved to. Its data stay.
7. arrive: the target may be used.

The markers in both storages say how far it is. `move` goes on where they say; docs/internals/moving.md goes through
each line.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from duey import clock, faults
from duey.storage.transfer import (
    ARRIVED,
    BEGUN,
    CLOSED,
    HELD,
    JOBS,
    LEFT,
    RECEIVING,
    SECTIONS,
    STEP,
    Marker,
    MoveRefused,
    Transfer,
    items,
    key_of,
)
from duey.storage.values import KEY_LIFE_S

NAMES = {  # of sections, for people
    "parts": "parts of chords", "unique": "unique keys", "limits": "states of limits", "slots": "occurrences",
    "values": "stored values", "idempotency": "idempotency keys", "scheduler": "notes of scheduler and recorder",
}  # fmt: skip
LOOK_S = 0.1
RESCUE_S = 1.0
CLOSED_WORDS = (
    "the queue {here} is being moved to {there}: run `duey move` again to finish that, or take it back with "
    "`duey move --undo`"
)
LEFT_WORDS = (
    "the queue {here} was moved to {there}: name that in [storage], or take it back with `duey move --undo` while "
    "nothing has run there"
)
TARGET_WORDS = "the queue {here} holds the beginning of a move from {there}: run `duey move` there again to finish it"
Rescue = Callable[[], Any]
Tell = Callable[[str, str], None]  # a step in one word, and what happens


class Compared(NamedTuple):
    """The same in both storages."""

    sections: dict[str, int]  # how many items
    states: dict[str, int]  # how many jobs by place, or by final state
    digest: str


def move(
    source: Transfer, target: Transfer, tell: Tell, rescue: Rescue, wait_s: float, replace: bool = False
) -> Compared | None:
    """Move everything. Returns what was compared, None if the move was complete before. Raises MoveRefused.

    `rescue` releases claims of dead workers of the source. Jobs that run have `wait_s` to end. `replace`: jobs of the
    target that have ended may be removed.
    """
    marker = agreed(source, target, replace)
    if marker.state == LEFT and state_of(target, marker) == ARRIVED:
        return None
    if marker.state == HELD:
        marker = quiet(source, target, marker, tell, rescue, wait_s)
    copy(source, target, marker, tell, replace)
    found = compared(source, target, tell)
    jobs = ", ".join(f"{count:,} {state}" for state, count in sorted(found.states.items())) or "none"
    tell("compared", f"{found.sections[JOBS]:,} jobs ({jobs}) and all else: SHA-256 {found.digest[:16]} on both sides")
    for warning in target.sync():
        tell("warning", warning)
    source.leave(marker.becomes(LEFT), LEFT_WORDS.format(here=source.label, there=target.label))
    point("move.left")
    numbers = source.numbers()
    target.arrive(Marker(marker.move, ARRIVED, source.label, clock.now()), numbers)
    point("move.arrived")
    return found


def agreed(source: Transfer, target: Transfer, replace: bool) -> Marker:
    """The marker of the source: of the move that goes on, or of a new one, which it then holds."""
    if source.label == target.label:
        raise MoveRefused(f"expected another queue than {source.label}: name it with --to")
    known, there = source.marker(), target.marker()
    if known is not None and known.state in (HELD, CLOSED, LEFT):
        if known.peer != target.label:
            raise MoveRefused(
                f"a move from {source.label} to {known.peer} has begun: finish it with --to that, or take it back with "
                "`duey move --undo`"
            )
        if known.state == LEFT and (there is None or there.move != known.move):
            raise MoveRefused(
                f"{source.label} was moved to {target.label}, which does not know of it: restore that, or use "
                "`duey move --undo --force` to run the jobs as they were before the move"
            )
        return known
    takes_back = known.move if known is not None and known.state == ARRIVED else ""
    marker = Marker(uuid.uuid4().hex, HELD, target.label, clock.now(), takes_back=takes_back)
    stale = is_stale(target.label, there, marker, source.label)
    target.contents().refuse(target.label, stale, replace)  # before anything is held
    source.hold(marker)
    if (there := target.marker()) is not None and there.move == marker.move:
        source.release()
        raise MoveRefused(f"{source.label} and {target.label} are the same queue: name another one with --to")
    point("move.held")
    return marker


def is_stale(label: str, there: Marker | None, marker: Marker, peer: str) -> bool:
    """Whether what the target holds was moved here by an earlier move, or by one that was taken back, so that it may be
    removed. Raises MoveRefused if a move of another queue is known there."""
    if there is None or there.state == ARRIVED:
        return False
    if there.move == marker.move:
        return there.state == BEGUN
    if there.state == LEFT and marker.takes_back == there.move:
        return True
    if there.state in (BEGUN, RECEIVING) and there.peer == peer:
        return True
    raise MoveRefused(f"{label} takes part in a move with {there.peer}: finish or undo that, or name another one")


def state_of(target: Transfer, marker: Marker) -> str | None:
    """How far the target is in this move, None if it does not know of it."""
    there = target.marker()
    return there.state if there is not None and there.move == marker.move else None


def quiet(
    source: Transfer, target: Transfer, marker: Marker, tell: Tell, rescue: Rescue, wait_s: float
) -> Marker:  # fmt: skip
    """Wait until nothing runs, and close the source. Raises MoveRefused if that takes longer than `wait_s`, or is
    interrupted; its workers go on then."""
    tell("held", f"{source.label}: no further job begins")
    deadline, rescue_at, shown = time.monotonic() + wait_s, 0.0, ""
    closed = marker.becomes(CLOSED)
    try:
        while not source.fence(closed, CLOSED_WORDS.format(here=source.label, there=target.label)):
            running = source.running()
            words = ", ".join(f"{task} {job_id}" for job_id, task in running[:5])
            words = f"{len(running)} jobs: {words}{', ...' * (len(running) > 5)}"
            if running and words != shown:
                tell("running", words)
                shown = words
            if time.monotonic() > deadline:
                raise MoveRefused(
                    f"expected running jobs to end within {wait_s:g} s, found {words}: nothing was moved and the "
                    "workers go on; wait for these or cancel them, or give more time with --wait"
                )
            if time.monotonic() >= rescue_at:
                rescue()
                rescue_at = time.monotonic() + RESCUE_S
            time.sleep(LOOK_S)
    except (MoveRefused, KeyboardInterrupt):
        source.release()
        raise
    tell("closed", f"{source.label}: nothing runs, and nothing is accepted")
    point("move.closed")
    return closed


def copy(source: Transfer, target: Transfer, marker: Marker, tell: Tell, replace: bool) -> None:
    """Copy everything that the target has not yet."""
    there = target.marker()
    received = Marker(marker.move, RECEIVING, source.label, clock.now())
    if state_of(target, marker) not in (RECEIVING, ARRIVED):
        stale = is_stale(target.label, there, marker, source.label)
        words = TARGET_WORDS.format(here=target.label, there=source.label)
        target.begin(received.becomes(BEGUN), words, stale, replace)
        target.write(JOBS, [], received)
        point("move.begun")
    elif there is not None:
        received = received.becomes(RECEIVING, cursor=there.cursor)
    first, after = received.cursor
    for number, section in enumerate(SECTIONS):
        count = 0
        if number >= first:
            for batch in items(source, section, after if number == first else None):
                target.write(section, batch, received.becomes(RECEIVING, cursor=(number, key_of(section, batch[-1]))))
                count += len(batch)
                tell("", f"copied {count:,} {section}")
                point("move.batch")
        if count:
            tell("copied", f"{count:,} {NAMES.get(section, section)}")
    point("move.copied")


def compared(source: Transfer, target: Transfer, tell: Tell) -> Compared:
    """Read both again. Raises MoveRefused at the first item that differs."""
    since = clock.now() - KEY_LIFE_S
    digests = hashlib.sha256(), hashlib.sha256()
    counts: dict[str, int] = {}
    states: dict[str, int] = {}
    for section in SECTIONS:
        pairs = [(flat(each, section, since)) for each in (source, target)]
        counts[section] = 0
        while (both := tuple(next(each, None) for each in pairs)) != (None, None):
            for digest, item in zip(digests, both, strict=True):
                digest.update(repr(item).encode("utf-8", "surrogatepass"))
            if both[0] != both[1]:
                key = key_of(section, next(item for item in both if item is not None))
                raise MoveRefused(
                    f"the copy at {target.label} differs from {source.label} in {section} at {key!r}: nothing was "
                    "switched; take the move back with `duey move --undo`, and report this"
                )
            counts[section] += 1
            if counts[section] % STEP == 0:
                tell("", f"compared {counts[section]:,} {section}")
            if section == JOBS and both[0] is not None:
                state = both[0].state or both[0].place
                states[state] = states.get(state, 0) + 1
    assert digests[0].digest() == digests[1].digest()
    return Compared(counts, states, digests[0].hexdigest())


def flat(storage: Transfer, section: str, since: float) -> Iterator[Any]:
    """The items of a section, one by one, but for idempotency keys that are over: they may vanish at any moment."""
    for some in items(storage, section):
        yield from (item for item in some if section != "idempotency" or item[4] > since)


def undo(source: Transfer, target: Transfer | None, force: bool = False) -> str:
    """Take a move back: the source goes on as it was. Returns what was done, as a sentence. Raises MoveRefused if the
    target was used since, or is not there (`target` None) although it had the copy. `force`: in any case."""
    known = source.marker()
    if known is None or known.state not in (HELD, CLOSED, LEFT):
        raise MoveRefused(f"expected a queue that was moved, found none at {source.label}: name it with --from")
    if not force and target is not None:
        discard(source, target, known)
    elif not force and known.state == LEFT:
        raise MoveRefused(
            f"expected a queue at {known.peer}, found none: restore it, or add --force if its jobs are lost and shall "
            "run here again"
        )
    source.release()
    return f"{source.label} is used again; its jobs are those of before the move"


def discard(source: Transfer, target: Transfer, known: Marker) -> None:
    """Empty the target, if nothing was accepted or run there since it got the copy."""
    there = target.marker()
    if there is None or there.move != known.move:
        if known.state == LEFT:
            raise MoveRefused(
                f"{target.label} does not know of the move from {source.label}: restore it, or add --force if its jobs "
                "are lost and shall run here again"
            )
        return  # nothing was copied yet
    if there.state == ARRIVED:
        used = MoveRefused(
            f"a consumer was started or a job accepted at {target.label} since: move back with `duey move --from` that "
            f"queue `--to {source.label}`"
        )
        words = TARGET_WORDS.format(here=target.label, there=source.label)
        if there.numbers is None or not target.fence(there, words):
            raise used
        if target.used_since(there.numbers):  # after the fence, so that nobody comes in between
            target.lift(there)
            raise used
    target.begin(there.becomes(BEGUN), TARGET_WORDS.format(here=target.label, there=source.label), True)
    target.release()


def point(step: str) -> None:
    if faults.point:
        faults.point(step)
