"""The context of a command: storage, accounts and history, each opened on first use; the error `Refused`; and the exit
statuses."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress
from typing import Any

from duey import files as config_files

AUDIT_SOURCE = "operator"
DONE, FAILED, USAGE, ATTENTION, UNFINISHED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 3, 4, 130, 141
# They do not change from one version to the next: scripts rely on them. docs/commands.md is made of this.
EXIT_STATUSES = {
    DONE: "done",
    FAILED: "not done, with one sentence on standard error; nothing was changed unless it says so",
    USAGE: "wrong usage",
    ATTENTION: "`status`: the service is ready, but something needs attention",
    UNFINISHED: "`enqueue --wait`: the job has not ended, because the time is over or nobody serves its queue",
    INTERRUPTED: "interrupted by Ctrl-C",
    PIPE_CLOSED: "the reader of standard output ended, as in `duey jobs | head`",
}


class Refused(Exception):
    """One sentence: what was expected, what was found, what to do. `status`: the exit status of the command."""

    def __init__(self, sentence: str, status: int = FAILED) -> None:
        super().__init__(sentence)
        self.status = status


def echo(*fields: object, err: bool = False) -> None:
    """Print the fields as one line, separated by tabs, on standard output or standard error.

    Control characters are escaped, so that a value can neither control the terminal nor look like a second line.
    """
    from duey.payload.masking import escaped  # imported late: it reads the settings, whose errors cli/main.py reports

    print("\t".join(escaped(str(field)) for field in fields), file=sys.stderr if err else sys.stdout, flush=True)


class CliContext:
    """Control, accounts and history, each opened on first use."""

    def __init__(self, reads_only: bool = False, replaces: bool = False) -> None:
        """`reads_only`: the command changes nothing. `replaces`: it may put other databases in the place of newer
        ones. Raises Refused if a newer version has written one of the databases."""
        from duey import huey, settings

        self.huey, self.settings = huey, settings
        if not reads_only:
            config_files.close_to_others(settings)
        if not (reads_only or replaces):
            from duey.cli.checks.databases import refuse_newer

            refuse_newer(settings)
        self._access: Any = None
        self._control: Any = None
        self._history: Any = None

    @property
    def known(self) -> Any:
        """The tasks, with the task modules loaded. Opens no storage."""
        from duey import load_tasks
        from duey.tasks.registry import KnownTasks

        load_tasks()
        return KnownTasks(self.huey)

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
            from duey import clock
            from duey.monitor.access import Access

            self._access = Access.of(self.settings, clock.now)
            self._access.prepare()
        return self._access

    @property
    def history(self) -> Any:
        """The history. Where it cannot be used now, each use raises HistoryUnavailable."""
        if self._history is None:
            from duey import clock
            from duey.monitor.history import History, HistoryUnavailable

            self._history = History(self.settings.monitor.database, self.settings.monitor, clock.now)
            with suppress(HistoryUnavailable):
                self._history.prepare()
        return self._history

    def elsewhere(self) -> str:
        """The sentence that another history of the queue is recorded instead of this one, '' if none is or if it is
        not known."""
        from duey.errors import StorageUnavailable

        with suppress(StorageUnavailable):
            self.history.note_owner(self.huey.storage.outbox_owner())
        return str(self.history.elsewhere)

    def audit(self, action: str, target: str, count: int = 1, detail: str = "") -> None:
        """Add a line to the audit log: who did what. What is a security event goes to standard error as well.

        Call it when the change is made. If the line cannot be written, that is a warning: an error would say that the
        command has failed.
        """
        from duey import logs
        from duey.monitor.access import AccessError, security

        logs.attach(security.log, self.settings)
        try:
            self.access.audit.record(operator_name(), AUDIT_SOURCE, "", action, target, count, detail)
        except (AccessError, OSError) as exc:
            echo(f"warning: it is done, but not in the audit log ({action} {target}): {exc}", err=True)


def cli_name() -> str:
    """The value of a job's `by` for jobs that are enqueued on the command line."""
    return f"cli:{operator_name()}"


def operator_name() -> str:
    """The name of the person at the terminal, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
