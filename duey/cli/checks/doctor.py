"""`duey doctor`: everything that can be wrong with a service, one line for each thing. Writes nothing."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from duey import config
from duey.cli import output
from duey.cli.checks import FAIL, OK, Finding
from duey.cli.context import Refused, echo

WITHIN_S = 10.0  # for all checks, which run at the same time
Check = Callable[[], Iterable[Finding]]


def doctor(options: argparse.Namespace) -> int:
    """Look for everything that can be wrong: one line for each thing, ok, warn or fail, and what to do.

    Checks settings, files and their permissions, disks, the clock, versions, backups, the limits of systemd, Redis,
    PostgreSQL, the service at its own address, the headers of the proxy, and the servers of alerts (connections only).
    Changes nothing. Run it as the user of the service, on each machine; with --worker where only `duey worker` runs.
    Exit status 1 if a line says fail.
    """
    sys.dont_write_bytecode = True  # of task modules
    found = findings(options.worker)
    failed = [each.subject for each in found if each.level == FAIL]
    if options.json:
        checks = [{"level": level, "check": subject, "text": text} for level, subject, text in found]
        output.print_json({"ok": not failed, "checks": checks})
    else:
        for level, subject, text in found:
            echo(f"{level:<4}  {subject}: {text}")
    if failed:
        raise Refused(f"fix {', '.join(failed)}")
    return 0


def findings(worker: bool = False) -> list[Finding]:
    """What all checks find, in their order. Where the settings have faults, these alone. `worker`: this machine serves
    no pages."""
    try:
        settings = config.load(environ=os.environ)
    except config.ConfigError as exc:
        return [Finding(FAIL, "settings", text) for text in exc.errors]
    found, named = [Finding(OK, "settings", str(settings.source))], checks(settings, worker)
    return found + [each for part in results(named) for each in part]


def checks(settings: Any, worker: bool = False) -> list[tuple[str, Check]]:
    """Each check by its name. `worker`: those of a machine that serves no pages."""
    # First, as the checks run at the same time: two threads that import parts of Huey at once find it half made.
    import huey.api  # noqa: F401

    from duey.cli.checks import backups, machine, reach
    from duey.cli.checks import settings as of_settings

    def tasks() -> Iterable[Finding]:
        names = registered()
        found = [Finding(OK, "tasks", f"{len(names)} are registered"), *of_settings.limits(settings, names)]
        return [*found, *reach.consumers(settings)]

    here = (
        of_settings.files, machine.data_files, machine.disk, machine.file_systems, machine.clock, machine.versions,
        of_settings.signing, machine.systemd, reach.redis, reach.history,
    )  # fmt: skip
    of_web = (
        of_settings.network, of_settings.proxy_users, reach.postgresql, reach.service, reach.channels, backups.backups,
    )  # fmt: skip
    named = [(each.__name__, partial(each, settings)) for each in (here if worker else here + of_web)]
    return [*named, ("tasks", tasks)]


def registered() -> set[str]:
    """The names of the tasks, for which their modules are imported. Opens no storage."""
    from duey import huey, load_tasks
    from duey.tasks.registry import KnownTasks

    load_tasks()
    known = KnownTasks(huey)
    return {known.short(known.full(each)) for each in known.all()}


def results(named: Sequence[tuple[str, Check]], within_s: float = WITHIN_S) -> list[list[Finding]]:
    """The findings of each check. One that raises or takes too long has failed; it delays no other."""
    found: dict[str, list[Finding]] = {}

    def run(name: str, check: Check) -> None:
        try:
            found[name] = list(check())
        except Exception as exc:
            found[name] = [Finding(FAIL, name, f"could not be checked ({type(exc).__name__}: {exc})")]

    # Daemons: one that hangs, for example on a dead network disk, does not hold up the end.
    threads = [threading.Thread(target=run, args=each, daemon=True) for each in named]
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = f"was not checked within {within_s:g} s: find out what it waits for (a network, a disk)"
    return [found.get(name) or ([] if name in found else [Finding(FAIL, name, late)]) for name, _ in named]
