"""The office: what the commands work with, made when it is first needed, and the one error that they raise."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from duey import files as config_files

AUDIT_SOURCE = "operator"


class Refused(Exception):
    """One sentence: what was expected, what was found, what to do."""


def say(*fields: object, err: bool = False) -> None:
    """Print one line on standard output (or error): fields with tabs between them, in which nothing can act on a
    terminal or pass for another line."""
    from duey.payload.masking import escaped  # here: it reads the settings, and manage.py says what is wrong there

    print("\t".join(escaped(str(field)) for field in fields), file=sys.stderr if err else sys.stdout, flush=True)


class Office:
    """What the commands work with, made when it is first needed."""

    def __init__(self) -> None:
        from duey import huey, settings

        self.huey, self.settings = huey, settings
        config_files.close_to_others(settings)
        self._access: Any = None
        self._control: Any = None
        self._books: Any = None

    @property
    def control(self) -> Any:
        """The engine's verbs, with the task modules loaded."""
        if self._control is None:
            from duey import load_tasks
            from duey.control.service import Control

            load_tasks()
            self._control = Control(self.huey)
        return self._control

    @property
    def access(self) -> Any:
        """Accounts, tokens and the audit."""
        if self._access is None:
            from duey.monitor.access import Access

            self._access = Access.of(self.settings)
            self._access.prepare()
        return self._access

    @property
    def books(self) -> Any:
        """What happened."""
        if self._books is None:
            from duey.monitor.history import Books

            self._books = Books(self.settings.monitor.database, self.settings.monitor)
            self._books.prepare()
        return self._books

    def audit(self, action: str, target: str, count: int = 1, detail: str = "") -> None:
        """Write down who did what."""
        self.access.audit.record(operator_name(), AUDIT_SOURCE, "", action, target, count, detail)


def cli_name() -> str:
    """Who enqueues from the command line, as a job names him."""
    return f"cli:{operator_name()}"


def operator_name() -> str:
    """The name of the person at the terminal, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
