"""The log lines that a task's body writes are kept with its attempt.

One handler on the root logger takes what is logged in a thread while a body runs there: level, instant and message,
bounded in number and length. Nothing is taken outside of bodies, and what is below the logger's own level is not made.
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
MASKED_CHARS = 64 * 1024  # of a line: secrets are taken out before it is cut

Line = tuple[float, str, str]  # epoch s, level, text


class JobLog(logging.Handler):
    """Collects a list of lines per running body."""

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
        """The body ended: its lines, the first and the last where there were too many."""
        lines: list[Line] = self._here.lines
        self._here.lines = None
        return lines

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
            lines[LINES_MAX // 2 :] = [*lines[LINES_MAX // 2 + 1 :], line]  # keep how it began and how it ended
        self._heed_timeout()

    def _heed_timeout(self) -> None:
        """An alarm may never find a body that does nothing but log outside of logging: so it is raised here, as any
        handler may raise."""
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
    """Take log lines from now on (in a worker process)."""
    root, job_log_handler.installed = logging.getLogger(), True
    if job_log_handler not in root.handlers:
        root.addHandler(job_log_handler)
