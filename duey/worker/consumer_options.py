"""The options of a consumer: flags override the environment, which overrides config.ini.

`huey_consumer` passes the default of every option whose flag is missing, so that a missing flag cannot be recognized.
So argv is parsed once more with Huey's parser.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from huey.consumer_options import OptionParserHandler, config_defaults

from duey.config import Settings


def consumer_options(settings: Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, the options that Huey passes to create_consumer, completed from the settings."""
    flags = given_flags(given)
    chosen = dict(given)
    for name, value in (
        ("workers", settings.consumer.workers),
        ("worker_type", settings.consumer.worker_type),
        ("shutdown_timeout", settings.consumer.shutdown_timeout_s),
    ):
        if name not in flags:
            chosen[name] = value
    chosen["queues"] = tuple((pool.name, pool.workers) for pool in settings.consumer.queues)
    chosen["weighted"] = settings.consumer.order == "weighted"
    chosen["lease_s"], chosen["heartbeat_s"] = settings.consumer.lease_s, settings.consumer.heartbeat_s
    chosen["max_crashes"] = settings.tasks.max_crashes
    return chosen


def given_flags(given: Mapping[str, Any]) -> set[str]:
    """The names of the options that were really given."""
    flags = command_flags()
    if flags is not None:
        return {name for name, value in flags.items() if value is not None}
    defaults = dict(config_defaults)
    return {name for name, value in given.items() if name not in defaults or value != defaults[name]}


def command_flags() -> dict[str, Any] | None:
    """The flags of the running `huey_consumer`, with None for missing ones. None if another program runs."""
    if not os.path.basename(sys.argv[0]).startswith("huey_consumer"):
        return None
    parsed, _ = OptionParserHandler().get_option_parser().parse_args(sys.argv[1:])
    return dict(vars(parsed))


def flag_given(name: str) -> bool:
    """Whether this flag is given on the command line, and not its negation."""
    return bool((command_flags() or {}).get(name))
