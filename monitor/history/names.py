"""The tasks that the history has seen, and what they are called: short while that is unique, full always."""

from __future__ import annotations

from peewee import SqliteDatabase

from duey.monitor.history.schema import TASKS

HANDLER = "on_failed"


class Names:
    """As of one look into the history."""

    def __init__(self, db: SqliteDatabase) -> None:
        self.qualnames = [row[0] for row in TASKS.select(TASKS.c.qualname).tuples().execute(db)]
        self._by_short: dict[str, list[str]] = {}
        for qualname in self.qualnames:
            self._by_short.setdefault(last_part(qualname), []).append(qualname)

    def short(self, qualname: str) -> str:
        """What it is called, where no other task is called the same."""
        last = last_part(qualname)
        return qualname if len(self._by_short.get(last, ())) > 1 else last

    def find(self, name: str) -> list[str]:
        """The full names that a short or full one stands for; an unknown name stands for itself."""
        found = self._by_short.get(name, [])
        return sorted({*found, name} if name in self.qualnames or not found else found)


def last_part(qualname: str) -> str:
    """What follows the module; what runs when a task has failed is named with its task (`charge.on_failed`)."""
    parts = qualname.rsplit(".", 2)
    return ".".join(parts[-2:]) if parts[-1] == HANDLER else parts[-1]
