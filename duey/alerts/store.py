"""The rows of incidents in the history's database. One evaluation is one transaction: what changed, who is to be told
of it, and how far the history was evaluated."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import peewee

from duey import faults
from duey.alerts.incidents import HOUR_S, Change, Incident, Marks, merged
from duey.alerts.message import Kind
from duey.alerts.past import LOOKS_BACK_S, Counter
from duey.alerts.rules.finding import Finding
from duey.config.alerts import Alerts
from duey.monitor.history import plain
from duey.monitor.history.database import Database

COLUMNS = tuple(each.name for each in fields(Incident))
SELECT = f"SELECT {', '.join(COLUMNS)} FROM incidents"
OPEN = f"{SELECT} WHERE closed_at IS NULL"
BY_N = f"{SELECT} WHERE n = ?"
FLIPS = """SELECT COUNT(CASE WHEN opened_at > ? THEN 1 END) + COUNT(CASE WHEN closed_at > ? THEN 1 END) FROM incidents
    WHERE subject = ? AND opened_at > ?"""
INSERT = """INSERT INTO incidents
    (id, rule, subject, title, lines, facts, link, opened_at, changed_at, count, told_at, told_count, flapping)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING n"""
TOUCH = """UPDATE incidents SET title = ?, facts = ?, count = count + ?, changed_at = ?, calm_at = NULL
    WHERE n = ? AND closed_at IS NULL"""
TELL = """UPDATE incidents SET told_at = ?, told_count = count, surged = 1
    WHERE n = ? AND closed_at IS NULL AND told_at = ?"""
CALM = "UPDATE incidents SET calm_at = ? WHERE n = ? AND closed_at IS NULL AND calm_at IS NULL"
CLOSE = "UPDATE incidents SET closed_at = ?, changed_at = ? WHERE n = ? AND closed_at IS NULL"
ACK = "UPDATE incidents SET acked_at = ?, acked_by = ? WHERE id = ? AND closed_at IS NULL AND acked_at IS NULL"
MUTE = "UPDATE incidents SET muted_until = ? WHERE id = ?"
MARK = "INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
NEW = "SELECT (SELECT MAX(n) FROM entries) > (SELECT value FROM marks WHERE name = 'alerts_entry')"
DAY_S = 86400.0
KEPT_S = 180 * DAY_S
OLD = (  # the oldest rows come first, so that few are looked at
    """DELETE FROM notifications WHERE n IN (SELECT n FROM notifications ORDER BY n LIMIT 1000) AND created_at < ?
        AND state <> 'waiting'""",
    "DELETE FROM incidents WHERE n IN (SELECT n FROM incidents ORDER BY n LIMIT 1000) AND closed_at < ?",
)
DRILLED = "SELECT MAX(value) FROM marks WHERE name IN ('alerts_drill', 'alerts_since')"

Tell = Callable[[peewee.Database, Incident, Kind], None]  # plans the notifications of an incident, of this kind


class Store:
    """Reads and writes incidents. Methods raise HistoryUnavailable."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def marks(self, now: float) -> Marks:
        """Return where the last evaluation ended. The first one begins at the newest entry, so that nothing old is
        told."""
        with self.database.reading() as db:
            marks = dict(db.execute_sql("SELECT name, value FROM marks").fetchall())
            if "alerts_since" in marks:
                times = (marks["alerts_since"], marks.get("recorded_at"), marks.get("backup_at"))
                return Marks(int(marks["alerts_entry"]), *times)
        with self.database.writing() as db:
            newest = db.execute_sql("SELECT MAX(n) FROM entries").fetchone()[0] or 0
            for name, value in (("alerts_entry", newest), ("alerts_since", now)):
                db.execute_sql("INSERT INTO marks (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", (name, value))
        return self.marks(now)

    def is_new(self) -> bool:
        """Return whether the history has entries that were not evaluated."""
        with self.database.reading() as db:
            return bool(db.execute_sql(NEW).fetchone()[0])

    def close(self) -> None:
        """Close this thread's connection."""
        self.database.close()

    def tidy(self, now: float) -> None:
        """Delete some of what ended more than KEPT_S ago."""
        with self.database.writing() as db:
            for statement in OLD:
                db.execute_sql(statement, (now - KEPT_S,))
            db.execute_sql("DELETE FROM readings WHERE at < ?", (int(now - LOOKS_BACK_S - DAY_S),))

    def drill_due(self, now: float, every_s: float) -> bool:
        """Return whether a drill is due that is to be held so often, and note that it begins. The first one is due
        after the first interval."""
        with self.database.writing() as db:
            last = db.execute_sql(DRILLED).fetchone()[0]
            if last is None or now - last < every_s:
                return False
            db.execute_sql(MARK, ("alerts_drill", now))
            return True

    def count_past(self, counter: Counter, options: Alerts, now: float) -> None:
        """Keep how often rules would have told something."""
        with self.database.reading() as db:
            found = counter(db, options, now)
        with self.database.writing() as db:
            db.cursor().executemany(MARK, [(f"would {rule}", count) for rule, count in found.items()])

    def open(self) -> dict[str, Incident]:
        """Return the open incidents by subject."""
        with self.database.reading() as db:
            return {each.subject: each for each in map(incident_of, db.execute_sql(OPEN).fetchall())}

    def flips(self, subjects: Iterable[str], now: float) -> dict[str, int]:
        """Return how often subjects opened or closed in the last hour."""
        hour = now - HOUR_S
        with self.database.reading() as db:
            return {
                each: db.execute_sql(FLIPS, (hour, hour, each, now - LOOKS_BACK_S)).fetchone()[0] or 0
                for each in subjects
            }

    def apply(self, made: Sequence[Change], marks: Marks, seen: Marks, now: float, tell: Tell) -> bool:
        """Write changes and the new marks in one transaction, if there are any. Return whether `tell` was called."""
        if not made and marks.entry == seen.entry:
            return False
        tells = False
        with self.database.writing() as db:
            for change in made:
                incident = self._change(db, change, now)
                if incident is not None:
                    tell(db, incident, KINDS[change.kind])
                    tells = True
            if marks.entry != seen.entry:
                db.execute_sql(MARK, ("alerts_entry", marks.entry))
            if faults.point:
                faults.point("alert.written")
        if faults.point:
            faults.point("alert.committed")
        return tells

    def _change(self, db: peewee.Database, change: Change, now: float) -> Incident | None:
        """Make one change, unless somebody else made it. Return the incident if it is to be told."""
        incident, finding = change.incident, change.finding
        if change.kind == "open":
            assert finding is not None
            return insert(db, finding, now, change.flapping)
        assert incident is not None
        if change.kind == "touch":
            assert finding is not None
            facts = merged(finding.facts, incident.facts)
            db.execute_sql(TOUCH, (plain.text(finding.title), json.dumps(facts), finding.count, now, incident.n))
        elif change.kind == "calm":
            db.execute_sql(CALM, (now, incident.n))
        elif change.kind == "tell":
            if db.execute_sql(TELL, (now, incident.n, incident.told_at)).rowcount:
                return by_n(db, incident.n)
        elif db.execute_sql(CLOSE, (now, now, incident.n)).rowcount and not change.silent:
            return by_n(db, incident.n)
        return None

    def note_backup(self, now: float) -> None:
        """Note that a backup was made by hand."""
        with self.database.writing() as db:
            db.execute_sql(MARK, ("backup_at", now))

    # what a person does

    def ack(self, id: str, by: str, now: float) -> bool:
        """Mark an open incident as seen: it is not told again while it is open. False if it is not open, or was."""
        with self.database.writing() as db:
            return bool(db.execute_sql(ACK, (now, by, id)).rowcount)

    def mute(self, id: str, until: float | None) -> bool:
        """Tell nothing about the subject of an incident until then. False if there is no such incident."""
        with self.database.writing() as db:
            return bool(db.execute_sql(MUTE, (until, id)).rowcount)


KINDS: Mapping[str, Kind] = {"open": "incident.opened", "tell": "incident.updated", "close": "incident.closed"}


def insert(db: peewee.Database, finding: Finding, now: float, flapping: bool = False) -> Incident | None:
    """Open an incident; None if one of its subject is open. The caller holds the transaction."""
    id, count = uuid.uuid4().hex[:12], max(1, finding.count)
    texts = (plain.text(finding.title), json.dumps(finding.lines), json.dumps(finding.facts), plain.text(finding.link))
    values = (id, finding.rule, plain.text(finding.subject), *texts, now, now, count, now, count, int(flapping))
    row = db.execute_sql(INSERT, values).fetchone()
    return None if row is None else by_n(db, row[0])


def by_n(db: peewee.Database, n: int) -> Incident:
    return incident_of(db.execute_sql(BY_N, (n,)).fetchone())


def incident_of(row: Sequence[Any]) -> Incident:
    """Return the incident for a row of COLUMNS."""
    values = dict(zip(COLUMNS, row, strict=True))
    values |= {"lines": tuple(json.loads(values["lines"])), "facts": tuple(map(tuple, json.loads(values["facts"])))}
    return Incident(**{**values, "surged": bool(values["surged"]), "flapping": bool(values["flapping"])})
