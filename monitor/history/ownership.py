"""Which history records the events of a queue. It is only one: otherwise each would have a part of the jobs.

A history has an identity, a random number in its database. The queue's storage knows the identity of the history that
owns its events, and where that is recorded (duey.storage.contract, Outbox). The first one that is recorded becomes the
owner, and stays it until an admin takes the events over for another one: `duey record --take-over`.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress

from duey import clock
from duey import files as config_files
from duey.model.event import OutboxOwner
from duey.monitor.history.database import Database
from duey.monitor.history.schema import MARKS

NAME = "identity"  # of the mark
BITS = 52  # marks are floating-point numbers
DIGITS = BITS // 4


def identity(database: Database) -> str:
    """Return the identity of a history. A file that is made anew, because it was lost or damaged, gets the former one,
    which is kept beside it: else it would record nothing. Raises HistoryUnavailable."""
    query = MARKS.select(MARKS.c.value).where(MARKS.c.name == NAME)
    with database.reading() as db:
        number = query.scalar(db)
    if number is None:
        with database.writing() as db:
            made = _kept(database) or secrets.randbits(BITS) or 1
            MARKS.insert(name=NAME, value=float(made)).on_conflict_ignore().execute(db)
            number = query.scalar(db)
    if number != _kept(database):
        _keep(database, int(number))
    return f"{int(number):0{DIGITS}x}"


def _kept(database: Database) -> int | None:
    if database.lease_path is not None:
        with suppress(OSError, ValueError):
            return int(database.lease_path.read_bytes()[:DIGITS], 16) or None
    return None


def _keep(database: Database, number: int) -> None:
    """Write into the file that recorders lock, which is never replaced."""
    if database.lease_path is None:
        return
    with suppress(OSError):
        config_files.make_folder(database.lease_path.parent)
        file = os.open(database.lease_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, config_files.FILE)
        try:
            os.pwrite(file, f"{number:0{DIGITS}x}\n".encode(), 0)
        finally:
            os.close(file)


def is_here(database: Database, owner: OutboxOwner) -> bool:
    """Return whether this history, recorded here, owns the events. Raises HistoryUnavailable."""
    return (owner.history, owner.where) == (identity(database), database.where())


def elsewhere(database: Database, owner: OutboxOwner | None) -> str:
    """Return the sentence where another history owns the events, and '' where this one does, or none yet. Raises
    HistoryUnavailable."""
    if owner is None or is_here(database, owner):
        return ""
    is_same = owner.history == identity(database)
    if is_same and owner.is_silent(clock.now()):  # it was moved here
        return ""
    last = f"last {_ago(clock.now() - owner.at)}" if owner.at else "not now"
    found = f"{owner.where} ({last}), so {database.where()} does not hold what has ended since"
    if is_same:
        return f"a copy of this history is recorded at {found}: let one of the two services run"
    return (
        f"the history of this queue is recorded at {found}: use the web there, let all webs use one history on "
        "PostgreSQL ([monitor] database), or move the recording here with `duey record --take-over`"
    )


def _ago(seconds: float) -> str:
    for unit_s, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s:.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"
