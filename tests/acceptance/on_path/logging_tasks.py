"""A task module that configures logging for itself, as applications do: in the consumer, at import and in a body."""

from __future__ import annotations

import logging.config
import os

from duey import huey


def configure(name: str) -> None:
    """The whole of logging anew, into a file beside the ledger; what was there before is disabled."""
    handler = {"class": "logging.FileHandler", "filename": f"{os.environ['DUEY_TEST_LEDGER']}.{name}"}
    root = {"level": "INFO", "handlers": ["own"]}
    logging.config.dictConfig({"version": 1, "handlers": {"own": handler}, "root": root})


if "DUEY_TEST_CONFIGURE" in os.environ:
    configure("at_import")


@huey.task()
def says(line: str) -> None:
    logging.getLogger(line).info(line)  # one that was not there before
    raise ValueError(line)


@huey.task()
def configures() -> None:
    configure("in_body")
