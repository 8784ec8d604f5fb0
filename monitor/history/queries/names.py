"""Names of the tasks in the history: the full name, and the short one if it is unique."""

from __future__ import annotations

from peewee import SqliteDatabase

from duey.monitor.history.schema import TASKS

HANDLER = "on_failed"


class Names:
    """The task names at one point in time."""

    def __init__(self, db: SqliteDatabase) -> None:
        self.qualnames = [row[0] for row in TASKS.select(TASKS.c.qualname).tuples().execute(db)]
        self._by_short: dict[str, list[str]] = {}
        for qualname in self.qualnames:
            self._by_short.setdefault(last_part(qualname), []).append(qualname)

    def short(self, qualname: str) -> str:
        """Return the short name if it is unique, otherwise the full one."""
        last = last_part(qualname)
        return qualname if len(self._by_short.get(last, ())) > 1 else last

    def find(self, name: str) -> list[str]:
        """Return the full names for a short or full name. An unknown name is returned as it is."""
        found = self._by_short.get(name, [])
        return sorted({*found, name} if name in self.qualnames or not found else found)


def last_part(qualname: str) -> str:
    """Return the name without its module. A failure handler keeps its task's name (`charge.on_failed`)."""
    parts = qualname.rsplit(".", 2)
    return ".".join(parts[-2:]) if parts[-1] == HANDLER else parts[-1]
