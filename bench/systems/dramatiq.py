"""Dramatiq on Redis."""

from __future__ import annotations

import sys

import dramatiq as dramatiq_itself
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench import body
from bench.systems import REDIS_URL, System

broker = RedisBroker(url=REDIS_URL or None)
backend = RedisBackend(url=REDIS_URL or None)
broker.add_middleware(Results(backend=backend, store_results=True, result_ttl=86_400_000))
dramatiq_itself.set_broker(broker)
noop, arrive = dramatiq_itself.actor(body.noop), dramatiq_itself.actor(body.arrive)


class DramatiqOnRedis(System):
    title = "dramatiq on Redis"
    settings = "results in Redis; (16, process) is 2 processes of 8 threads"
    guarantee = "at least once: acknowledged after it ran; a killed worker's jobs return after its heartbeat (60 s)"
    packages = ("dramatiq", "redis")
    modes = ((1, "thread"), (16, "process"))
    jobs = 4000

    def single(self, n: int) -> None:
        for i in range(n):
            noop.send(i)

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        arrive.send_with_options(args=(sent,), delay=int(delay_s * 1000) or None)

    def stored(self) -> int:
        return int(backend.client.dbsize())

    def worker(self, workers: int, kind: str) -> list[str]:
        processes, threads = (2, workers // 2) if kind == "process" else (1, workers)
        command = [sys.executable, "-m", "dramatiq", __name__, "--processes", str(processes)]
        return [*command, "--threads", str(threads)]


SYSTEM = DramatiqOnRedis()
