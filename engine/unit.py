"""One worker process of a consumer: registers, runs its threads over one desk, and ends cleanly or not at all.

Thread workers: one unit with all threads. Process workers: one unit a worker, its body in the main thread, so that a
timeout's alarm can interrupt it. A unit of either kind may carry the scheduler and the keeper.

Ending: a signal sets the stop flag and rings the bell; bodies end; the desk gives back what has not begun and commits
what is finished; the registration is taken back. Whatever ends it otherwise is the parent's business (engine.consumer).
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from huey.consumer import Worker, WorkerRecycle

from engine import body_log, crew
from engine.alarm import SignalTimeouts, ThreadTimeouts
from engine.desk import Desk
from engine.shares import Share, shown
from engine.weighted_desk import WeightedDesk

logger = logging.getLogger("dewey.consumer")
RECYCLE = 75  # exit code: asks the parent for a fresh process (EX_TEMPFAIL)
KEEP_HOUSE_S = 5.0
ATTEND_S = 0.5
PR_SET_PDEATHSIG = 1


class Plan(NamedTuple):
    """What a unit is to run."""

    name: str
    workers: int
    in_main: bool  # the (only) worker runs in the main thread
    keeps: bool  # carries the scheduler and the keeper
    queues: tuple[str, ...]
    consumer: str  # id shared by the units of one consumer
    kind: str
    weights: tuple[int, ...] = ()  # of the queues, where their order is drawn


def plans_of(shares: Sequence[Share], kind: str, consumer: str) -> list[Plan]:
    """The units of a consumer: each share of its workers has its own, so that queues cannot get in each other's way."""
    plans: list[Plan] = []
    for share in shares:
        if kind == "thread":
            name = f"Workers {share.name}".rstrip()
            plans.append(Plan(name, share.workers, False, not plans, share.queues, consumer, kind, share.weights))
            continue
        for _ in range(share.workers):
            name = f"Worker-{len(plans) + 1} {share.name}".rstrip()
            plans.append(Plan(name, 1, True, False, share.queues, consumer, kind, share.weights))
    if kind == "process":
        every = tuple(dict.fromkeys(name for share in shares for name in shown(share.queues)))
        plans.append(Plan("Keeper", 0, False, True, every, consumer, kind))
    return plans


class DeskWorker(Worker):
    """Huey's worker; the desk blocks and wakes, so nothing is polled."""

    def sleep(self) -> None:
        self.stop_flag.wait(0.05)  # only after an error; Huey would back off up to ten seconds


class StopFlag(threading.Event):
    """Set by a signal handler, seen by Huey's loops."""


def die_with_parent(parent: int, signum: int = signal.SIGKILL) -> None:
    """The kernel sends `signum` to this process when its parent dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def run_unit(consumer: Any, plan: Plan, report: Callable[[int], None]) -> int:
    """Run until told to stop; the exit code. `report(n)` tells the parent the worker's number."""
    huey = consumer.huey
    stop = StopFlag()
    tasks: Sequence[str] = sorted(huey._registry._registry)
    life = crew.register(huey.storage, plan.consumer, plan.workers, plan.kind, plan.queues, tasks)
    body_log.install()
    # Alone in its process a body cannot be blamed for another's deed.
    suspect_from = max(1, consumer.max_deliveries - 1) if plan.workers > 1 else sys.maxsize
    kind = partial(WeightedDesk, weights=plan.weights) if plan.weights else Desk
    desk = huey.desk = kind(huey.storage, life, plan.queues, suspect_from)
    report(life.n)

    def on_signal(signum: int, frame: Any) -> None:
        stop.set()
        desk.ask_stop()

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, consumer.signals)
    if stop.is_set():
        desk.ask_stop()
    huey.storage.unpark_tasks(tasks)

    helpers: list[threading.Thread] = []
    if plan.keeps:
        helpers.append(start("Keeper", keep_house, huey.storage, stop))
        if consumer.periodic and plan.workers >= 0:
            helpers.append(start("Scheduler", run_process, consumer, consumer.make_scheduler(stop), stop))
    recycled = False
    workers = []
    if plan.in_main:
        huey.timeouts = SignalTimeouts()
        helpers.append(start("Attendant", attend, huey, life.n, stop))
        recycled = run_process(consumer, consumer.make_worker(stop), stop)
    else:
        huey.timeouts = ThreadTimeouts()
        workers = [start(f"Worker-{i + 1}", run_worker, consumer, stop) for i in range(plan.workers)]
        attend(huey, life.n, stop)
    desk.stop()
    for thread in workers:
        thread.join()
    if not desk.drain(time.monotonic() + 5.0):
        return 1  # what could not be committed is still claimed: the parent returns it
    huey.storage.unregister(life.n)
    life.close()
    return RECYCLE if recycled else 0


def start(name: str, target: Callable[..., Any], *args: Any) -> threading.Thread:
    """A named daemon thread."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    thread.start()
    return thread


def run_worker(consumer: Any, stop: StopFlag) -> None:
    """One worker thread; a fresh worker after Huey's max_tasks."""
    while run_process(consumer, consumer.make_worker(stop), stop):
        logger.info("a worker starts afresh after %s tasks", consumer.max_tasks)


def run_process(consumer: Any, process: Any, stop: StopFlag) -> bool:
    """Huey's loop around a worker or scheduler; only the stop flag ends it, or (True) its wish for a fresh one."""
    process.initialize()
    try:
        while not stop.is_set():
            try:
                process.loop()
            except WorkerRecycle:
                return True
            except Exception:
                logger.exception("%s met an error and goes on", process.process_name)
                stop.wait(0.1)
        return False
    finally:
        process.shutdown()


def attend(huey: Any, n: int, stop: StopFlag) -> None:
    """Until the end: say which jobs cannot be stopped, and do what the monitor asked of this worker."""
    desk = huey.desk
    while not stop.wait(ATTEND_S):
        while huey.timeouts.deaf:
            logger.warning(
                "job %s ignores its timeout, and a thread cannot be stopped: use process workers",
                huey.timeouts.deaf.popleft(),
            )
        try:
            desk.quiet, wants_stop = huey.storage.asked(n)
        except Exception:
            continue  # the storage is away: nobody can have asked
        if wants_stop:
            stop.set()
            desk.ask_stop()


def keep_house(storage: Any, stop: StopFlag) -> None:
    """Remove what has expired, a little at a time, and move the WAL into the file."""
    while not stop.wait(KEEP_HOUSE_S):
        try:
            while storage.keep_house() and not stop.is_set():
                time.sleep(0.05)  # let others write in between
        except Exception as exc:
            logger.warning("keeping house: %s", exc)
