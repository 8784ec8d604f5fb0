"""honker on SQLite."""

from __future__ import annotations

import sys

import honker as honker_itself

from bench import body
from bench.systems import FOLDER, System

db = honker_itself.open(str(FOLDER / "honker.db"))
queue = db.queue("bench")
noop, arrive = queue.task(name="noop")(body.noop), queue.task(name="arrive")(body.arrive)


class HonkerOnSqlite(System):
    title = "honker on SQLite"
    settings = "as it comes: synchronous = NORMAL, results kept for an hour; workers are coroutines of one process"
    guarantee = "at least once: a killed worker's job returns when its claim runs out; power loss may take some"
    packages = ("honker",)
    modes = ((1, "thread"), (4, "thread"))
    jobs = 1500

    def single(self, n: int) -> None:
        for i in range(n):
            noop(i)

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        arrive(sent)

    def stored(self) -> int:
        return int(db.query("select count(*) as n from _honker_results")[0]["n"])

    def worker(self, workers: int, kind: str) -> list[str]:
        return [sys.executable, "-m", "honker", "worker", f"{__name__}:db", "--concurrency", str(workers)]


SYSTEM = HonkerOnSqlite()
