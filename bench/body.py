"""What the measured bodies do: leave a mark that another process can read, the same mark in every system.

`noop` counts, in memory that is mapped from a file, and keeps the instants of the first and the last body: a quarter
of a microsecond, no system call. `arrive` writes down when a job was sent and when its body began. Both take the
monotonic clock, which all processes of a machine share. Only the standard library is used, since this runs in the
environment of every system.
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import threading
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(os.environ.get("BENCH_FOLDER", "."))
SLOT = struct.Struct("<qdd")  # count, first, last
SLOTS = 64
ARRIVAL = struct.Struct("<dd")  # sent, began


class _Marks(threading.local):
    slot: int | None = None
    count = 0
    first = 0.0


_marks = _Marks()
_numbers = itertools.count()
_map: mmap.mmap | None = None
_arrivals: int | None = None
_opening = threading.Lock()


def _forked() -> None:
    global _map, _arrivals, _marks, _numbers, _opening
    _map = _arrivals = None
    _marks, _numbers, _opening = _Marks(), itertools.count(), threading.Lock()


os.register_at_fork(after_in_child=_forked)


def noop(value: int) -> int:
    """Nothing but a mark."""
    now = time.monotonic()
    here = _marks
    if here.slot is None:
        here.slot, here.first = _take_slot(), now
    here.count += 1
    SLOT.pack_into(_map, here.slot * SLOT.size, here.count, here.first, now)  # type: ignore[arg-type]
    return value


def _take_slot() -> int:
    global _map
    with _opening:
        if _map is None:
            with open(FOLDER / f"{os.getpid()}.marks", "w+b") as file:
                file.truncate(SLOT.size * SLOTS)
                _map = mmap.mmap(file.fileno(), SLOT.size * SLOTS)
        return next(_numbers)


def arrive(sent: float) -> None:
    """Write down how long it took to come here."""
    global _arrivals
    now = time.monotonic()
    with _opening:
        if _arrivals is None:
            _arrivals = os.open(FOLDER / f"{os.getpid()}.arrivals", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(_arrivals, ARRIVAL.pack(sent, now))


# what the measuring process reads


class Tally(NamedTuple):
    """What the no-ops of one run left."""

    count: int
    first: float  # monotonic s; 0 when none ran
    last: float
    by_process: tuple[int, ...]


def tally(folder: Path) -> Tally:
    """How many no-ops have begun, and when the first and the last did."""
    slots: list[tuple[int, float, float]] = []
    processes = []
    for path in folder.glob("*.marks"):
        used = [slot for slot in SLOT.iter_unpack(path.read_bytes()) if slot[0]]
        slots += used
        processes.append(sum(slot[0] for slot in used))
    if not slots:
        return Tally(0, 0.0, 0.0, ())
    return Tally(sum(processes), min(s[1] for s in slots), max(s[2] for s in slots), tuple(sorted(processes)))


def delays(folder: Path) -> list[float]:
    """Seconds from sent to begun, of every arrival, in the order sent."""
    pairs = [pair for path in folder.glob("*.arrivals") for pair in ARRIVAL.iter_unpack(path.read_bytes())]
    return [began - sent for sent, began in sorted(pairs)]
