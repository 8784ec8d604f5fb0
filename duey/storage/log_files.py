"""The log lines of running bodies on this host, one file for each claim: `TOKEN.log` in the folder of the workers.

Each line of a file is a JSON list: number, instant, level, text. A file grows at its end, at most once a second. Once
it is larger than LARGE, it is replaced by one with its first and last lines. A process that dies in the middle of a
write leaves half a line, which is skipped. A file is removed by maintenance when its claim is gone, from AFTER_S after
its last line on, so that its lines stay readable until the history has them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from duey.model.log_lines import HALF_LINES, Numbered

ENDING = ".log"
LARGE = 2 * 1024 * 1024
AFTER_S = 60.0


def add(folder: Path, token: int, lines: Sequence[Numbered]) -> None:
    """Add lines to the file of the claim. Raises OSError."""
    # It begins with a line end, because a write that failed may have left half a line.
    data = "".join(f"\n{json.dumps(line)}" for line in lines).encode() + b"\n"
    path = _path(folder, token)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
        is_large = os.fstat(fd).st_size > LARGE
    finally:
        os.close(fd)
    if is_large:
        kept = read(folder, token)
        shorter = path.with_suffix(".shorter")
        shorter.unlink(missing_ok=True)
        add_all = "".join(f"{json.dumps(line)}\n" for line in kept)
        shorter.write_text(add_all, encoding="utf-8")
        shorter.replace(path)


def read(folder: Path, token: int) -> list[Numbered]:
    """The first and the last lines of the claim, in order. Empty if there are none."""
    lines: list[Numbered] = []
    with suppress(OSError):
        data = _path(folder, token).read_bytes()
        lines = list(_parsed(data))
    if len(lines) <= 2 * HALF_LINES:
        return lines
    return [*lines[:HALF_LINES], *lines[-HALF_LINES:]]


def _parsed(data: bytes) -> Iterator[Numbered]:
    for line in data.split(b"\n"):
        with suppress(ValueError, TypeError):
            if line:
                n, at, level, text = json.loads(line)
                yield n, at, level, text


def older(folder: Path) -> list[int]:
    """The tokens of the files to which nothing was added for AFTER_S."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            token = entry.name.removesuffix(ENDING)
            if token != entry.name and token.isdigit():
                with suppress(OSError):
                    if time.time() - entry.stat().st_mtime > AFTER_S:
                        found.append(int(token))
    return found


def remove(folder: Path, tokens: Collection[int]) -> None:
    """Remove the files of these claims."""
    for token in tokens:
        _path(folder, token).unlink(missing_ok=True)


def _path(folder: Path, token: int) -> Path:
    return folder / f"{token}{ENDING}"
