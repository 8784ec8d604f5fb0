"""Keeps the log lines of a body with its attempt, and shows them while it runs.

A handler on the root logger collects what is logged in a thread while a body runs there: time, level and message,
limited in number and length. Records below the level of their logger are never created. Where `capture_print` is set,
for the service or for a task, what a body prints is collected too, line by line.

While a body runs, a thread of the worker process writes what is new to the storage, at most once a second for all
bodies of the process (`LiveLog`). It sleeps while nobody logs, and a body that ends within FIRST_S writes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from duey import clock, logs
from duey.execution.body.thread_timeouts import ENGINE, LOGGING, may_raise
from duey.execution.error_text import MASKED_MAX
from duey.model.log_lines import HALF_LINES, AttemptLog, Line, Numbered
from duey.tasks.current import current_job_context

LINE_CHARS = 2000
BEGUN_CHARS = 64 * 1024  # of a line that is printed piece by piece: what comes after them is dropped
PRINTED = "PRINT"  # in place of the level
FIRST_S, EVERY_S = 0.25, 1.0  # pause before the first lines are written, and between two writes


class LogStore(Protocol):
    """The part of a storage to which lines are written while bodies run."""

    def put_logs(self, lines: Mapping[int, Sequence[Numbered]]) -> None: ...
    def end_logs(self, tokens: Sequence[int]) -> None: ...


class LiveLog:
    """Writes the lines of running bodies to the storage, in a thread of its own."""

    def __init__(self, storage: LogStore) -> None:
        self._storage = storage
        self._queue: SimpleQueue[AttemptLog] = SimpleQueue()  # its `put` may be interrupted by another one
        self._unwritten: dict[AttemptLog, list[Numbered]] = {}  # what could not be written

    def note(self, log: AttemptLog) -> None:
        """A log has new lines, or has ended. Called by the threads of bodies."""
        if not log.queued:
            log.queued = True
            self._queue.put(log)

    def run(self) -> None:
        """Write, for as long as the process lives."""
        written_at = 0.0
        while True:
            found = {self._queue.get()}
            time.sleep(max(FIRST_S, written_at + EVERY_S - time.monotonic()))
            with contextlib.suppress(Empty):
                while True:
                    found.add(self._queue.get_nowait())
            self._write(found)
            written_at = time.monotonic()

    def _write(self, found: set[AttemptLog]) -> None:
        lines: dict[int, Sequence[Numbered]] = {}
        over: list[int] = []
        for log in found:
            log.queued = False  # before its lines are taken: what is added from here on queues it again
            shown, log.shown = log.shown, True  # before it is asked whether the body has ended, which looks at `shown`
            if log.ended:
                over += [log.token] if shown else []
                self._unwritten.pop(log, None)
                continue
            taken = [*self._unwritten.get(log, ()), *log.take()]
            self._unwritten[log] = taken if len(taken) <= 2 * HALF_LINES else taken[:HALF_LINES] + taken[-HALF_LINES:]
            lines[log.token] = self._unwritten[log]
        try:
            if lines:
                self._storage.put_logs(lines)
            if over:
                self._storage.end_logs(over)
        except Exception:  # the storage cannot be used, or the disk is full: later, with what is added until then
            for log in found:
                if not log.ended:
                    self.note(log)
            return
        for log in found:
            self._unwritten.pop(log, None)


class JobLog(logging.Handler):
    """Collects the lines of each running body."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._here = threading.local()  # log: None outside of a body, its token, or its AttemptLog once it has a line
        self.live: LiveLog | None = None
        self.stdout: Stdout | None = None  # where what is printed is kept
        self.installed = False

    def begin(self, token: int = 0) -> None:
        """A body begins in this thread, of the claim with this token."""
        self._here.log = token
        if self.installed and (
            logs.jobs.disabled or self not in logging.root.handlers
        ):  # a body has configured logging
            logs.keep()
            install()

    def end(self) -> list[Line] | None:
        """The body of this thread has ended. Returns its lines, if there are any."""
        if self.stdout is not None:
            self.stdout.end_line()
        log, self._here.log = self._here.log, None
        if type(log) is not AttemptLog:
            return None
        log.ended = True
        if log.shown and self.live is not None:
            self.live.note(log)
        return log.lines()

    def handle(self, record: logging.LogRecord) -> bool:
        """Without a lock: each thread has lines of its own, and `__str__` of what is logged may take long."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(self._here, "log", None) is None:
            return
        try:
            text = record.getMessage()
        except BaseException as exc:
            text = f"<a log line that could not be made: {type(exc).__name__}>"
        self._add(record.created, record.levelname, text)
        self.heed_timeout()

    def printed(self, text: str) -> None:
        """A body has printed a line."""
        if getattr(self._here, "log", None) is not None:
            self._add(clock.now(), PRINTED, text)

    def _add(self, at: float, level: str, text: str) -> None:
        try:
            job_context, text = current_job_context(), text[:MASKED_MAX]
            text = (job_context.mask.text(text) if job_context else text)[:LINE_CHARS]
        except BaseException as exc:
            text = f"<a log line that could not be made: {type(exc).__name__}>"
        log = self._here.log
        if type(log) is int:
            log = self._here.log = AttemptLog(log)
        log.add(at, level, text)
        if self.live is not None:
            self.live.note(log)

    def heed_timeout(self) -> None:
        """Raise the time-out of a body here. If a body does nothing but log, the alarm may never find it outside of
        logging, where it must not raise."""
        job_context = current_job_context()
        if job_context is None or not job_context.deadline.unheeded:
            return
        frame = sys._getframe()
        while frame.f_back is not None and frame.f_code.co_filename.startswith((ENGINE, LOGGING)):
            frame = frame.f_back
        if may_raise(frame):
            job_context.deadline.strike()


job_log_handler = JobLog()


def install(live: LiveLog | None = None) -> None:
    """Add the handler. Called in worker processes."""
    root, job_log_handler.installed = logging.getLogger(), True
    if live is not None:
        job_log_handler.live = live
    if job_log_handler not in root.handlers:
        root.addHandler(job_log_handler)


class Stdout:
    """Standard output that also gives each line that a body prints to its log, where its task wants that. Everything
    else is what the stream does that it replaces."""

    def __init__(self, stream: Any, everywhere: bool) -> None:
        self._stream, self._everywhere = stream, everywhere
        self._here = threading.local()  # begun: what stands on the line so far

    def write(self, text: str) -> int:
        count: int = self._stream.write(text)
        job_context = current_job_context()
        if job_context is not None:
            if self._wanted(job_context):
                first, *more = text.split("\n")
                begun = getattr(self._here, "begun", "")
                lines = [begun + first if len(begun) < BEGUN_CHARS else begun, *more]  # cut nowhere within a piece
                for line in lines[:-1]:
                    job_log_handler.printed(line)
                self._here.begun = lines[-1][:MASKED_MAX]
            job_log_handler.heed_timeout()
        return count

    def _wanted(self, job_context: Any) -> bool:
        task = job_context.huey._registry._registry.get(job_context.claim.job.task)
        return bool(getattr(task, "capture_print", self._everywhere))

    def end_line(self) -> None:
        """A body has ended in this thread, perhaps in the middle of a line."""
        begun, self._here.begun = getattr(self._here, "begun", ""), ""
        if begun:
            job_log_handler.printed(begun)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def capture_print(huey: Any) -> None:
    """Give what bodies print to their logs, if the settings or a task ask for that. Called in worker processes."""
    everywhere = huey.settings.log.capture_print
    if everywhere or any(getattr(task, "capture_print", False) for task in huey._registry._registry.values()):
        sys.stdout = job_log_handler.stdout = Stdout(sys.stdout, everywhere)
