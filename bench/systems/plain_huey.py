"""What the plain Hueys share: tasks, verbs, the stock consumer."""

from __future__ import annotations

import sys
from typing import Any

from bench import body
from bench.systems import System


class PlainHuey(System):
    """Over a `huey` that the module of this name exports."""

    packages: tuple[str, ...] = ("huey",)
    modes = ((1, "thread"), (4, "thread"), (4, "process"))

    def __init__(self, huey: Any, module: str) -> None:
        self.huey, self.module = huey, module
        self.noop, self.arrive = huey.task()(body.noop), huey.task()(body.arrive)

    def single(self, n: int) -> None:
        for i in range(n):
            self.noop(i)

    def send(self, sent: float, delay_s: float = 0.0) -> None:
        if delay_s:
            self.arrive.schedule((sent,), delay=delay_s)
        else:
            self.arrive(sent)

    def stored(self) -> int:
        return int(self.huey.storage.result_store_size())

    def worker(self, workers: int, kind: str) -> list[str]:
        command = [sys.executable, "-m", "huey.bin.huey_consumer", f"{self.module}.huey"]
        return [*command, "-w", str(workers), "-k", kind, "-q"]
