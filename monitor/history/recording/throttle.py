"""The pace of the recorder: how long it rests after a full batch, so that requests and workers are not slowed down.

The recorder shares its interpreter with requests, and memory and the queue's file with workers. If a processor was
free, it rests three times as long as it worked. If it had to wait for a processor, it rests longer. The older the
waiting events are, the shorter the rest, so that the delay stays limited.
"""

from __future__ import annotations

import time

LATE_S = 3.0  # at this age of the oldest event there is no rest
REST = 3.0  # multiple of the processor time used
REST_IN_A_CROWD = 12.0
CROWD = 0.1  # waiting longer than this share of the time used means that the processors are busy


class WriteThrottle:
    """Computes rests, in one thread: call `begin`, work, then `rest_s`."""

    def begin(self) -> None:
        self._used_s, self._waited_s = time.thread_time(), waited_s()

    def rest_s(self, lag_s: float) -> float:
        """Return how many seconds to rest, if the oldest event of the batch is `lag_s` seconds old."""
        used_s, waited = time.thread_time() - self._used_s, waited_s()
        crowded = waited is None or self._waited_s is None or waited - self._waited_s > CROWD * used_s
        return used_s * (REST_IN_A_CROWD if crowded else REST) * max(0.0, 1 - lag_s / LATE_S)


def waited_s() -> float | None:
    """Return how many seconds this thread has waited for a processor, or None if the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as told:
            return int(told.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
