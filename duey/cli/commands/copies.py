"""Back up and restore all databases of the service.

The queue is copied before the history. An event that is recorded between the two copies is then in both, and recording
it again changes nothing. In the other order it could be missing from both.

A restore checks a copy of every file before it replaces one; docs/internals/transactions.md says what stands where
when it is cut short.
"""

from __future__ import annotations

import argparse
import fcntl
import itertools
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from duey import files as config_files
from duey.cli.context import CliContext, Refused, echo
from duey.cli.progress import Progress
from duey.config import sqlite_path
from duey.files import SIDE_FILES
from duey.recipes import Refused as RecipeRefused
from duey.recipes import Unavailable, backup_set
from duey.storage.sqlite import peek

# The bytes of a SQLite file that each connection in WAL mode keeps locked (sqlite.org/fileformat2.html, "lock-byte").
SHARED_FIRST, SHARED_SIZE = 0x40000002, 510
PART = 4 << 20  # bytes that are copied at a time


def databases(settings: Any) -> dict[str, Path]:
    """The SQLite files of the service by role, in the order in which they are copied. A link stays a link."""
    urls = {"monitor": settings.monitor.database, "access": settings.auth.database}
    found = {role: path for role, url in urls.items() if (path := sqlite_path(url))}
    if settings.storage.backend == "sqlite":
        found = {"queue": Path(settings.storage.path), **found}
    return {role: path.resolve() for role, path in found.items()}


def on_servers(settings: Any) -> dict[str, Any]:
    """The databases of the service on PostgreSQL by role. They connect at their first use."""
    from duey.monitor.access import database as access
    from duey.monitor.history import database as history

    makes = {"monitor": (history.database, settings.monitor), "access": (access.database, settings.auth)}
    return {role: make(of.database) for role, (make, of) in makes.items() if not sqlite_path(of.database)}


NO_FILES = "no database of this service is a file"


def backup(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Copy all databases into a folder, each consistently, while the service runs."""
    folder = Path(options.folder)
    if not databases(cli_context.settings):
        raise Refused(f"{NO_FILES}: back up PostgreSQL with pg_dump, and Redis by its own files (appendonly, RDB)")
    config_files.make_folder(folder)
    sources = {f"{role}.db": path for role, path in databases(cli_context.settings).items()}
    try:
        with Progress("backup") as progress:
            sizes = backup_set.copy_all(sources, folder, progress=progress)
    except (RecipeRefused, Unavailable) as exc:
        raise Refused(f"the backup failed: {exc}") from None
    for name in sources:
        role = name.removesuffix(".db")
        echo(f"{role}: {sizes[name]} bytes to {folder / name}" if name in sizes else f"{role}: no database yet")
    for role, database in on_servers(cli_context.settings).items():
        echo(f"{role}: not copied, it is in {database.place}: pg_dump --schema={database.schema_name} copies it")
    if cli_context.settings.storage.backend == "redis":
        echo("queue: it is in Redis, whose own files (appendonly, RDB) are its backup")
    if "monitor.db" in sizes or (sizes and not sqlite_path(cli_context.settings.monitor.database)):
        _note(cli_context)
    cli_context.audit("backup", str(folder))


def _note(cli_context: CliContext) -> None:
    """Note in the history that a backup was made, for the rule backup of alerts."""
    from duey.alerts.store import Store
    from duey.monitor.history import HistoryUnavailable

    with suppress(HistoryUnavailable):
        Store(cli_context.history.database).note_backup(time.time())
        cli_context.history.close()


def restore(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Put back the databases that `backup` copied, or those that a migration has kept.

    Give the folder of a backup, or one or more files NAME.schema-VERSION from beside the databases. The service must be
    stopped. The databases that are replaced are kept beside the new ones as *.before.
    """
    targets, given = databases(cli_context.settings), [Path(each) for each in options.source]
    if not targets:
        raise Refused(f"{NO_FILES}: restore PostgreSQL with pg_restore, and Redis from its own files")
    if (sources := kept_copies(given, targets)) is not None:
        wanted: dict[str, backup_set.Listed | None] = dict.fromkeys(sources)
    elif len(given) > 1:
        raise Refused("expected one folder of a backup, or files NAME.schema-VERSION: nothing was replaced")
    else:
        wanted = contents(given[0], targets)
        sources = {role: given[0] / f"{role}.db" for role in wanted}
    with unused(cli_context, targets.values()):
        pass  # before gigabytes are copied
    fresh = {role: targets[role].with_name(f"{targets[role].name}.restored") for role in wanted}
    try:
        with Progress("restore") as progress:
            for role, listed in wanted.items():
                copy_checked(role, sources[role], fresh[role], listed, progress)
    except BaseException:
        for path in fresh.values():
            path.unlink(missing_ok=True)
        raise
    for role in wanted:
        fold_log(targets[role])
    with unused(cli_context, targets.values()):
        swap({targets[role]: fresh[role] for role in wanted})
    for role, target in targets.items():
        echo(f"{role}: restored to {target}" if role in wanted else f"{role}: not given, {target} is unchanged")
    for role, database in on_servers(cli_context.settings).items():
        echo(f"{role}: not restored, it is in {database.place}: pg_restore restores what pg_dump has copied")
    if "access" not in targets or not is_older(
        "access", targets["access"]
    ):  # the line would migrate it, and an older Duey is to be installed
        cli_context.audit("restore", ", ".join(options.source))


def is_older(role: str, path: Path) -> bool:
    """Whether the next start would migrate a database."""
    if not path.exists():
        return False
    with suppress(sqlite3.Error), peek.opened(path) as con:
        found, newest = schema_version(role, con)
        return found < newest
    return False


def kept_copies(given: Sequence[Path], targets: Mapping[str, Path]) -> dict[str, Path] | None:
    """The role of each file that a migration has kept. None if they are no such files. Raises Refused."""
    found: dict[str, Path] = {}
    for path in given:
        name = re.fullmatch(r"(.+)\.schema-\d+", path.name)
        role = next((role for role, target in targets.items() if name and target.name == name[1]), None)
        if role is None or path.is_dir():
            return None
        if not path.exists() or role in found:
            raise Refused(f"expected one existing copy of {targets[role].name}, found {path}: nothing was replaced")
        found[role] = path
    return found


def contents(folder: Path, targets: Mapping[str, Path]) -> dict[str, backup_set.Listed | None]:
    """The roles that a complete backup holds, with what its list says of each. Raises Refused."""
    try:
        listed = backup_set.listed(folder)
    except RecipeRefused as exc:
        raise Refused(f"{exc}: nothing was replaced, name another backup") from None
    there = {role for role in targets if (folder / f"{role}.db").is_file()}
    names = ", ".join(f"{role}.db" for role in targets)
    if listed is None and not there:
        raise Refused(f"{folder} holds no backup ({names}): name a folder that `duey backup` wrote")
    # A backup of an older version has no list: it is taken for complete when nothing is missing.
    wanted = [role for role in targets if listed is None or f"{role}.db" in listed]
    missing = [f"{role}.db" for role in wanted if role not in there]
    if "queue" in targets and "queue" not in wanted:
        missing.append("queue.db")
    if missing:
        raise Refused(
            f"expected {names} in {folder}, found no {', no '.join(missing)}: nothing was replaced, name another backup"
        )
    return {role: listed[f"{role}.db"] if listed else None for role in wanted}


def copy_checked(
    role: str, source: Path, fresh: Path, listed: backup_set.Listed | None, progress: Progress
) -> None:  # fmt: skip
    """Copy one file of the backup beside its target, synced, and check the copy. Raises Refused."""
    beside = [f"{source}{ending}" for ending in SIDE_FILES]
    if found := next((path for path in beside if os.path.exists(path) and os.stat(path).st_size), None):
        raise unfit(source, f"found {Path(found).name} beside it, with changes that are not in it")
    for ending in ("", *SIDE_FILES):
        Path(f"{fresh}{ending}").unlink(missing_ok=True)
    config_files.make_folder(fresh.parent)
    config_files.make_file(fresh)
    progress.step(f"restore: copy {source.name}")
    copy(source, fresh, progress)
    config_files.sync(fresh)
    progress.step(f"restore: check {source.name}")
    if listed and (listed.bytes, listed.sha256) != (fresh.stat().st_size, backup_set.digest(fresh)):
        raise unfit(source, f"found contents that differ from {backup_set.LIST}")
    try:
        # immutable: nobody else uses the copy, and SQLite makes no file beside it.
        with closing(sqlite3.connect(f"{fresh.as_uri()}?mode=ro&immutable=1", uri=True)) as con:
            check = con.execute("pragma quick_check(1)").fetchone()[0]
            version, newest = schema_version(role, con)
    except sqlite3.Error as exc:
        raise unfit(source, f"found no valid SQLite file of that kind ({exc})") from None
    if check != "ok":
        raise unfit(source, f"found a damaged one ({check.splitlines()[0]})")
    if not version:
        raise unfit(source, "found another program's database, or an empty one")
    if version > newest:
        raise unfit(source, f"found schema {version}, while this Duey knows {newest}; install the newer Duey first")


def copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy the bytes of a file."""
    total, done = source.stat().st_size, 0
    with open(source, "rb") as read, open(target, "wb") as written:
        while part := read.read(PART):
            written.write(part)
            done += len(part)
            progress(done / 1e6, total / 1e6, "MB copied")


def unfit(source: Path, found: str) -> Refused:
    """Why a file of the backup is not restored."""
    return Refused(f"expected the backup of a database in {source}, {found}: nothing was replaced")


def schema_version(role: str, con: sqlite3.Connection | None) -> tuple[int, int]:
    """The schema version in a file of this role, 0 where there is none, and the newest that this program knows."""
    from duey.monitor.access.schema import ACCESS_SCHEMA, MIGRATIONS
    from duey.monitor.history import schema as history
    from duey.storage.sqlite.connection import schema as queue

    if role == "queue":
        return queue.version_of(con) if con else 0, queue.VERSION
    table, steps = (ACCESS_SCHEMA, MIGRATIONS) if role == "access" else (history.HISTORY_SCHEMA, history.MIGRATIONS)
    row = con.execute(f"select version from {table.__name__}").fetchone() if con else None
    return int(row[0]) if row else 0, len(steps)


@contextmanager
def unused(cli_context: CliContext, targets: Any) -> Iterator[None]:
    """Keep others from the databases. Raises Refused where a process has one of them open."""
    settings = cli_context.settings
    folder = Path(settings.storage.path).parent if settings.storage.backend == "sqlite" else settings.root / "data"
    config_files.make_folder(folder)
    with ExitStack() as held:
        try:
            fcntl.flock(opened(folder / "app.lock", held), fcntl.LOCK_EX | fcntl.LOCK_NB)
            for target in targets:
                if target.exists():
                    fcntl.lockf(opened(target, held), fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_SIZE, SHARED_FIRST)
        except BlockingIOError:
            raise Refused("the service is running: stop it (and every consumer) before a restore") from None
        yield


def opened(path: Path, held: ExitStack) -> int:
    """A descriptor for locks. Closing it drops this process's SQLite locks on the file: it must have none."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, config_files.FILE)
    held.callback(os.close, fd)
    return fd


def fold_log(target: Path) -> None:
    """Let SQLite move the log into the database, unless the database is damaged, so that it is one file."""
    if target.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"{target.as_uri()}?mode=rw", uri=True)) as con:
            con.execute("pragma wal_checkpoint(truncate)").fetchone()


def swap(pairs: Mapping[Path, Path]) -> None:
    """Keep each database as `.before`, or `.before-2` and so on where one is kept already, and put the copy there."""
    suffixes = itertools.chain([".before"], (f".before-{n}" for n in itertools.count(2)))
    before = next(suffix for suffix in suffixes if not any(taken(f"{target}{suffix}") for target in pairs))
    for target, fresh in pairs.items():
        # A log belongs to the file that it stands beside. There is one only where the database is damaged.
        for ending in SIDE_FILES:
            if os.path.exists(f"{target}{ending}"):
                os.replace(f"{target}{ending}", f"{target}{before}{ending}")
        if target.exists():
            try:
                os.link(target, f"{target}{before}")
            except OSError:  # a file system without hard links, or another user's file
                os.replace(target, f"{target}{before}")
        os.replace(fresh, target)  # in one step: there is a database at any moment
        config_files.mend_database(f"{target}{before}")
        config_files.sync(target.parent)


def taken(path: str) -> bool:
    return any(os.path.lexists(f"{path}{ending}") for ending in ("", *SIDE_FILES))
