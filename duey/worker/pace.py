"""How many jobs a worker process claims at once, by how long their bodies take and how far away the storage is.

If the storage is near, a batch holds what fits into a window of a few milliseconds. If it is far away, threads would be
idle for a round trip after each batch. So the next batch is claimed while they run, and claims wait in the process: as
many as its threads run in two round trips, of which one passes until the next batch is there.
"""

from __future__ import annotations

from duey.storage.contract import JobStorage

SHORT_S = 0.001  # for shorter bodies, waiting is cheaper than handing over to another thread
WINDOW_S = 0.004  # longest time that a claim waits before it begins, if the storage is near
FAR_S = 0.01  # a storage with a longer round trip is far away
BATCH_MAX, AHEAD_MAX = 64, 256


class Pace:
    """One for each prefetcher, which guards it."""

    def __init__(self, storage: JobStorage) -> None:
        self._storage = storage
        self.body_s = SHORT_S  # moving average of the length of bodies

    @property
    def is_far(self) -> bool:
        """Whether claims wait in the process while the next ones are under way."""
        return self._storage.round_trip_s >= FAR_S

    @property
    def patience_s(self) -> float:
        """How long a claim may wait while no thread takes one."""
        return max(WINDOW_S, 2 * self._storage.round_trip_s if self.is_far else 0.0)

    def ran(self, run_s: float) -> float:
        """Count a body. Returns how long it ran."""
        self.body_s += (run_s - self.body_s) * 0.2
        return run_s

    def batch(self) -> int:
        """How many jobs fit into a window."""
        return min(BATCH_MAX, int(WINDOW_S / max(self.body_s, 1e-6)))

    def ahead(self, threads: int, ended: int) -> int:
        """How many claims may wait: as many as these threads run in two round trips, but at first, before it is known
        how long bodies take, no more than twice as many as have just `ended`, and one for each thread."""
        if not self.is_far:
            return 0
        in_two_trips = int(2 * threads * self._storage.round_trip_s / max(self.body_s, 1e-6))
        return min(AHEAD_MAX, in_two_trips, threads + 2 * ended)
