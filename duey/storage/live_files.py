"""What running bodies show of themselves on this host, in files below the folder of the workers: `live/TOKEN.log` for
the log lines of each claim, `live/TOKEN.stack` for where its body stood, `live/N.ask` for a question to worker N.

Each line of a log is a JSON list: number, instant, level, text. It grows at its end, at most once a second. Once it is
larger than LARGE, it is replaced by one with its first and last lines. A process that dies in the middle of a write
leaves half a line, which is skipped. The other files are replaced as a whole. Maintenance removes each file when its
claim is gone, from AFTER_S after its last change on, so that lines stay readable until the history has them.

They are not beside the lock files, because whoever wakes workers looks at that folder again when it has changed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from duey import files
from duey.model.log_lines import HALF_LINES, Numbered

LOG, STACK, ASK = ".log", ".stack", ".ask"
LARGE = 2 * 1024 * 1024
AFTER_S = 60.0


def path_of(folder: Path, number: int, ending: str) -> Path:
    """The path of a file: of a claim by its token, of a worker by its number."""
    return folder / "live" / f"{number}{ending}"


def add_log(folder: Path, token: int, lines: Sequence[Numbered]) -> None:
    """Add lines to the log of the claim. Raises OSError."""
    path = path_of(folder, token, LOG)
    files.make_folder(path.parent)
    # It begins with a line end, because a write that failed may have left half a line.
    data = "".join(f"\n{json.dumps(line)}" for line in lines).encode() + b"\n"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
        is_large = os.fstat(fd).st_size > LARGE
    finally:
        os.close(fd)
    if is_large:
        replace(folder, token, LOG, "".join(f"{json.dumps(line)}\n" for line in read_log(folder, token)))


def replace(folder: Path, number: int, ending: str, text: str) -> None:
    """Write a file as a whole. Raises OSError."""
    path = path_of(folder, number, ending)
    files.make_folder(path.parent)
    fresh = path.with_name(f"{path.name}.new")
    files.make_file(fresh)  # private, whatever the umask of a task module is
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def read_log(folder: Path, token: int) -> list[Numbered]:
    """The first and the last lines of the claim, in order. Empty if there are none."""
    lines: list[Numbered] = []
    with suppress(OSError):
        lines = list(_parsed(path_of(folder, token, LOG).read_bytes()))
    if len(lines) <= 2 * HALF_LINES:
        return lines
    return [*lines[:HALF_LINES], *lines[-HALF_LINES:]]


def _parsed(data: bytes) -> Iterator[Numbered]:
    for line in data.split(b"\n"):
        with suppress(ValueError, TypeError):
            if line:
                n, at, level, text = json.loads(line)
                yield n, at, level, text


def read(folder: Path, number: int, ending: str) -> str | None:
    """A whole file; None if there is none."""
    try:
        return path_of(folder, number, ending).read_text(encoding="utf-8")
    except OSError:
        return None


def older(folder: Path) -> list[tuple[int, str]]:
    """The number and ending of each file that has not changed for AFTER_S."""
    found = []
    with suppress(OSError), os.scandir(folder / "live") as entries:
        for entry in entries:
            number, _, ending = entry.name.partition(".")
            if number.isdigit():
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > AFTER_S:
                        found.append((int(number), f".{ending}"))
    return found


def remove(folder: Path, found: Collection[tuple[int, str]]) -> None:
    """Remove these files."""
    for number, ending in found:
        path_of(folder, number, ending).unlink(missing_ok=True)
