"""How the processes log: one line a record, as text or JSON, on standard error; a traceback follows, indented.

What a job says cannot pass for another line or act on a terminal: it is escaped. Secrets are masked.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import datetime, timezone

from duey import clock
from duey import files as config_files
from duey.config import Settings
from duey.model.job import FAILED, RETRYING, Settlement
from duey.payload.masking import escaped
from duey.payload.redact import Redactor, configured
from duey.tasks import current

jobs = logging.getLogger("duey.jobs")
CAUSE_CHARS = 300
TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s%(job_note)s"


class JobFilter(logging.Filter):
    """Lets every record through, and tells it which job's body logged it: `job_id`, `task` and `context` (empty outside
    of bodies), and `job_note`, the same as text. Put it on any handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "job_id"):  # of a job that has just ended
            record.job_note = ""
            return True
        job_context = current.current_job_context()
        record.job_id = job_context.job.id if job_context else ""
        record.task = job_context.job.task if job_context else ""
        record.context = job_context.shown_context if job_context else {}
        record.job_note = job_context.note if job_context else ""
        return True


class Utc(logging.Formatter):
    """Text, with RFC 3339 UTC instants, whatever the host's zone. `names` are those of secrets ([monitor] redact)."""

    def __init__(self, text: str = TEXT, names: Iterable[str] = ()) -> None:
        super().__init__(text)
        self._redactor = configured(names)

    def format(self, record: logging.LogRecord) -> str:
        record.message, record.asctime = self.masked(record.getMessage()), self.formatTime(record)
        record.job_note = getattr(record, "job_note", "")
        more = self.traces(record)
        if getattr(record, "many_lines", False):  # a message of ours, with a traceback in it
            record.message, _, trace = record.message.partition("\n")
            more.insert(0, trace)
        lines = [self.formatMessage(record)]
        lines += [f"  {line}" for text in more for line in text.rstrip("\n").split("\n")]
        return "\n".join(map(escaped, lines))

    def masked(self, text: str) -> str:
        """The text without secrets: those of the job whose body logs it, and those that any text gives away."""
        job_context = current.latest_job_context()
        return str(job_context.mask.text(text)) if job_context else self._redactor.text(text)

    def traces(self, record: logging.LogRecord) -> list[str]:
        """Traceback and stack, where the record has them. Made anew: what another handler left there is not masked."""
        trace = super().formatException(record.exc_info) if record.exc_info else record.exc_text
        return [self.masked(text) for text in (trace, record.stack_info) if text]

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        instant = datetime.fromtimestamp(record.created, timezone.utc)
        return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Json(Utc):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record), "level": record.levelname, "logger": record.name,
            "message": self.masked(record.getMessage()), "pid": record.process,
        }  # fmt: skip
        if getattr(record, "job_id", ""):
            line |= {name: getattr(record, name) for name in ("job_id", "task", "context")}
        if traces := self.traces(record):
            line["traceback"] = "\n".join(traces)
        return json.dumps(line, default=str)


def formatter(settings: Settings) -> Utc:
    """The one formatter of all handlers of ours."""
    return (Json if settings.log.format == "json" else Utc)(TEXT, settings.monitor.redact)


def configure(settings: Settings) -> None:
    """Log to standard error as `[log]` says."""
    logging.basicConfig(level=settings.log.level, handlers=[_to_stderr(settings)], force=True)


def attach(logger: logging.Logger, settings: Settings) -> None:
    """Let this logger alone write to standard error, from INFO on: for a command, which logs nothing else."""
    logger.handlers, logger.propagate = [_to_stderr(settings)], False
    logger.setLevel(logging.INFO)


def _to_stderr(settings: Settings) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(JobFilter())
    handler.setFormatter(formatter(settings))
    return handler


def keep() -> None:
    """Let our loggers speak again: `logging.config.dictConfig`, which a task module may use for itself, silences all
    that were there before."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] in ("duey", "huey") and isinstance(logger, logging.Logger):
            logger.disabled = False


def log_failure(settlement: Settlement, redactor: Redactor) -> None:
    """The log's line of a failed attempt: a warning where the job runs again, an error where it has failed for good.
    The traceback is on record, and in the log at DEBUG. What is no failure (a `Retry`, a held lock) has no line."""
    claim, outcome = settlement.claim, settlement.outcome
    if outcome != FAILED and not (outcome == RETRYING and settlement.failures > claim.failures):
        return
    said = json.loads(settlement.detail or "{}")
    why = redactor.redact(f"{said.get('type')}: {said.get('message')}"[:CAUSE_CHARS].partition("\n")[0])
    extra = {"job_id": claim.id, "task": claim.task, "context": {}}
    if settlement.discarded:  # its task says that this is to be expected
        jobs.warning("job %s (%s) was discarded: %s", claim.id, claim.task, why, extra=extra)
    elif outcome == FAILED:
        jobs.error("job %s (%s) failed: %s", claim.id, claim.task, why, extra=extra)
    else:
        wait_s = max(0.0, (settlement.eta or 0.0) - clock.now())
        again = f"runs again in {wait_s:.3g} s, {settlement.retries} retries left"
        jobs.warning("job %s (%s) failed and %s: %s", claim.id, claim.task, again, why, extra=extra)
    if jobs.isEnabledFor(logging.DEBUG):
        trace = redactor.redact(str(said.get("traceback", "")).rstrip())
        jobs.debug("job %s (%s):\n%s", claim.id, claim.task, trace, extra={**extra, "many_lines": True})


def tame_huey(settings: Settings, logfile: bool, verbose: bool) -> None:
    """Huey's command gives its logger a handler of its own, and logs a line for each job: the events tell more.

    With `-v` the lines come back; with `-l FILE` everything that is logged goes to that file as well.
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
