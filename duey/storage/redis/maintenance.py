"""Prepares the server, and removes what has expired in small steps."""

from __future__ import annotations

from duey import clock
from duey.storage.compaction import Backlog
from duey.storage.contract import Maintenance
from duey.storage.redis import preflight
from duey.storage.redis.client import Server

STEP = 500  # jobs that one script removes: limits how long other clients wait


class RedisMaintenance(Maintenance):
    """A part of RedisStorage."""

    server: Server
    backlog: Backlog

    def prepare(self) -> list[str]:
        self.server.open()
        return self.warnings()

    def warnings(self) -> list[str]:
        return preflight.warnings(self.server)

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
