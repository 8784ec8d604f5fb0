"""What a consumer is started with: flag over environment over config.ini.

`huey_consumer` hands over every option at its default when its flag is absent, so an absent flag cannot be told from
its default there: argv is parsed once more with Huey's own parser.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from huey.consumer_options import OptionParserHandler, config_defaults

from duey.config import Settings


def consumer_options(settings: Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` as Huey's create_consumer gets it, completed from the settings."""
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
    """The names of the options that somebody really chose."""
    flags = command_flags()
    if flags is not None:
        return {name for name, value in flags.items() if value is not None}
    defaults = dict(config_defaults)
    return {name for name, value in given.items() if name not in defaults or value != defaults[name]}


def command_flags() -> dict[str, Any] | None:
    """The flags of the `huey_consumer` that runs, None where an absent one is; None when another program runs."""
    if not os.path.basename(sys.argv[0]).startswith("huey_consumer"):
        return None
    parsed, _ = OptionParserHandler().get_option_parser().parse_args(sys.argv[1:])
    return dict(vars(parsed))


def flag_given(name: str) -> bool:
    """Whether the command line chose this flag (and not its negation)."""
    return bool((command_flags() or {}).get(name))
