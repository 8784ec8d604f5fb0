"""The worker process: `huey_consumer consumer.huey` loads this module and runs the `huey` that it exports.

Whatever keeps it from starting (a setting, a task file) is said in one sentence: SystemExit, because Huey's loader
would import this module a second time after any other error.
"""

from __future__ import annotations

import config

try:
    from engine import errors, huey, load_tasks

    load_tasks()
except config.ConfigError as exc:
    raise SystemExit(str(exc)) from None
except errors.DeweyError as exc:
    raise SystemExit(str(exc)) from None

__all__ = ["huey"]
