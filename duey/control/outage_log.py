"""The log of requests that could not be answered because a database or the queue cannot be used.

All requests meet the same problem, some hundred a second: it is logged when the first one does, and then once a minute.
"""

from __future__ import annotations

import logging
import math
import time

EVERY_S = 60.0


class OutageLog:
    """Safe in threads: at worst two log the same."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._logged: dict[str, float] = {}  # when each problem was logged last, by time.monotonic()

    def error(self, problem: Exception, request: str = "") -> None:
        """Log it, after what was asked for."""
        text, now = str(problem), time.monotonic()
        if now < self._logged.get(text, -math.inf) + EVERY_S:
            return
        self._logged = {each: at for each, at in self._logged.items() if now < at + EVERY_S} | {text: now}
        self._logger.error("%s%s", request and f"{request}: ", text)
