"""What Duey's storages share: its tasks for the bench, how it is filled, its stock consumer."""

from __future__ import annotations

import sys
from typing import Any

from bench import body
from bench.systems import System
from duey import huey

BATCH = 1000
RETURNED = {
    "a number": 7,
    "a small object": {"sent": True, "count": 3},
    "a text": "the invoice was sent to its customer",
    "an object of 1 KB": {"lines": [{"article": f"article {i}", "price": i + 0.5} for i in range(28)]},
}


@huey.task()
def noop(value: int) -> int:
    return body.noop(value)


@huey.task()
def arrive(sent: float) -> None:
    body.arrive(sent)


@huey.task()
def nap(seconds: float) -> None:
    body.time.sleep(seconds)


@huey.task()
def hiding(user: str, password: str, api_key: str, returned: str) -> Any:
    return RETURNED[returned]


@huey.task()
def showing(user: str, landmark: str, api_kid: str, returned: str) -> Any:
    return RETURNED[returned]


class Duey(System):
    """As it comes; a subclass says where it keeps its queue."""

    packages = ("huey",)
    modes = ((1, "thread"), (4, "thread"), (4, "process"))

    def prepare(self) -> None:
        huey.storage.prepare()

    def fill(self, n: int) -> None:
        for first in range(0, n, BATCH):
            huey.enqueue_jobs([noop.s(i) for i in range(first, min(n, first + BATCH))])

    def single(self, n: int) -> None:
        for i in range(n):
            noop(i)

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        if delay_s:
            arrive.schedule((sent,), delay=delay_s)
        else:
            arrive(sent)

    def worker(self, workers: int, kind: str) -> list[str]:
        command = [sys.executable, "-m", "huey.bin.huey_consumer", "consumer.huey"]
        return [*command, "-w", str(workers), "-k", kind, "-q"]
