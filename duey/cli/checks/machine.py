"""What `duey doctor` looks at on this machine: files, disks, the clock, versions, and systemd's limits."""

from __future__ import annotations

import pwd
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from duey import __version__, config, files
from duey.cli.checks import FAIL, OK, WARN, Finding
from duey.cli.commands.copies import databases
from duey.storage.sqlite import peek
from duey.storage.sqlite.connection.preflight import MINIMUM, NETWORK_FILE_SYSTEMS

LEAST_FREE = 64 * 2**20  # bytes: below, the queue may refuse jobs at any time
EARLIEST = 1_735_689_600.0  # 2025: no machine that runs this is older
AHEAD_S = 60.0
LEAST_FILES = 1024  # descriptors: connections, databases, and what tasks open
SYSTEMD = Path("/run/systemd/system")
UNIT_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
REQUIREMENTS = Path(__file__).absolute().parents[3] / "requirements.txt"  # of a checkout


def folders(settings: Any) -> list[Path]:
    """The folders of the databases, and that of the backups where it exists."""
    found = [path.parent for path in databases(settings).values()] + [Path(settings.periodic.backup_folder)]
    return [each for each in dict.fromkeys(found) if each.is_dir()]


def data_files(settings: Any) -> Iterator[Finding]:
    """Who else can read or write the databases, their side files and the backups, and to whom they belong."""
    seen = [Path(f"{path}{ending}") for path in databases(settings).values() for ending in ("", *files.SIDE_FILES)]
    backup = Path(settings.periodic.backup_folder)
    if access := config.sqlite_path(settings.auth.database):
        seen.append(access.with_suffix(".key"))
    seen += [*backup.glob("*.db"), *backup.glob("*/*.db"), *folders(settings)]
    stats = {path: path.stat() for path in seen if path.exists()}
    if not stats:
        yield Finding(OK, "data files", "none yet: the first start makes them")
        return
    for path, found in stats.items():
        # A folder that other programs use as well is not closed; its files are.
        if found.st_mode & files.OTHERS and not (path.is_dir() and path.name != "data"):
            yield Finding(FAIL, str(path), f"other users can reach it: chmod go= {path}")
    owner = next(iter(stats.values())).st_uid
    if strange := [path for path, found in stats.items() if found.st_uid != owner]:
        name = name_of(owner)
        text = f"belongs to {name_of(stats[strange[0]].st_uid)}, the first database to {name}"
        yield Finding(FAIL, str(strange[0]), f"{text}: chown {name} {strange[0]}, and run all commands as {name}")
    else:
        yield Finding(OK, "data files", f"{len(stats)} files and folders belong to {name_of(owner)}")


def name_of(uid: int) -> str:
    """The name of a user, or the number of one that has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def disk(settings: Any) -> Iterator[Finding]:
    """The room on each disk that holds a database or the backups."""
    devices = {folder.stat().st_dev: folder for folder in reversed(folders(settings))}
    for folder in devices.values():
        free, wanted = shutil.disk_usage(folder).free, settings.alerts.disk_free_mb * 2**20
        level = FAIL if free < LEAST_FREE else WARN if free < wanted else OK
        todo = (
            "" if level == OK else f", and [alerts] disk_free_mb is {wanted / 2**20:.0f}: make room, or move the files"
        )
        yield Finding(level, f"disk of {folder}", f"{free / 2**20:,.0f} MB free{todo}")


def file_systems(settings: Any) -> Iterator[Finding]:
    """Whether SQLite's locks hold there, and whether the files survive a restart."""
    for path in databases(settings).values():
        kind = files.filesystem_of(str(path))
        if kind in NETWORK_FILE_SYSTEMS:
            text = (
                f"on {kind}, where SQLite's locks do not hold: put it on a local disk, or use [storage] backend = redis"
            )
            yield Finding(WARN, str(path), text)
        elif kind in ("tmpfs", "ramfs"):
            yield Finding(WARN, str(path), f"on {kind}, which is empty after a restart: put it on a disk")
        else:
            yield Finding(OK, str(path), f"on {kind or 'a file system of unknown kind'}")


def clock(settings: Any, now: float | None = None) -> Iterator[Finding]:
    """Whether this machine's clock is plausible beside what the databases hold."""
    now = time.time() if now is None else now
    if now < EARLIEST:
        today = time.strftime("%Y-%m-%d", time.gmtime(now))
        yield Finding(FAIL, "clock", f"it says {today}: set it, and let it be synchronized (timedatectl set-ntp true)")
        return
    times = [path.stat().st_mtime for path in databases(settings).values() if path.exists()]
    if monitor := databases(settings).get("monitor"):
        times += filter(None, [newest_job(monitor)])
    ahead_s = max(times, default=0.0) - now
    if ahead_s > AHEAD_S:
        text = f"the newest entry of the databases is {ahead_s:,.0f} s in the future"
        yield Finding(FAIL, "clock", f"{text}: the clock was set back, and schedules wait until then. Set it right")
    else:
        yield Finding(OK, "clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def newest_job(path: Path) -> float | None:
    """When the newest job of the history was enqueued, None where that cannot be read without writing."""
    with suppress(sqlite3.Error), peek.opened(path) as con:
        row = con.execute("select enqueued_at from jobs order by rowid desc limit 1").fetchone()
        return float(row[0]) if row else None
    return None


def versions(settings: Any) -> Iterator[Finding]:
    """Versions of Python, SQLite and the packages, beside what was tested together."""
    python = sys.version.split()[0]
    yield Finding(OK, "Duey", f"{__version__}, Python {python}")  # an older Python does not get here
    if sqlite3.sqlite_version_info < MINIMUM:
        text = f"expected {'.'.join(map(str, MINIMUM))} or newer, found {sqlite3.sqlite_version}: use a newer Python"
        yield Finding(FAIL, "SQLite", text)
    else:
        yield Finding(OK, "SQLite", sqlite3.sqlite_version)
    wanted = pins()
    other = []
    for name, accepted in wanted.items():
        with suppress(metadata.PackageNotFoundError):  # an extra
            if (found := metadata.version(name)) not in accepted:
                other.append(f"{name} {found} instead of {' or '.join(sorted(accepted))}")
    if other:
        text = f"{', '.join(other)}: install what was tested: pip install --require-hashes -r requirements.lock"
        yield Finding(WARN, "packages", text)
    else:
        yield Finding(OK, "packages", f"the {len(wanted)} that were tested together")


def pins() -> dict[str, set[str]]:
    """The tested versions of each package, from requirements.txt of a checkout or from the installed package."""
    lines = REQUIREMENTS.read_text().splitlines() if REQUIREMENTS.is_file() else metadata.requires("duey") or []
    found: dict[str, set[str]] = defaultdict(set)
    for name, version in (match.groups() for line in lines if (match := re.match(r"([\w.-]+)==([\w.]+)", line))):
        found[name].add(version)
    return found


def systemd(settings: Any) -> Iterator[Finding]:
    """Whether the units give jobs the time to end. Only where systemd runs this machine."""
    if not SYSTEMD.is_dir() or not (systemctl := shutil.which("systemctl")):
        return
    names = "Id,KillMode,TimeoutStopUSec,OOMPolicy,LimitNOFILESoft"
    done = subprocess.run(
        [systemctl, "show", "duey*.service", f"--property={names}"],
        capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    units = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in done.stdout.split("\n\n")
    ]
    units = [unit for unit in units if unit.get("Id")]
    if not units:
        yield Finding(WARN, "systemd", "no unit duey*.service is loaded: deploy/systemd has them")
    for unit in units:
        wrong, stop_s = [], settings.consumer.shutdown_timeout_s + 15
        if seconds(unit.get("TimeoutStopUSec", "")) < stop_s - 10:
            wrong.append(f"TimeoutStopSec={stop_s:.0f}, so that running jobs can end")
        if unit.get("KillMode", "mixed") != "mixed":
            wrong.append("KillMode=mixed, so that programs of jobs are not cut off")
        if unit.get("OOMPolicy", "continue") != "continue" and "consumer" in unit["Id"]:
            wrong.append("OOMPolicy=continue, so that one worker without memory stops no other")
        if (limit := unit.get("LimitNOFILESoft", "")).isdigit() and int(limit) < LEAST_FILES:
            wrong.append(f"LimitNOFILE={LEAST_FILES} or more")
        text = f"set {'; '.join(wrong)}" if wrong else "jobs have the time to end, and its limits fit"
        yield Finding(WARN if wrong else OK, unit["Id"], text)


def seconds(text: str) -> float:
    """A length of time as systemctl prints it, such as `1min 30s`, in seconds; `infinity` and "" have no end."""
    parts = re.findall(r"([\d.]+)(ms|s|min|h|d)\b", text)
    return sum(float(number) * UNIT_S[unit] for number, unit in parts) if parts else float("inf")
