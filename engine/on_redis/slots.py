"""Schedules and their slots: each due time is dealt with once, whoever comes first.

The script of `fire` holds the schedule's new `last`, every slot, and the jobs. It happens only if `last` is still what
the caller saw, so any number of consumers, restarts and clock steps give one job a slot.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine import clock, errors
from engine.jobs import NewJob
from engine.ledger import ScheduleRow, SlotRow
from engine.on_redis import rows
from engine.on_redis.server import Server

KEPT = 500  # slots of a schedule that are kept


class RedisLedger:
    """engine.ledger.Ledger on Redis."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def schedules(self) -> list[ScheduleRow]:
        found = [
            ScheduleRow(name.decode(), source.decode(), spec.decode(), paused == b"1", float(last), float(since))
            for name, source, spec, paused, last, since in self._server.run("schedules", again=True)
        ]
        return sorted(found)

    def add(self, row: ScheduleRow, replace: bool = False) -> bool:
        words = (int(replace), row.source, row.spec, int(row.paused), float(row.last), float(row.since))
        return bool(self._server.run("schedule", "add", row.name, *words))

    def remove(self, name: str) -> bool:
        return bool(self._server.run("schedule", "remove", name))

    def pause(self, name: str, paused: bool) -> bool:
        return bool(self._server.run("schedule", "pause", name, int(paused), again=True))

    def fire(self, name: str, last: float, new_last: float, slots: Sequence[SlotRow], jobs: Sequence[NewJob]) -> bool:
        return self._fire(name, "fire", last, new_last, slots, jobs)

    def run_now(self, slot: SlotRow, job: NewJob) -> None:
        self._fire(slot.schedule, "now", 0.0, 0.0, [slot], [job])

    def _fire(
        self, name: str, kind: str, last: float, new_last: float, slots: Sequence[SlotRow], jobs: Sequence[NewJob]
    ) -> bool:
        words: list[Any] = [name, kind, float(last), float(new_last), KEPT, len(slots), len(jobs)]
        for slot in slots:
            words += (float(slot.at), slot.outcome, slot.job_id or "", slot.reason or "", float(slot.noted_at))
        for job in jobs:
            rows.job_words(words, job, clock.now())
        answer = self._server.run("fire", *words)
        if isinstance(answer, list):
            raise errors.DuplicateJob(answer[1].decode(), answer[2].decode())
        return bool(answer)

    def slots_of(self, name: str, limit: int) -> list[tuple[SlotRow, str | None]]:
        found = []
        for at, text, state in self._server.run("slots", name, limit, again=True):
            outcome, job_id, reason, noted_at = json.loads(text)
            slot = SlotRow(name, float(at), outcome, job_id or None, reason or None, float(noted_at))
            found.append((slot, None if state is None else state.decode()))
        return found

    def seen_alive(self, now: float) -> float | None:
        before = self._server.run("seen_alive", float(now))
        return None if before is None else float(before)
