"""Notifications: what each channel is to be told. `Planner` writes them in the transaction of the incident, `Outbox`
hands them to the senders.

The attempt is written before the message is sent. If the process dies in between or before the answer is written, the
notification is due again after the time of that attempt: it is sent at least once, and at most once more for a death.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import NamedTuple

import peewee

from duey.alerts.channels import Channel
from duey.alerts.incidents import HOUR_S, Incident
from duey.alerts.message import (
    CLOSED,
    DIGEST,
    DRILL,
    Kind,
    Message,
    Place,
    digest_of,
    from_json,
    message_about,
    to_json,
)
from duey.alerts.store import COLUMNS, incident_of
from duey.monitor.history import plain
from duey.monitor.history.database import Database

DAY_S = 86400.0
GIVE_UP_S = DAY_S
BACK_OFF_S = (15.0, 60.0, 300.0, 900.0, 1800.0)  # after each failed attempt; the last one again and again
DIGEST_WAIT_S = 60.0  # what is merged within it goes into the first digest
MAX_ANSWER = 300
MAX_MERGED = 5000  # incidents of one digest

INSERT = """INSERT INTO notifications (id, incident, channel, kind, state, created_at, due_at, message)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
FIRST = "SELECT n, state, attempts, due_at FROM notifications WHERE incident = ? AND channel = ? ORDER BY n LIMIT 1"
MUTED = "SELECT 1 FROM incidents WHERE subject = ? AND muted_until > ? LIMIT 1"
IN_HOUR = """SELECT COUNT(*) FROM notifications WHERE channel = ? AND created_at > ? AND state <> 'merged'
    AND kind NOT IN ('digest', 'drill')"""
LAST_DIGEST = "SELECT state, attempts, due_at FROM notifications WHERE channel = ? AND kind = 'digest' ORDER BY n DESC"
MERGE = "UPDATE notifications SET state = 'merged' WHERE n = ?"
# A message about an incident waits until what was told before of it is sent, or given up.
DUE = """SELECT n, id, kind, created_at, attempts, message FROM notifications w WHERE channel = ? AND state = 'waiting'
    AND due_at <= ? AND NOT EXISTS (SELECT 1 FROM notifications b WHERE b.incident = w.incident
    AND b.channel = w.channel AND b.state = 'waiting' AND b.n < w.n) ORDER BY due_at, n LIMIT 1"""
ATTEMPT = """UPDATE notifications SET attempts = attempts + 1, attempted_at = ?, due_at = ?
    WHERE n = ? AND attempts = ? AND state = 'waiting'"""
ANSWERED = "UPDATE notifications SET state = ?, answer = ?, due_at = ?, ended_at = ? WHERE n = ? AND state = 'waiting'"
MERGED = f"""SELECT DISTINCT {", ".join(f"i.{column}" for column in COLUMNS)} FROM notifications m
    JOIN incidents i ON i.n = m.incident WHERE m.channel = ? AND m.state = 'merged' AND m.digest IS NULL
    ORDER BY i.opened_at DESC, i.n DESC LIMIT {MAX_MERGED}"""
INTO_DIGEST = "UPDATE notifications SET digest = ? WHERE channel = ? AND state = 'merged' AND digest IS NULL"
SET_MESSAGE = "UPDATE notifications SET message = ? WHERE n = ?"
WAITING = "SELECT DISTINCT channel FROM notifications WHERE state = 'waiting'"
ENDED = """UPDATE notifications SET state = 'failed', answer = ?, ended_at = ?
    WHERE channel = ? AND state = 'waiting'"""
UNKNOWN = "no channel of this name is configured"


class Planner:
    """Plans who is told of an incident. `cap_per_hour`: messages of one channel; more become a digest."""

    def __init__(self, channels: Mapping[str, Channel], cap_per_hour: int, place: Place) -> None:
        self._channels, self._cap, self._place = channels, cap_per_hour, place

    def tell(self, db: peewee.Database, incident: Incident, kind: Kind, now: float) -> None:
        """Write the notifications of an incident that opened, was told again or closed. The caller holds the
        transaction."""
        drill = incident.rule == DRILL
        if not drill and db.execute_sql(MUTED, (incident.subject, now)).fetchone():
            return
        for channel in self._channels.values():
            if drill:
                self._add(db, channel, DRILL, incident, "waiting", now, now)
            elif channel.rules is None or incident.rule in channel.rules:
                self._tell(db, channel, incident, kind, now)

    def _tell(self, db: peewee.Database, channel: Channel, incident: Incident, kind: Kind, now: float) -> None:
        quiet_until = channel.quiet.end(now) if channel.quiet is not None else None
        first = db.execute_sql(FIRST, (incident.n, channel.name)).fetchone()
        if first is None and kind == CLOSED:  # it opened before the channel was configured, or while it was muted
            return
        if first is not None:
            n, state, attempts, due_at = first
            if state == "waiting" and not attempts:  # nothing was sent yet
                if kind == CLOSED:
                    db.execute_sql(MERGE, (n,))
                    self._need_digest(db, channel.name, now, due_at)
                return
            if state == "merged" and kind == CLOSED:
                self._add(db, channel, kind, incident, "merged", now, now)
                self._need_digest(db, channel.name, now, quiet_until)
                return
        if db.execute_sql(IN_HOUR, (channel.name, now - HOUR_S)).fetchone()[0] >= self._cap:
            self._add(db, channel, kind, incident, "merged", now, now)
            self._need_digest(db, channel.name, now, quiet_until)
        else:
            self._add(db, channel, kind, incident, "waiting", now, quiet_until or now)

    def _add(
        self, db: peewee.Database, channel: Channel, kind: Kind, incident: Incident, state: str, now: float, due: float
    ) -> None:
        id = uuid.uuid4().hex
        text = to_json(message_about(incident, kind, id, now, self._place)) if state == "waiting" else ""
        db.execute_sql(INSERT, (id, incident.n, channel.name, kind, state, now, due, text))

    def _need_digest(self, db: peewee.Database, channel: str, now: float, not_before: float | None) -> None:
        """Let a digest wait for what is merged, unless one does: at most one in an hour."""
        last = db.execute_sql(LAST_DIGEST, (channel,)).fetchone()
        if last is not None and last[0] == "waiting" and not last[1]:
            return
        due = max(now + DIGEST_WAIT_S, not_before or 0.0, 0.0 if last is None else last[2] + HOUR_S)
        db.execute_sql(INSERT, (uuid.uuid4().hex, None, channel, DIGEST, "waiting", now, due, ""))


class Attempt(NamedTuple):
    """One attempt that was written, and has to be made."""

    n: int
    number: int
    created_at: float
    message: Message


class Outbox:
    """Hands out what is due, and keeps what became of it. Methods raise HistoryUnavailable."""

    def __init__(self, database: Database, place: Place, clock: Callable[[], float]) -> None:
        self._database, self._place, self._clock = database, place, clock

    def next(self, channel: str, timeout_s: float) -> Attempt | None:
        """Write the next attempt of a channel and return it, or None if nothing is due."""
        now = self._clock()
        with self._database.reading() as db:
            if db.execute_sql(DUE, (channel, now)).fetchone() is None:
                return None
        with self._database.writing() as db:
            row = db.execute_sql(DUE, (channel, now)).fetchone()
            if row is None:
                return None
            n, id, kind, created_at, attempts, text = row
            due_at = now + timeout_s + back_off_s(attempts)
            db.execute_sql(ATTEMPT, (now, due_at, n, attempts))
            if kind == DIGEST and not text:
                text = self._digest(db, n, id, channel, now)
                if not text:
                    db.execute_sql(ANSWERED, ("sent", "nothing was left to tell", now, now, n))
                    return None
        return Attempt(n, attempts, created_at, from_json(text))

    def _digest(self, db: peewee.Database, n: int, id: str, channel: str, now: float) -> str:
        """Make the digest of what was merged; '' if nothing was."""
        incidents = [incident_of(row) for row in db.execute_sql(MERGED, (channel,)).fetchall()]
        if not incidents:
            return ""
        text = to_json(digest_of(incidents, id, now, self._place))
        db.execute_sql(INTO_DIGEST, (id, channel))
        db.execute_sql(SET_MESSAGE, (text, n))
        return text

    def sent(self, attempt: Attempt, answer: str) -> None:
        """Write that the channel accepted a message."""
        now = self._clock()
        self._answered(attempt, "sent", answer, now, now)

    def failed(self, attempt: Attempt, answer: str, retry_after_s: float | None, permanent: bool) -> None:
        """Write that an attempt failed. It is made again later, for a day, unless it would fail in the same way."""
        now = self._clock()
        delay_s = max(retry_after_s or 0.0, back_off_s(attempt.number))
        if permanent or now + delay_s > attempt.created_at + GIVE_UP_S:
            self._answered(attempt, "failed", answer, now, now)
        else:
            self._answered(attempt, "waiting", answer, now + delay_s, None)

    def _answered(self, attempt: Attempt, state: str, answer: str, due_at: float, ended_at: float | None) -> None:
        with self._database.writing() as db:
            db.execute_sql(ANSWERED, (state, plain.text(answer[:MAX_ANSWER]), due_at, ended_at, attempt.n))

    def give_up_unknown(self, known: Mapping[str, Channel]) -> None:
        """End what waits for channels that are not configured any more."""
        with self._database.writing() as db:
            for (name,) in db.execute_sql(WAITING).fetchall():
                if name not in known:
                    db.execute_sql(ENDED, (UNKNOWN, self._clock(), name))


def back_off_s(attempts: int) -> float:
    """How long to wait after so many earlier attempts and one more."""
    return BACK_OFF_S[min(attempts, len(BACK_OFF_S) - 1)]
