"""Logging to standard error: one line per record, as text or JSON. A traceback follows, indented.

Control characters and line breaks in messages are escaped, so that a job cannot forge log lines. Secrets are masked.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable

from duey import clock
from duey import files as config_files
from duey.config import Settings
from duey.model.job import FAILED, RETRYING
from duey.model.outcome import Outcome
from duey.payload.masking import escaped
from duey.payload.plain import PAGE, to_plain
from duey.payload.redact import Redactor, configured
from duey.tasks import current

jobs = logging.getLogger("duey.jobs")
CAUSE_CHARS = 300
# What each record has, and what is not for people; the rest was given as `extra`.
RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "job_note", "many_lines"}
JOB = ("job_id", "task", "context")  # empty outside of a job
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s%(job_note)s"


class JobFilter(logging.Filter):
    """Accepts every record and adds `job_id`, `task` and `context` of the job whose body logged it (empty outside of a
    body), and `job_note`, the same as text. Can be added to any handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "job_id"):  # logged after the job has ended
            record.job_note = ""
            return True
        job_context = current.current_job_context()
        if job_context:
            record.job_id, record.task, record.context, record.job_note = (
                job_context.job.id, job_context.job.task, job_context.shown_context, job_context.note,
            )  # fmt: skip
        else:
            vars(record).update({"job_id": "", "task": "", "context": {}, **vars(record), "job_note": ""})
        return True


class Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error. A line is made before the handler's lock is taken: `__str__` of what is logged may take long."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def handle(self, record: logging.LogRecord) -> bool:
        if not self.filter(record):
            return False
        try:
            line = self.format(record) + self.terminator
            self.acquire()
            try:
                self.stream.write(line)
                self.flush()
            finally:
                self.release()
        except Exception:
            self.handleError(record)
        return True


class Utc(logging.Formatter):
    """Text with RFC 3339 times in UTC. `names` are the names of values to mask ([monitor] redact)."""

    def __init__(self, text: str = TEXT, names: Iterable[str] = ()) -> None:
        super().__init__(text)
        self._redactor = configured(names)

    def format(self, record: logging.LogRecord) -> str:
        record.asctime, record.job_note = self.formatTime(record), getattr(record, "job_note", "")
        record.message, traces = self.texts(record)
        lines = [self.formatMessage(record)]
        lines += [f"  {line}" for text in traces for line in text.rstrip("\n").split("\n")]
        return "\n".join(map(escaped, lines))

    def masked(self, text: str) -> str:
        """Return the text with secrets masked: those of the job whose body logs it, and those that a pattern finds."""
        job_context = current.latest_job_context()
        return str(job_context.mask.text(text)) if job_context else self._redactor.text(text)

    def texts(self, record: logging.LogRecord) -> tuple[str, list[str]]:
        """Return the message of the record, and its traceback and stack. These are formatted again, because a cached
        one is not masked."""
        trace = super().formatException(record.exc_info) if record.exc_info else record.exc_text
        message, more = self.masked(record.getMessage()), [self.masked(t) for t in (trace, record.stack_info) if t]
        if getattr(record, "many_lines", False):  # our own message, which includes a traceback
            message, _, trace = message.partition("\n")
            more.insert(0, trace)
        return message, more

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return clock.rfc3339(record.created) or ""


class Json(Utc):
    """One JSON object per line: also what was given as `extra`, redacted like the arguments of a job."""

    def format(self, record: logging.LogRecord) -> str:
        message, traces = self.texts(record)
        line = {
            "at": self.formatTime(record), "level": record.levelname, "logger": record.name,
            "message": message, "pid": record.process,
        }  # fmt: skip
        if traces:
            line["traceback"] = "\n".join(traces)
        more = {name: each for name, each in vars(record).items() if name not in RECORD and (each or name not in JOB)}
        shown, job_context = self._redactor.redact(to_plain(more, PAGE)), current.latest_job_context()
        return json.dumps({**line, **(job_context.mask.plain(shown) if job_context else shown), **line})


def formatter(settings: Settings) -> Utc:
    """Return the formatter that all our handlers use."""
    return (Json if settings.log.format == "json" else Utc)(TEXT, settings.monitor.redact)


def configure(settings: Settings) -> None:
    """Log to standard error as the `[log]` section says."""
    logging.basicConfig(level=settings.log.level, handlers=[_to_stderr(settings)], force=True)


def attach(logger: logging.Logger, settings: Settings) -> None:
    """Let only this logger write to standard error, from level INFO. For commands, which log nothing else."""
    logger.handlers, logger.propagate = [_to_stderr(settings)], False
    logger.setLevel(logging.INFO)


def _to_stderr(settings: Settings) -> logging.Handler:
    handler = Stderr()
    handler.addFilter(JobFilter())
    handler.setFormatter(formatter(settings))
    return handler


def keep() -> None:
    """Enable our loggers again: when a task module calls `logging.config.dictConfig`, all existing loggers are
    disabled by default."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in ("duey", "huey") and isinstance(logger, logging.Logger):
            logger.disabled = False


def log_failure(outcome: Outcome, redactor: Redactor) -> None:
    """Log a failed attempt: as a warning if the job runs again, as an error if it has failed for good. The traceback is
    stored with the job and logged at DEBUG. A `Retry` or a held lock is no failure and is not logged."""
    job, state = outcome.claim.job, outcome.state
    if state != FAILED and not (state == RETRYING and outcome.failures > job.failures):
        return
    detail = json.loads(outcome.detail or "{}")
    why = redactor.redact(f"{detail.get('type')}: {detail.get('message')}"[:CAUSE_CHARS].partition("\n")[0])
    extra = {"job_id": job.id, "task": job.task, "error": detail.get("type")}
    if outcome.discarded:  # its task declares this error as expected
        jobs.warning("job %s (%s) was discarded: %s", job.id, job.task, why, extra=extra)
    elif state == FAILED:
        jobs.error("job %s (%s) failed: %s", job.id, job.task, why, extra=extra)
    else:
        wait_s = max(0.0, (outcome.eta or 0.0) - clock.now())
        again = f"runs again in {wait_s:.3g} s, {outcome.retries} retries left"
        jobs.warning("job %s (%s) failed and %s: %s", job.id, job.task, again, why, extra=extra)
    if jobs.isEnabledFor(logging.DEBUG):
        trace = redactor.redact(str(detail.get("traceback", "")).rstrip())
        jobs.debug("job %s (%s):\n%s", job.id, job.task, trace, extra={**extra, "many_lines": True})


def tame_huey(settings: Settings, logfile: bool, verbose: bool) -> None:
    """Remove Huey's own log handler, and its line for each job, which repeats what the events record.

    With `verbose` (`-v`) the lines are kept. With `logfile` (`-l FILE`) everything is also logged to that file.
    """
    logger = logging.getLogger("huey")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        if logfile:
            handler.addFilter(JobFilter())
            handler.setFormatter(formatter(settings))
            logging.getLogger().addHandler(handler)
            config_files.mend(getattr(handler, "baseFilename", ""))
    if not verbose:
        logger.setLevel(logging.CRITICAL)
