"""Schedules and their slots on Redis. Each due time is handled once, by whichever consumer is first.

The script of `fire` holds the schedule's new `last`, every slot and the jobs. It does nothing if the schedule has
changed since the caller read it. So there is one job for each slot, with any number of consumers and restarts, and when
the clock is set.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from duey import clock, errors, faults
from duey.model import schedule
from duey.model.job import JobRecord
from duey.model.schedule import Gap, OccurrenceRow, ScheduleRow, Tick
from duey.storage.redis import codec
from duey.storage.redis.connection.client import Server

SENTENCES = (schedule.STILL_GOING, schedule.KEY_HELD, schedule.FULL)


class RedisScheduleStore:
    """duey.model.schedule.ScheduleStore on Redis."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def schedules(self, name: str | None = None) -> list[ScheduleRow]:
        rows = self._server.run("schedules", *([] if name is None else [name]), again=True)
        found = [
            ScheduleRow(
                key.decode(), source.decode(), spec.decode(), paused == b"1", float(last), float(since),
                float(waiting) if waiting else None, int(waits),
            )
            for key, source, spec, paused, last, since, waiting, waits in rows
        ]  # fmt: skip
        return sorted(found, key=lambda row: row.name)

    def add(self, row: ScheduleRow) -> bool:
        words = (row.source, row.spec, int(row.paused), float(row.last), float(row.since))
        return bool(self._server.run("schedule", "add", row.name, *words, durable=True))

    def replace(self, seen: ScheduleRow, spec: str, last: float) -> bool:
        words = (seen.spec, float(seen.last), spec, float(last))
        return bool(self._server.run("schedule", "replace", seen.name, *words, durable=True))

    def remove(self, name: str) -> bool:
        return bool(self._server.run("schedule", "remove", name, durable=True))

    def rename(self, name: str, new: str) -> bool:
        return bool(self._server.run("schedule", "rename", name, new, durable=True))

    def pause(self, name: str, paused: bool) -> bool:
        return bool(self._server.run("schedule", "pause", name, int(paused), again=True, durable=True))

    def fire(self, ticks: Sequence[Tick]) -> Mapping[str, Collection[str]]:
        done = {}
        for tick in ticks:
            row = tick.row
            seen = (float(row.last), int(row.paused), float(tick.new_last))
            accepted = self._deal(row.name, "fire", seen, tick.slots, tick.jobs)
            if accepted is not None:
                done[row.name] = accepted
        return done

    def release(self, name: str, at: float, job: JobRecord | None, reason: str | None = None) -> bool:
        slot = OccurrenceRow(name, at, schedule.MISSED, None, reason, clock.now())
        if job is not None:
            slot = slot._replace(outcome=schedule.DEFERRED, job_id=job.id)
        return bool(self._deal(name, "release", (0.0, 0, 0.0), [slot], [job] if job else []))

    def run_now(self, slot: OccurrenceRow, job: JobRecord) -> bool:
        accepted = self._deal(slot.schedule, "now", (0.0, 0, 0.0), [slot], [job])
        if accepted and accepted[0] == "held":
            raise errors.UniqueConflict(job.unique_key or job.id, accepted[1])
        return accepted is not None

    def _deal(
        self,
        name: str,
        kind: str,
        seen: tuple[float, int, float],
        slots: Sequence[OccurrenceRow],
        jobs: Sequence[JobRecord],
    ) -> list[str] | None:
        """Run fire.lua. Returns the ids of the accepted jobs, None if the schedule has changed."""
        words: list[Any] = [name, kind, *seen, schedule.KEPT, schedule.WAITING_MAX, *SENTENCES, len(slots), len(jobs)]
        for slot in slots:
            words += (float(slot.at), slot.outcome, slot.job_id or "", slot.reason or "", float(slot.noted_at))
        for job in jobs:
            codec.job_words(words, job, clock.now())
        if faults.point:
            faults.point("fire.begun")
        # A slot and its job are lost together in a failover, and then it is fired again.
        answer = self._server.run("fire", *words, durable=kind == "now")
        if faults.point:
            faults.point("fire.committed")
        return None if answer is None else [each.decode() for each in answer]

    def slots_of(self, name: str, limit: int, until: float = math.inf) -> list[tuple[OccurrenceRow, str | None]]:
        found = []
        for at, text, state in self._server.run("slots", name, limit, float(until), again=True):
            outcome, job_id, reason, noted_at = json.loads(text)
            slot = OccurrenceRow(name, float(at), outcome, job_id or None, reason or None, float(noted_at))
            found.append((slot, None if state is None else state.decode()))
        return found

    def note_alive(self, now: float, why: str) -> float | None:
        before = self._server.run("alive", float(now), schedule.GAP_S, why, schedule.GAPS_KEPT)
        return None if before is None else float(before)

    def noted_s(self) -> float | None:
        found = self._server.run("alive", again=True)
        return None if found is None else max(0.0, float(found))

    def gaps(self) -> list[Gap]:
        self._server.open()
        found = self._server.command(b"LRANGE", self._server.key("gaps"), 0, -1)
        return [Gap(float(since), float(until), why) for since, until, why in map(json.loads, found)]
