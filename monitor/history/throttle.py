"""The pace of the recorder: how long it leaves the processor to the work, after a batch behind which more waits.

Where processors are free it rests three times as long as it worked: requests share its interpreter, and workers the
memory and the queue's file. Where it had to wait for a processor itself, others did too, and the work goes first. Both
are for a burst: the older what waits has become, the shorter the rest, and what is late is recorded at full speed.
"""

from __future__ import annotations

import time

LATE_S = 3.0  # events that waited for so long wait no longer
REST = 3.0  # how many times the processor time that was used
REST_IN_A_CROWD = 12.0
CROWD = 0.1  # waiting for so much of the time used is having to wait


class WriteThrottle:
    """For one thread: `begin`, work, `rest_s`."""

    def begin(self) -> None:
        self._used_s, self._waited_s = time.thread_time(), waited_s()

    def rest_s(self, lag_s: float) -> float:
        """How long to rest when the oldest event of the batch had waited for `lag_s`."""
        used_s, waited = time.thread_time() - self._used_s, waited_s()
        crowded = waited is None or self._waited_s is None or waited - self._waited_s > CROWD * used_s
        return used_s * (REST_IN_A_CROWD if crowded else REST) * max(0.0, 1 - lag_s / LATE_S)


def waited_s() -> float | None:
    """For how long this thread has waited for a processor; None where the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as told:
            return int(told.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None
