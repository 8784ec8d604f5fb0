"""Prepares the server, and removes what has expired in small steps."""

from __future__ import annotations

from duey import clock
from duey.storage.compaction import Backlog
from duey.storage.contract import Maintenance
from duey.storage.redis import preflight
from duey.storage.redis.client import Server
from duey.storage.transfer import words_of

STEP = 500  # jobs that one script removes: limits how long other clients wait


class RedisMaintenance(Maintenance):
    """A part of RedisStorage."""

    server: Server
    backlog: Backlog

    def prepare(self) -> list[str]:
        self.server.open()
        return self.warnings()

    def warnings(self) -> list[str]:
        marker = self.server.command(b"GET", self.server.key("move"))
        return [*preflight.warnings(self.server), *words_of(marker, f"Redis at {self.server.address}")]

    def fence(self) -> str | None:
        text = self.server.command(b"GET", self.server.key("fence"))
        return None if text is None else str(text.decode())

    def problems(self) -> list[str]:
        facts, moved = self.server.facts(), self.fence()
        found = facts.problems(f"Redis at {self.server.address}") if facts else []
        return [*found, *([moved] if moved else [])]

    def unknown_before(self, instant: float) -> list[str]:
        found = self.server.command(b"ZRANGEBYSCORE", self.server.key("unknown"), "-inf", instant, "LIMIT", 0, 100)
        return [each.decode() for each in found]

    def run_maintenance(self, limit: int = 1000) -> bool:
        more = bool(self.server.run("maintenance", clock.now(), limit, again=True))
        self.server.run("recheck", clock.now(), "")
        return self.backlog.relieve() or more

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
