"""Keeps the log lines of a body with its attempt.

A handler on the root logger collects what is logged in a thread while a body runs there: time, level and message,
limited in number and length. Records below the level of their logger are never created.
"""

from __future__ import annotations

import logging
import sys
import threading

from duey import logs
from duey.execution.thread_timeouts import ENGINE, LOGGING, may_raise
from duey.tasks.current import current_job_context

LINES_MAX = 200
LINE_CHARS = 2000
MASKED_CHARS = 64 * 1024  # of a line in which secrets are masked before it is truncated

Line = tuple[float, str, str]  # epoch s, level, text


class JobLog(logging.Handler):
    """Collects the lines of each running body."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._here = threading.local()
        self.installed = False

    def begin(self) -> None:
        """A body begins in this thread."""
        self._here.lines = []
        if self.installed and (
            logs.jobs.disabled or self not in logging.root.handlers
        ):  # a body has configured logging
            logs.keep()
            install()

    def end(self) -> list[Line]:
        """The body of this thread has ended. Returns its lines; if there were too many, the first and the last ones."""
        lines: list[Line] = self._here.lines
        self._here.lines = None
        return lines

    def handle(self, record: logging.LogRecord) -> bool:
        """Without a lock: each thread has lines of its own, and `__str__` of what is logged may take long."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[Line] | None = getattr(self._here, "lines", None)
        if lines is None:
            return
        try:
            job_context, text = current_job_context(), record.getMessage()[:MASKED_CHARS]
            text = (job_context.mask.text(text) if job_context else text)[:LINE_CHARS]
        except BaseException as exc:
            text = f"<a log line that could not be made: {type(exc).__name__}>"
        line = (record.created, record.levelname, text)
        if len(lines) < LINES_MAX:
            lines.append(line)
        else:
            lines[LINES_MAX // 2 :] = [*lines[LINES_MAX // 2 + 1 :], line]  # drop lines from the middle
        self._heed_timeout()

    def _heed_timeout(self) -> None:
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


def install() -> None:
    """Add the handler. Called in worker processes."""
    root, job_log_handler.installed = logging.getLogger(), True
    if job_log_handler not in root.handlers:
        root.addHandler(job_log_handler)
