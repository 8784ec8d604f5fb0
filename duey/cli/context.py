"""The context of a command: storage, accounts and history, each opened on first use; and the error `Refused`."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from duey import files as config_files

AUDIT_SOURCE = "operator"


class Refused(Exception):
    """One sentence: what was expected, what was found, what to do."""


def echo(*fields: object, err: bool = False) -> None:
    """Print the fields as one line, separated by tabs, on standard output or standard error.

    Control characters are escaped, so that a value can neither control the terminal nor look like a second line.
    """
    from duey.payload.masking import escaped  # imported late: it reads the settings, whose errors cli/main.py reports

    print("\t".join(escaped(str(field)) for field in fields), file=sys.stderr if err else sys.stdout, flush=True)


class CliContext:
    """Control, accounts and history, each opened on first use."""

    def __init__(self) -> None:
        from duey import huey, settings

        self.huey, self.settings = huey, settings
        config_files.close_to_others(settings)
        self._access: Any = None
        self._control: Any = None
        self._history: Any = None

    @property
    def control(self) -> Any:
        """The operations on jobs, with the task modules loaded."""
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
    def history(self) -> Any:
        """The history."""
        if self._history is None:
            from duey.monitor.history import History

            self._history = History(self.settings.monitor.database, self.settings.monitor)
            self._history.prepare()
        return self._history

    def audit(self, action: str, target: str, count: int = 1, detail: str = "") -> None:
        """Add a line to the audit log: who did what. What is a security event goes to standard error as well."""
        from duey import logs
        from duey.monitor.access import security

        logs.attach(security.log, self.settings)
        self.access.audit.record(operator_name(), AUDIT_SOURCE, "", action, target, count, detail)


def cli_name() -> str:
    """The value of a job's `by` for jobs that are enqueued on the command line."""
    return f"cli:{operator_name()}"


def operator_name() -> str:
    """The name of the person at the terminal, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
