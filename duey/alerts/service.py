"""What API, pages and command line use: incidents with their notifications, channels, and what a person may do.

Methods raise HistoryUnavailable if the history's database cannot be used.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import peewee

from duey.alerts import store
from duey.alerts.channels import Channel, ChannelFailed, channels_of
from duey.alerts.incidents import Incident
from duey.alerts.message import DRILL, Place, test_of, to_json
from duey.alerts.notifications import MAX_ANSWER
from duey.alerts.past import RuleView, rule_views
from duey.alerts.senders import TIMEOUT_S
from duey.config import Settings
from duey.config.alerts import QuietHours
from duey.errors import BadRequest, Conflict
from duey.monitor.history import History, plain

MAX_PAGE = 200
OPEN_TITLES = "SELECT title FROM incidents WHERE closed_at IS NULL AND rule <> ? ORDER BY n DESC"
NOTIFICATION = "id, channel, kind, state, attempts, answer, created_at, due_at, attempted_at, ended_at"
NOTIFICATIONS = f"SELECT {NOTIFICATION} FROM notifications WHERE incident = ? ORDER BY n"
LAST_SENT = """SELECT ended_at, answer FROM notifications WHERE channel = ? AND state = 'sent'
    ORDER BY created_at DESC LIMIT 1"""
# Of the newest ones, so that the answer takes a bounded time.
LAST_ERROR = """SELECT attempted_at, answer FROM (SELECT * FROM notifications WHERE channel = ? ORDER BY created_at DESC
    LIMIT 500) AS last WHERE attempted_at IS NOT NULL AND answer IS NOT NULL AND state <> 'sent'
    ORDER BY attempted_at DESC LIMIT 1"""
WAITING = "SELECT COUNT(*) FROM notifications WHERE channel = ? AND state = 'waiting'"
TESTED = """INSERT INTO notifications
    (id, channel, kind, state, created_at, due_at, attempts, attempted_at, ended_at, answer, message)
    VALUES (?, ?, 'drill', ?, ?, ?, 1, ?, ?, ?, ?)"""


class UnknownIncident(BadRequest):
    """No incident has this id."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no incident has the id {id[:80]!r}: `duey alerts list` shows those that are open")


class UnknownChannel(BadRequest):
    """No channel has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        near = get_close_matches(name[:80], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none; name one in [alerts]'}"
        super().__init__(f"no channel is named {name[:80]!r}; {hint}")


class IncidentClosed(Conflict):
    """A closed incident cannot be acknowledged."""

    def __init__(self, id: str) -> None:
        super().__init__(f"incident {id} is over: nothing is left to acknowledge")


@dataclass(frozen=True)
class Notification:
    """What one channel was told. `state`: waiting, sent, failed or merged (told in a digest)."""

    id: str
    channel: str
    kind: str
    state: str
    attempts: int
    answer: str | None
    created_at: float
    due_at: float
    attempted_at: float | None
    ended_at: float | None


@dataclass(frozen=True)
class IncidentView:
    """An incident and its notifications, oldest first."""

    incident: Incident
    notifications: tuple[Notification, ...]


@dataclass(frozen=True)
class IncidentPage:
    """A page of incidents, newest first. `next`: the cursor of the following page, or None."""

    rows: tuple[IncidentView, ...]
    next: str | None


@dataclass(frozen=True)
class ChannelView:
    """A channel, and how its last messages fared. `sent_at`, `answer`: its last success; `error_at`, `error`: its last
    error."""

    name: str
    kind: str
    rules: frozenset[str] | None
    quiet: QuietHours | None
    sent_at: float | None
    answer: str | None
    error_at: float | None
    error: str | None
    waiting: int

    @property
    def is_failing(self) -> bool:
        """Whether nothing was sent since the last error."""
        return self.error_at is not None and self.error_at > (self.sent_at or 0.0)


@dataclass(frozen=True)
class TestResult:
    """What a channel answered to a test. `state`: sent or failed."""

    __test__ = False  # no test of pytest's

    channel: str
    state: str
    answer: str


class AlertService:
    """Alerts of one history, for any number of threads. Raises Misconfigured when a channel cannot be made."""

    def __init__(self, history: History, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._database, self._settings, self._clock = history.database, settings, clock
        self._store = store.Store(history.database)
        self._testing: dict[str, threading.Lock] = {}

    @cached_property
    def channels(self) -> dict[str, Channel]:
        """The channels by name."""
        return channels_of(self._settings)

    @property
    def place(self) -> Place:
        web = self._settings.web
        return Place(self._settings.service.name, f"{web.public_url}{web.url_prefix}/monitor" if web.public_url else "")

    # incidents

    def incidents(
        self, state: str | None = None, limit: int = 50, cursor: str | None = None, rule: str | None = None
    ) -> IncidentPage:
        """Return incidents, newest first. `state`: open or closed. Raises BadRequest for a bad cursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            raise BadRequest("the cursor is not valid: start again without one")
        limit = max(1, min(limit, MAX_PAGE))
        conditions = ["1 = 1"] if state is None else [f"closed_at IS {'' if state == 'open' else 'NOT '}NULL"]
        values: list[Any] = []
        if cursor is not None:
            conditions.append("n < ?")
            values.append(int(cursor))
        if rule is not None:
            conditions.append("rule = ?")
            values.append(rule)
        query = f"{store.SELECT} WHERE {' AND '.join(conditions)} ORDER BY n DESC LIMIT ?"
        with self._database.reading() as db:
            found = [store.incident_of(row) for row in db.execute_sql(query, (*values, limit + 1)).fetchall()]
            views = tuple(_view(db, each) for each in found[:limit])
        return IncidentPage(views, str(found[limit - 1].n) if len(found) > limit else None)

    def incident(self, id: str) -> IncidentView:
        """Return one incident. Raises UnknownIncident."""
        with self._database.reading() as db:
            row = db.execute_sql(f"{store.SELECT} WHERE id = ?", (plain.text(id),)).fetchone()
            if row is None:
                raise UnknownIncident(id)
            return _view(db, store.incident_of(row))

    def open_titles(self) -> tuple[str, ...]:
        """Return the titles of the open incidents, newest first; those of a drill are left out."""
        with self._database.reading() as db:
            return tuple(title for (title,) in db.execute_sql(OPEN_TITLES, (DRILL,)).fetchall())

    def open_count(self) -> int:
        """Return how many incidents are open, also of drills."""
        with self._database.reading() as db:
            return int(db.execute_sql("SELECT COUNT(*) FROM incidents WHERE closed_at IS NULL").fetchone()[0])

    def ack(self, id: str, by: str) -> IncidentView:
        """Mark an open incident as seen by somebody: it is not told again. Seen twice changes nothing. Raises
        UnknownIncident, IncidentClosed."""
        if not self._store.ack(plain.text(id), by, self._clock()) and self.incident(id).incident.closed_at is not None:
            raise IncidentClosed(id)
        return self.incident(id)

    def mute(self, id: str, until: float | None) -> IncidentView:
        """Tell nothing about the subject of an incident until then; None: tell it again. Raises UnknownIncident."""
        if not self._store.mute(plain.text(id), until):
            raise UnknownIncident(id)
        return self.incident(id)

    # rules and channels

    def rules(self) -> tuple[RuleView, ...]:
        """Return every rule with its threshold, and its figures of 30 days."""
        with self._database.reading() as db:
            return rule_views(db, self._settings.alerts, self._clock())

    def channel_views(self) -> tuple[ChannelView, ...]:
        """Return the channels in the order of their configuration."""
        with self._database.reading() as db:
            return tuple(self._channel_view(db, each) for each in self.channels.values())

    def _channel_view(self, db: peewee.Database, channel: Channel) -> ChannelView:
        name = channel.name
        sent_at, answer = db.execute_sql(LAST_SENT, (name,)).fetchone() or (None, None)
        error_at, error = db.execute_sql(LAST_ERROR, (name,)).fetchone() or (None, None)
        waiting = db.execute_sql(WAITING, (name,)).fetchone()[0]
        return ChannelView(name, channel.kind, channel.rules, channel.quiet, sent_at, answer, error_at, error, waiting)

    def test(self, name: str) -> TestResult:
        """Send a message through a channel now, and keep what it answered. Raises UnknownChannel."""
        channel = self.channels.get(name)
        if channel is None:
            raise UnknownChannel(name, list(self.channels))
        lock = self._testing.setdefault(name, threading.Lock())
        if not lock.acquire(blocking=False):  # or many clicks would hold all threads of the web process
            return TestResult(name, "failed", "another test of this channel is under way: wait for it")
        try:
            return self._test(channel)
        finally:
            lock.release()

    def _test(self, channel: Channel) -> TestResult:
        name = channel.name
        began_at, id = self._clock(), uuid.uuid4().hex
        message = test_of(name, id, began_at, self.place)
        try:
            result = TestResult(name, "sent", channel.send(message, TIMEOUT_S)[:MAX_ANSWER])
        except ChannelFailed as failed:
            result = TestResult(name, "failed", failed.answer[:MAX_ANSWER])
        now, text = self._clock(), to_json(message)
        with self._database.writing() as db:
            values = (id, name, result.state, began_at, began_at, began_at, now, plain.text(result.answer), text)
            db.execute_sql(TESTED, values)
        return result


def _view(db: peewee.Database, incident: Incident) -> IncidentView:
    rows = db.execute_sql(NOTIFICATIONS, (incident.n,)).fetchall()
    return IncidentView(incident, tuple(Notification(*row) for row in rows))
