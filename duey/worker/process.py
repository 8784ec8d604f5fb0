"""A worker process of a consumer: it registers, runs its threads with one prefetcher, and ends.

Thread workers: one process with all threads. Process workers: one process for each worker, with the body in the main
thread, so that an alarm signal can interrupt it. One worker process also runs the scheduler and maintenance.

End: a signal sets the stop flag, the prefetcher gives back what has not begun, bodies end, their outcomes are
committed, the worker unregisters. Each step is reported to the supervisor through a pipe, one word a line: the worker's
number, STOP (the monitor asks the consumer to stop), RECYCLE (it has too much memory), LEAVING (it takes no more jobs),
LEFT (a clean end). If a worker
process ends without LEFT, it counts as a death, whatever its exit status.
"""

from __future__ import annotations

import contextlib
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

from duey import errors, os_process
from duey.execution import hooks, registration
from duey.execution.attempt import Attempt
from duey.execution.body import job_log, stacks
from duey.execution.body.thread_timeouts import SignalTimeouts, ThreadTimeouts
from duey.execution.body.usage import Meter, ProcessMeter
from duey.execution.lifecycle import Lifecycle
from duey.model.queues import shown
from duey.os_process import PARENT_STOPS, StopFlag
from duey.storage.presence import rss_of
from duey.worker.poison_suspects import PoisonSuspects
from duey.worker.pools import WorkerPool
from duey.worker.prefetcher import Prefetcher
from duey.worker.queue_order import WeightedPrefetcher
from duey.worker.suspect_turn import siblings_are_idle

logger = logging.getLogger("duey.consumer")
STOP, RECYCLE, LEAVING, LEFT = "stop", "recycle", "leaving", "left"  # reports to the supervisor
MAINTENANCE_S = 5.0
ATTEND_S = 0.5
MB = 1024 * 1024


class WorkerSpec(NamedTuple):
    """What a worker process runs."""

    name: str
    workers: int
    in_main: bool  # its only worker runs in the main thread
    runs_maintenance: bool  # it also runs the scheduler and maintenance
    queues: tuple[str, ...]
    consumer: str  # id of the consumer
    kind: str
    weights: tuple[int, ...] = ()  # of the queues, if their order is random


def worker_specs(pools: Sequence[WorkerPool], kind: str, consumer: str) -> list[WorkerSpec]:
    """The worker processes of a consumer. Each worker pool has its own, so that queues cannot slow each other down."""
    specs: list[WorkerSpec] = []
    for pool in pools:
        if kind == "thread":
            name = f"Workers {pool.name}".rstrip()
            specs.append(WorkerSpec(name, pool.workers, False, not specs, pool.queues, consumer, kind, pool.weights))
            continue
        for _ in range(pool.workers):
            name = f"Worker-{len(specs) + 1} {pool.name}".rstrip()
            specs.append(WorkerSpec(name, 1, True, False, pool.queues, consumer, kind, pool.weights))
    if kind == "process":
        every = tuple(dict.fromkeys(name for pool in pools for name in shown(pool.queues)))
        specs.append(WorkerSpec("Maintenance", 0, False, True, every, consumer, kind))
    return specs


class PrefetchWorker(Worker):
    """Huey's worker. It does not poll, because the prefetcher blocks until there is a job."""

    def initialize(self) -> None:
        hooks.call(self.huey.display, "on_startup", self.huey._startup)

    def shutdown(self) -> None:
        hooks.call(self.huey.display, "on_shutdown", self.huey._shutdown)

    def sleep(self) -> None:
        self.stop_flag.wait(0.05)  # called only after an error; Huey would wait up to ten seconds


def run_child(consumer: Any, spec: WorkerSpec, parent: int, r: int, w: int) -> int:
    """Run a worker process that was just forked by `parent`, whose end of the pipe is `r`. Returns its exit status."""
    try:
        signal.set_wakeup_fd(-1)
        os_process.die_with_parent(parent)
        os.close(r)
        for kind in (signal.SIGCHLD, PARENT_STOPS):
            signal.signal(kind, signal.SIG_DFL)
        return run_worker_process(consumer, spec, w)
    except errors.StorageUnavailable as exc:
        logger.error("%s cannot work now: %s", spec.name, exc)
        return 1
    except BaseException:
        logger.exception("%s died", spec.name)
        return 1
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()


def run_worker_process(consumer: Any, spec: WorkerSpec, pipe: int) -> int:
    """Run a worker process until it is asked to stop. Returns its exit status. The supervisor reads `pipe`."""
    huey = consumer.huey
    stop = StopFlag()
    stop.set_by(*os_process.STOPPING)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, consumer.signals)

    def report(word: object) -> None:
        with contextlib.suppress(OSError):  # the supervisor is dead, and the kernel will kill this process
            os.write(pipe, f"{word}\n".encode())

    def detach() -> None:
        huey.prefetcher = huey.timeouts = huey.meter = None
        with contextlib.suppress(OSError):
            os.close(pipe)

    os_process.is_worker(detach)
    if spec.workers and not os_process.run_at_start():
        return 1
    tasks: Sequence[str] = sorted(huey._registry._registry)
    presence = registration.register(huey.storage, spec.consumer, spec.workers, spec.kind, spec.queues, tasks)
    live_log = job_log.LiveLog(huey.storage)
    job_log.install(live_log)
    job_log.capture_print(huey)
    start("Log", live_log.run)
    # To a single worker no job is a suspect: no other job in its process can be to blame for its death.
    max_crashes = consumer.max_crashes if spec.workers > 1 else None
    kind = partial(WeightedPrefetcher, weights=spec.weights) if spec.weights else Prefetcher
    idle = partial(siblings_are_idle, huey.storage.folder, presence.n)
    suspects = PoisonSuspects(max_crashes, consumer.turn, idle)
    prefetcher = huey.prefetcher = kind(huey.lifecycle, presence, spec.queues, suspects)
    report(presence.n)
    registration.take_over_pauses(huey)
    huey.storage.unblock_tasks(tasks)

    if spec.runs_maintenance:
        start("Maintenance", run_maintenance, huey.lifecycle, stop)
        if consumer.periodic:
            start("Scheduler", run_loop, consumer.make_scheduler(stop), stop)
    workers = []
    if spec.in_main:
        stacks.register(huey.storage.folder, presence.n)
        huey.timeouts, huey.meter = SignalTimeouts(), ProcessMeter()
        attendant = start("Attendant", attend, huey, presence.n, stop, report)
        if not run_loop(consumer.make_worker(stop), stop):
            attendant.join()
    else:
        huey.timeouts, huey.meter = ThreadTimeouts(), Meter()
        workers = [start(f"Worker-{i + 1}", run_worker, consumer, stop) for i in range(spec.workers)]
        attend(huey, presence.n, stop, report)
    prefetcher.stop()
    for thread in workers:
        while thread.is_alive():
            thread.join(ATTEND_S)
            end_without_files(prefetcher.presence)
    end_without_files(prefetcher.presence)
    if not prefetcher.drain(time.monotonic() + 5.0):
        return 1  # outcomes that could not be committed: the supervisor releases these claims
    huey.storage.unregister(presence.n)
    presence.close()
    report(LEFT)
    return 0


def start(name: str, target: Callable[..., Any], *args: Any) -> threading.Thread:
    """Start a named daemon thread. If `target` raises anything, it is called again."""

    def run() -> None:
        while True:
            try:
                target(*args)
                return
            except BaseException:
                logger.exception("%s failed and starts again", name)
                time.sleep(0.1)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def run_worker(consumer: Any, stop: StopFlag) -> None:
    """Run one worker thread, with a new worker after every `max_tasks` tasks."""
    while run_loop(consumer.make_worker(stop), stop):
        logger.info("a worker is replaced after %s tasks", consumer.max_tasks)


def run_loop(worker: Any, stop: StopFlag) -> bool:
    """Run Huey's loop of a worker or scheduler until the stop flag is set. True: the worker asks to be replaced."""
    worker.initialize()
    os_process.leave_fork()
    try:
        while not stop.is_set():
            try:
                worker.loop()
            except WorkerRecycle:
                return True
            except BaseException:  # sys.exit, for example: it must not end the worker
                logger.exception("%s failed and continues", worker.process_name)
                stop.wait(0.1)
            os_process.leave_fork()
        return False
    finally:
        os_process.leave_fork()
        worker.shutdown()


def attend(huey: Any, n: int, stop: StopFlag, report: Callable[[object], None]) -> None:
    """Until the stop flag is set: log jobs that ignore their time-out, answer the monitor, and set the flag if this
    process has too much memory. Then give back what has not begun."""
    prefetcher, stop_reported = huey.prefetcher, False
    most_bytes = most_memory(huey)
    while not stop.wait(ATTEND_S):
        end_without_files(prefetcher.presence)
        show_stack(huey, n)
        if most_bytes and (rss_of(os.getpid()) or 0) > most_bytes:
            report(RECYCLE)
            stop.set()
            break
        while huey.timeouts.deaf:
            logger.warning(
                "job %s ignores its timeout, and a thread cannot be stopped: use process workers",
                huey.timeouts.deaf.popleft(),
            )
        try:
            wants_quiet, wants_stop = huey.storage.control_signals(n)
        except Exception:
            continue  # the storage cannot be used: ask again later
        if wants_quiet and not prefetcher.quiet:
            prefetcher.presence.pipe.notify()  # it must not wait for a job
        prefetcher.quiet = wants_quiet
        if wants_stop and not stop_reported:
            report(STOP)
            stop_reported = True
    report(LEAVING)
    prefetcher.stop()


def most_memory(huey: Any) -> int:
    """How much memory this process may have, in bytes, before another one takes its place; 0 for no limit."""
    most: int = huey.settings.consumer.max_memory_mb * MB
    now = rss_of(os.getpid()) or 0
    if most and now > most:
        logger.warning(
            "[consumer] max_memory_mb is less than the %d MB that a worker process has at its start: it is ignored",
            now // MB,
        )
        return 0
    return most


def show_stack(huey: Any, n: int) -> None:
    """If somebody asks where a body stands, answer."""
    if not huey.prefetcher.handled:
        return
    try:
        token = huey.storage.stack_asked(n)
        text = None if token is None else stacks.stack_of(token, Attempt.run_body)
        if text is not None:
            huey.storage.put_stack(token, text)
    except Exception as exc:  # the storage cannot be used, or the stack cannot be read
        logger.warning("where a job stands could not be shown: %s", exc)


def end_without_files(presence: Any) -> None:
    """End this process if a task has closed its files, because its threads might wait for ever."""
    if not presence.holds_its_files():
        with contextlib.suppress(OSError):
            logger.error("this process's files were closed by a job: another one takes its place")
        os._exit(1)


def run_maintenance(lifecycle: Lifecycle, stop: StopFlag) -> None:
    """Remove what has expired, in small steps, and checkpoint the write-ahead log."""
    while not stop.wait(MAINTENANCE_S):
        try:
            while lifecycle.run_maintenance() and not stop.is_set():
                time.sleep(0.05)  # so that other processes can write in between
        except errors.StorageUnavailable:
            continue  # the supervisor logs it
        except Exception as exc:
            logger.warning("maintenance: %s", exc)
