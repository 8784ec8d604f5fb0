"""RQ on Redis."""

from __future__ import annotations

import sys

from redis import Redis
from rq import Queue

from bench import body
from bench.systems import REDIS_URL, System

queue = Queue("bench", connection=Redis.from_url(REDIS_URL)) if REDIS_URL else None


class RqOnRedis(System):
    title = "RQ on Redis"
    settings = "SimpleWorker (no fork per job); results kept for a day"
    guarantee = "a killed worker's job fails once its time-out has passed; retried only where retries are set"
    packages = ("rq", "redis")
    modes = ((1, "process"), (4, "process"))
    jobs = 1200

    def single(self, n: int) -> None:
        for i in range(n):
            queue.enqueue(body.noop, i, result_ttl=86400)

    def fill(self, n: int) -> None:
        queue.enqueue_many([Queue.prepare_data(body.noop, (i,), result_ttl=86400) for i in range(n)])

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        queue.enqueue(body.arrive, sent)

    def stored(self) -> int:
        return int(queue.finished_job_registry.count)

    def worker(self, workers: int, kind: str) -> list[str]:
        command = [sys.executable, "-m", "rq.cli", "worker-pool", "bench", "-n", str(workers), "-u", REDIS_URL]
        return [*command, "--worker-class", "rq.worker.SimpleWorker", "-q"]


SYSTEM = RqOnRedis()
