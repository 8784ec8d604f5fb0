"""What batching does to jobs that share a window: `python -m bench.probes.batching ROUNDS`; a consumer must be running.

acknowledged: short jobs and then a long one are deferred together, so that one worker takes them in one batch; seconds
    from the end of each short body until another process can see its result, while the long body runs.
given back: short jobs behind the long one; seconds from the defer until each began, which must not wait for it.
urgent: a job of high priority among a thousand of low priority with bodies of a millisecond; seconds until it began.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time

from bench.body import delays
from bench.systems import FOLDER
from bench.systems.duey import arrive, huey, nap, noop
from bench.systems.duey_sqlite import SYSTEM

SHORT = 10
LONG_S = 0.6
POLL_S = 0.0003


def main(rounds: int) -> None:
    con = sqlite3.connect(huey.storage.db.path)
    SYSTEM.fill(2000)  # makes the worker believe that bodies are short
    until_ended(con, 2000)
    acknowledged: list[float] = []
    for _ in range(rounds):
        acknowledged += acknowledgements(con)
        SYSTEM.fill(500)
        until_ended(con)
    behind = given_back(con, rounds)
    urgent = [overtaking(con) for _ in range(rounds)]
    print(json.dumps({"acknowledged_s": acknowledged, "behind_s": behind, "urgent_s": urgent}))


def acknowledgements(con: sqlite3.Connection) -> list[float]:
    last = con.execute("select max(seq) from jobs").fetchone()[0]
    huey.enqueue_jobs([*(noop.s(i) for i in range(SHORT)), nap.s(LONG_S)])
    seen: dict[int, float] = {}
    finished: dict[int, float] = {}
    until = time.monotonic() + LONG_S
    while len(seen) < SHORT and time.monotonic() < until:
        now = time.time()
        for seq, at in con.execute("select seq, finished_at from finished where seq > ?", (last,)):
            if seq not in seen:
                seen[seq], finished[seq] = now, at
        time.sleep(POLL_S)
    until_ended(con)
    late = [LONG_S] * (SHORT - len(seen))  # those were seen only after the long body
    return [seen[seq] - finished[seq] for seq in seen] + late


def given_back(con: sqlite3.Connection, rounds: int) -> list[float]:
    before = len(delays(FOLDER))
    for _ in range(rounds):
        now = time.monotonic()
        huey.enqueue_jobs([nap.s(LONG_S), *(arrive.s(now) for _ in range(SHORT))])
        until_ended(con)
        SYSTEM.fill(500)
        until_ended(con)
    return delays(FOLDER)[before:]


def overtaking(con: sqlite3.Connection) -> float:
    before = len(delays(FOLDER))
    huey.enqueue_jobs([nap.s(0.001) for _ in range(1000)])
    time.sleep(0.2)
    huey.enqueue_jobs([arrive.s(time.monotonic(), priority=10)])
    while len(delays(FOLDER)) == before:
        time.sleep(0.002)
    took = delays(FOLDER)[-1]
    until_ended(con)
    return took


def until_ended(con: sqlite3.Connection, count: int = 0) -> None:
    """Wait until nothing waits or runs."""
    until = time.monotonic() + 60
    query = "select 1 from ready union select 1 from claimed union select 1 from inbox limit 1"
    while con.execute(query).fetchone():
        if time.monotonic() > until:
            raise SystemExit("jobs do not end")
        time.sleep(0.01)


if __name__ == "__main__":
    main(int(sys.argv[1]))
