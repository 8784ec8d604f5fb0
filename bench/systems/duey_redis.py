"""Duey on Redis, with all that it promises."""

from __future__ import annotations

from bench.systems.duey import Duey, huey


class DueyOnRedis(Duey):
    title = "Duey on Redis"
    settings = "as it comes: events written, results kept for a day"
    guarantee = (
        "at least once, one end each (fenced); what was accepted survives what Redis survives (everysec: all but up to "
        "two seconds)"
    )
    packages = ("huey", "redis")
    jobs = 8_000

    def stored(self) -> int:
        return sum(1 for event in huey.lifecycle.read_events(1_000_000) if event.kind == "done")


SYSTEM = DueyOnRedis()
