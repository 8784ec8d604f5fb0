"""Where a running body stands: the stack of its thread, from the function of the task to the present line.

On request, a thread of the worker process looks at the stack of the body's thread (`stack_of`). That needs the
interpreter, so a body in C code that does not let other threads run gives no answer.

Before the supervisor kills a worker process at a time-out, it asks for a dump by a signal (`dump`). faulthandler writes
it from the signal handler in C, also while the interpreter is locked: file names, line numbers and names of functions.
The descriptor that faulthandler uses may have been closed by the body and be another file by now. So the supervisor
sends the signal only while the process still has the dump's file open.
"""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import linecache
import os
import re
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from duey.execution.error_text import is_engine
from duey.payload.redact import Mask
from duey.storage.presence import dump_file

FRAMES_MAX = 60
BODY = "run_body"  # the method of duey.execution.attempt.Attempt that calls the function of a task
DUMP_SIGNAL = getattr(signal, "SIGRTMIN", 0) + 7 if sys.platform == "linux" else 0
DUMP_S, STEP_S = 0.5, 0.01  # how long the supervisor waits for a dump, at most, and between two looks
HEAD = "Traceback (most recent call last):\n"
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)
_dumps: list[Any] = []  # keeps the files open that faulthandler writes to


def stack_of(token: int, body: Any) -> str | None:
    """The stack of the body that runs for the claim with this token, as a masked traceback; None if none does. `body`:
    the function of duey.execution.attempt that runs bodies."""
    for frame in sys._current_frames().values():
        top: FrameType | None = frame
        while frame.f_code is not body.__code__ and frame.f_back is not None:
            frame = frame.f_back
        if frame.f_code is not body.__code__:
            continue
        found = dict(frame.f_locals)
        if "claim" in found and found["claim"].token == token:
            mask: Mask = found["context"].mask
            lines = traceback.StackSummary.extract(traceback.walk_stack(top), limit=None, lookup_lines=False)
            calls = [(each.filename, each.lineno or 0, each.name) for each in reversed(lines)]
            return mask.text(HEAD + _text(calls))
    return None


def register(folder: Path, n: int) -> None:
    """Let this worker process write a dump of its main thread when it gets DUMP_SIGNAL."""
    if not DUMP_SIGNAL:
        return
    with contextlib.suppress(OSError, RuntimeError):  # a full disk: then there is no dump
        file = open(dump_file(folder, n), "wb", buffering=0)  # noqa: SIM115 it stays open
        _dumps.append(file)
        faulthandler.register(DUMP_SIGNAL, file=file, all_threads=False, chain=False)


def dump(folder: Path, n: int, pid: int) -> str:
    """Where the main thread of a worker process stands, as the frames of a traceback; "" if it cannot be known."""
    path = dump_file(folder, n)
    try:
        if not DUMP_SIGNAL or not _has_open(pid, path):
            return ""
        os.kill(pid, DUMP_SIGNAL)
        until, size = time.monotonic() + DUMP_S, 0
        # It is written line by line: complete once it has stopped growing.
        while (not size or path.stat().st_size > size) and time.monotonic() < until:
            size = path.stat().st_size
            time.sleep(STEP_S)
        found = _FRAME.findall(path.read_text("utf-8", "replace"))
    except OSError:
        return ""
    return _text([(file, int(line), function) for file, line, function in reversed(found)])


def _has_open(pid: int, path: Path) -> bool:
    fds = Path(f"/proc/{pid}/fd")
    return any(os.path.realpath(fd) == os.path.realpath(path) for fd in fds.iterdir())


def _text(calls: list[tuple[str, int, str]]) -> str:
    """Calls as the frames of a traceback, without those around the function of the task."""
    at = max((n for n, (_, _, function) in enumerate(calls) if function == BODY), default=-1)
    inside = list(itertools.dropwhile(lambda call: is_engine(call[0]), calls[at + 1 :]))
    lines = []
    for file, line, function in inside[-FRAMES_MAX:]:
        code = linecache.getline(file, line).strip()
        lines.append(f'  File "{file}", line {line}, in {function}\n' + (f"    {code}\n" if code else ""))
    return "".join(lines)
