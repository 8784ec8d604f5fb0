"""Celery on Redis."""

from __future__ import annotations

import sys

from celery import Celery  # the package: this file is bench.systems.celery

from bench import body
from bench.systems import REDIS_URL, System

app = Celery("bench", broker=REDIS_URL, backend=REDIS_URL)
app.conf.update(worker_prefetch_multiplier=64, worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
noop, arrive = app.task(body.noop), app.task(body.arrive)


class CeleryOnRedis(System):
    title = "Celery on Redis"
    settings = "prefetch 64, no gossip, mingle or heartbeat; results in Redis"
    guarantee = "at most once: acknowledged before it runs, a killed worker loses it (acks_late is off as it comes)"
    packages = ("celery", "kombu", "redis")
    modes = ((1, "thread"), (4, "process"))
    jobs = 2000

    def single(self, n: int) -> None:
        for i in range(n):
            noop.delay(i)

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        arrive.apply_async((sent,), countdown=delay_s or None)

    def stored(self) -> int:
        return sum(1 for _ in app.backend.client.scan_iter("celery-task-meta-*", count=1000))

    def worker(self, workers: int, kind: str) -> list[str]:
        pool = "prefork" if kind == "process" else "threads" if workers > 1 else "solo"
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
        return [
            sys.executable, "-m", "celery", "-A", __name__, "worker", "-P", pool, "-c", str(workers), *quiet,
        ]  # fmt: skip


SYSTEM = CeleryOnRedis()
