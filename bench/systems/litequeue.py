"""litequeue on SQLite: a queue without workers, so the loop that its documentation shows stands here.

`python -m bench.systems.litequeue WORKERS` is that consumer. It keeps no results: `done` marks the message.
"""

from __future__ import annotations

import json
import os
import sys
import time

import litequeue as litequeue_itself

from bench import body
from bench.systems import FOLDER, System

IDLE_S = 0.001
BODIES = {"noop": body.noop, "arrive": body.arrive}


def queue() -> litequeue_itself.LiteQueue:
    return litequeue_itself.LiteQueue(str(FOLDER / "litequeue.db"), timeout=30)


class LiteQueueOnSqlite(System):
    title = "litequeue on SQLite"
    settings = "a loop of pop and done, asking every millisecond when empty; no results, synchronous = NORMAL"
    guarantee = "a killed worker's message stays locked until somebody retries it; power loss may take some"
    packages = ("litequeue",)
    modes = ((1, "process"), (4, "process"))
    jobs = 5000

    def prepare(self) -> None:
        queue()

    def single(self, n: int) -> None:
        mine = queue()
        for i in range(n):
            mine.put(json.dumps(["noop", i]))

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        queue().put(json.dumps(["arrive", sent]))

    def stored(self) -> int:
        return int(queue().conn.execute("select count(*) from Queue where status = 2").fetchone()[0])

    def worker(self, workers: int, kind: str) -> list[str]:
        return [sys.executable, "-m", __name__, str(workers)]


def work() -> None:
    mine = queue()
    while True:
        message = mine.pop()
        if message is None:
            time.sleep(IDLE_S)
            continue
        name, value = json.loads(message.data)
        BODIES[name](value)
        mine.done(message.message_id)


SYSTEM = LiteQueueOnSqlite()

if __name__ == "__main__":
    for _ in range(int(sys.argv[1]) - 1):
        if os.fork() == 0:
            break
    work()
