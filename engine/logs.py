"""How the processes log: one line a record, as text or JSON, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

from config import Settings
from engine import inside

TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s%(job_note)s"


class JobFilter(logging.Filter):
    """Lets every record through, and tells it which job's body logged it: `job_id`, `task` and `context` (empty outside
    of bodies), and `job_note`, the same as text. Put it on any handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        body = inside.current_body()
        record.job_id = body.job.id if body else ""
        record.task = body.job.task if body else ""
        record.context = body.huey.composer.redactor.redact(dict(body.job.context)) if body else {}
        record.job_note = body.note if body else ""
        return True


class Utc(logging.Formatter):
    """RFC 3339 UTC instants, whatever the host's zone."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        instant = datetime.fromtimestamp(record.created, timezone.utc)
        return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Json(Utc):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record), "level": record.levelname, "logger": record.name,
            "message": record.getMessage(), "pid": record.process,
        }  # fmt: skip
        if getattr(record, "job_id", ""):
            line |= {name: getattr(record, name) for name in ("job_id", "task", "context")}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(settings: Settings) -> None:
    """Log to standard error as `[log]` says."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(JobFilter())
    handler.setFormatter(Json() if settings.log.format == "json" else Utc(TEXT))
    logging.basicConfig(level=settings.log.level, handlers=[handler], force=True)


def tame_huey(logfile: bool, verbose: bool) -> None:
    """Huey's command gives its logger a handler of its own, and logs a line for each job: the events tell more.

    With `-v` the lines come back; with `-l FILE` Huey's handler stays.
    """
    logger = logging.getLogger("huey")
    if not logfile:
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
    if not verbose:
        logger.setLevel(logging.CRITICAL)
