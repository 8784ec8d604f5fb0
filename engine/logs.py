"""How the processes log: one line a record, as text or JSON, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

from config import Settings

TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


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
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(settings: Settings) -> None:
    """Log to standard error as `[log]` says."""
    handler = logging.StreamHandler(sys.stderr)
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
