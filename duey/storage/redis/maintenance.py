"""Prepares the server, and removes what has expired in small steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duey import clock
from duey.model.event import OWNER_S
from duey.storage.compaction import Backlog
from duey.storage.contract import Maintenance
from duey.storage.redis.commands import unblock_unpaused
from duey.storage.redis.connection import preflight
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.resp import in_pairs
from duey.storage.transfer import words_of

STEP = 500  # jobs that one script removes: limits how long other clients wait


class RedisMaintenance(Maintenance):
    """A part of RedisStorage."""

    server: Server
    backlog: Backlog

    def prepare(self) -> list[str]:
        self.server.open()
        return self.warnings()

    def recorders(self) -> list[str]:
        """Where a history was recorded a moment ago."""
        # No script, so that it is known of a queue that was moved, too.
        found = self.server.command(b"ZRANGE", self.server.key("recorders"), 0, -1, "WITHSCORES")
        return [where.decode() for where, at in in_pairs(found) if float(at) > clock.now() - OWNER_S]

    def warnings(self) -> list[str]:
        with self.server.ahead.reading([self.server.facts, self._move, self.recorders]):
            return self._warnings()

    def _move(self) -> Any:
        return self.server.command(b"GET", self.server.key("move"))

    def _warnings(self) -> list[str]:
        marker = self._move()
        moved = words_of(marker, f"Redis at {self.server.address}")
        return [*preflight.warnings(self.server), *moved, *split_history(self.recorders())]

    def fence(self) -> str | None:
        text = self.server.command(b"GET", self.server.key("fence"))
        return None if text is None else str(text.decode())

    def problems(self) -> list[str]:
        with self.server.ahead.reading([self.server.facts, self.fence]):
            facts, moved = self.server.facts(), self.fence()
        found = facts.problems(f"Redis at {self.server.address}", self.server.replicas) if facts else []
        return [*found, *([moved] if moved else [])]

    def unknown_before(self, instant: float) -> list[str]:
        # The instant is no part of the command, so that it is the same one a moment later: see read_ahead.
        found = self.server.command(b"ZRANGE", self.server.key("unknown"), 0, 99, "WITHSCORES")
        return [each.decode() for each, since in in_pairs(found) if float(since) <= instant]

    def run_maintenance(self, limit: int = 1000) -> bool:
        more = self.backlog.relieve()  # first, so that jobs whose events are compacted can be removed
        self.server.run("recheck", clock.now(), "")
        unblock_unpaused(self.server)
        return bool(self.server.run("maintenance", clock.now(), limit, again=True)) or more

    # for Huey

    def flush_queue(self) -> None:
        self._flush("ready")
        self._flush("blocked")

    def flush_schedule(self) -> None:
        self._flush("scheduled")

    def flush_results(self) -> None:
        self._flush("finished")
        self.server.command(b"DEL", self.server.key("kv"), self.server.key("kv_gone"))

    def _flush(self, place: str) -> None:
        while self.server.run("flush", place, STEP):
            pass
        at = b"-"
        while at := self.server.run("drop_stale", at, STEP):
            pass

    def flush_counters(self) -> None:
        self.server.command(b"DEL", self.server.key("counters"))


def split_history(recorders: Sequence[str]) -> list[str]:
    """The sentence about histories that each hold a part of what happened."""
    if len(recorders) < 2:
        return []
    found = f"expected one history of this queue, found {len(recorders)}, each with a part of the jobs"
    where = ", ".join(sorted(recorders))
    return [f"{found} ({where}): an older Duey records there without asking who owns it; upgrade it, or stop it"]
