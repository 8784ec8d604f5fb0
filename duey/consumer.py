"""The worker process: `huey_consumer consumer.huey` loads this module and runs the `huey` that it exports.

An error at the start, such as a bad setting or task file, is printed as one sentence. It is raised as SystemExit,
because Huey's loader imports this module a second time after any other exception.
"""

from __future__ import annotations

import os

from duey import config
from duey import files as config_files

PARENT_VARIABLE = "CONSUMER_PARENT_PID"  # set by the web process that started this consumer

try:
    from duey import errors, huey, load_tasks, logs, settings
    from duey.os_process import PARENT_STOPS, die_with_parent
    from duey.worker import stdio
except config.ConfigError as exc:
    raise SystemExit(str(exc)) from None
except Exception as exc:
    raise SystemExit(f"Duey cannot be loaded: {type(exc).__name__}: {exc}") from exc

if PARENT_VARIABLE in os.environ:
    die_with_parent(int(os.environ.pop(PARENT_VARIABLE)), PARENT_STOPS)
stdio.install()
config_files.close_to_others(settings)
logs.configure(settings)
try:
    load_tasks()
except errors.DueyError as exc:
    raise SystemExit(str(exc)) from None

__all__ = ["huey"]
