"""The supervisor of a consumer: the parent of its worker processes. It runs no jobs, so no task can take it down.

`run` forks the worker processes (duey.worker.process) before any thread or connection exists in this process. Then the
supervisor renews the heartbeat, kills bodies that run past their time-out, releases the claims of a dead worker process
at once and starts another one, and rescues jobs of other dead consumers.

Signals: after TERM, INT or HUP running bodies have `shutdown_timeout_s` to end. At the end of that time, or after
another TERM or INT more than 2 s after the first, the worker processes are killed, and their jobs go back to the queue
without being charged. After HUP the program executes itself again, unless a TERM or INT has come meanwhile.

A worker process that is signalled alone (by a person or an OOM daemon) has the same time, and another one is started in
its place at once. Only a signal to the supervisor, or a request of the monitor, stops the consumer.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import select
import signal
import threading
import time
import uuid
from collections.abc import Iterable
from typing import Any

from huey.consumer import Consumer
from huey.exceptions import ConfigurationError

from duey import errors, os_process
from duey.execution.body import stacks
from duey.execution.left_behind import warnings_at_start
from duey.os_process import PARENT_STOPS, Requests
from duey.scheduling.scheduler import DurableScheduler
from duey.worker import watchdog
from duey.worker.pools import left_out, pools_of
from duey.worker.process import LEAVING, LEFT, RECYCLE, STOP, PrefetchWorker, run_child, worker_specs
from duey.worker.reaper import Reaper
from duey.worker.suspect_turn import SuspectTurn
from duey.worker.watchdog import WorkerProcess

logger = logging.getLogger("duey.consumer")
TICK_S = 0.5
ALL_KILLED_S = 0.1
TELL_S = 60.0  # interval of the lines that the storage is still away
RESPAWN_S = (0.05, 5.0)  # delay before a worker process that died is replaced; doubles with each death


class DurableConsumer(Consumer):
    """The consumer that `huey_consumer` creates, with the options of that command."""

    worker_class = PrefetchWorker
    scheduler_class = DurableScheduler
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, PARENT_STOPS)

    def __init__(
        self, huey: Any, queues: tuple[tuple[str, int | None], ...] = (("*", None),), lease_s: float = 15.0,
        heartbeat_s: float = 3.0, max_crashes: int = 3, weighted: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        if options.get("worker_type") not in ("thread", "process"):
            raise ConfigurationError(
                f"worker_type is thread or process, not {options.get('worker_type')}: Duey's workers are not greenlets"
            )
        super().__init__(huey, **options)
        self.queues, self.lease_s, self.heartbeat_s = queues, lease_s, heartbeat_s
        self.pools = pools_of(queues, options.get("workers", 1), weighted)
        self.workers: int = sum(pool.workers for pool in self.pools)
        self.max_crashes = max_crashes
        self.id = uuid.uuid4().hex
        self._memory_limits = watchdog.memory_limits(huey._registry._registry, self.worker_type)
        self._told_at: float | None = None  # monotonic: when it was logged that the storage is away
        self._reaper = Reaper(huey, max_crashes, self.id)
        self.turn = SuspectTurn()
        self._children: list[WorkerProcess] = []
        self._stopping_since: float | None = None
        self._requests = Requests()

    # Huey creates its workers in __init__. Ours are created in the process that runs them.

    def _create_process(self, process: Any, name: str) -> Any:
        return None

    def make_worker(self, stop: Any) -> PrefetchWorker:
        self.stop_flag = stop
        worker: PrefetchWorker = self._create_worker()
        return worker

    def make_scheduler(self, stop: Any) -> DurableScheduler:
        self.stop_flag = stop
        scheduler: DurableScheduler = self._create_scheduler()
        return scheduler

    def run(self) -> None:
        """Run until a signal stops it."""
        if self.huey.immediate:
            raise ConfigurationError("the consumer cannot run while huey.immediate is set: remove that setting")
        left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if left:
            logger.warning(
                "importing the task modules started threads that workers will not have (%s): start them in a function "
                "decorated with @on_worker_start",
                ", ".join(left),
            )
        gc.collect()
        gc.freeze()  # no collection of a worker looks at what was made before it was forked
        try:
            for warning in warnings_at_start(self.huey):
                logger.warning(warning)
            self._reaper.rescue()
        except errors.DueyError as exc:
            raise SystemExit(str(exc)) from None
        self.huey.storage.close()
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        for kind in self.signals:
            signal.signal(kind, self._note_signal)
        os_process.hear_hup()
        self._children = [WorkerProcess(spec) for spec in worker_specs(self.pools, self.worker_type, self.id)]
        started = (self.id[:8], self.workers, self.worker_type, os.getpid())
        logger.info("consumer %s starts %d %s workers as pid %d", *started)
        left = left_out(self.pools, self.huey._registry._registry.values())
        if left:
            logger.info("[consumer] queues does not name %s: jobs there wait for another consumer", ", ".join(left))
        while True:
            self._tend()
            ready = "READY=1\n" * all(child.number for child in self._children)  # all take jobs; may be repeated
            os_process.notify_manager(f"{ready}WATCHDOG=1")
            if self._stopping_since is not None and not any(u.pid for u in self._children):
                break
            pause = 0.1 if self._stopping_since is not None or any(u.killed_at for u in self._children) else TICK_S
            select.select([wake_r, *self._pipes()], [], [], pause)
            for signum in os_process.drained(wake_r):
                self._on_signal(signum)
        self._reaper.tend(now=True)
        signal.set_wakeup_fd(-1)
        if self._requests.stop_at is None:
            logger.info("consumer starts again")
            os_process.execute_anew()
        logger.info("consumer has stopped")

    def _pipes(self) -> list[int]:
        return [u.pipe for u in self._children if u.pipe >= 0]

    def _note_signal(self, signum: int, frame: Any) -> None:
        """Does nothing: the number arrives through the wake-up pipe, but only if a handler is installed."""

    def _on_signal(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            return
        self._requests.note(signum)
        name = "the word of the web process" if signum == PARENT_STOPS else signal.Signals(signum).name
        if self._stopping_since is None:
            self._stop(f"received {name}")
        elif self._requests.now:
            logger.info("received %s again: running jobs are cut off now", name)
            self._kill(self._children)

    def _stop(self, why: str) -> None:
        logger.info("%s: running jobs may end within %gs", why, self.shutdown_timeout or 0)
        self._stopping_since = time.monotonic()
        for child in self._children:
            self._signal_child(child, signal.SIGTERM)

    # the worker processes

    def _tend(self) -> None:
        """Check once for everything: reports, deaths, worker processes to start, time-outs, dead consumers, cancels."""
        for child in self._children:
            self._hear(child)
            if child.pid:
                self._collect_exited(child)
            if not child.pid and self._stopping_since is None and time.monotonic() >= child.respawn_at:
                self._fork(child)
            if child.pid and child.number:
                self._check_timeouts(child)
        self._children = [child for child in self._children if child.pid or not child.leaving_since]
        numbers = [u.number for u in self._children if u.pid and u.number]
        self._reaper.tend()
        try:
            self.huey.storage.beat(numbers + self._reaper.claimed, self.lease_s)
            self._reaper.rescue(numbers)
            self._check_cancels()
            self._check_memory()
            self._tell_outage(None)
        except errors.StorageUnavailable as exc:
            self._tell_outage(exc)
        since, patience_s = self._stopping_since, self.shutdown_timeout or 0
        if since is not None and time.monotonic() > since + patience_s:
            self._kill(self._children)
        self._kill(u for u in self._children if u.leaving_since and time.monotonic() > u.leaving_since + patience_s)

    def _tell_outage(self, exc: Exception | None) -> None:
        """Log that the storage is away: when that begins, then once a minute, and when it is over."""
        if exc is None and self._told_at is not None:
            logger.warning("the storage can be used again")
            self._told_at = None
        elif exc is not None and (self._told_at is None or time.monotonic() > self._told_at + TELL_S):
            logger.warning("%s", exc)
            self._told_at = time.monotonic()

    def _hear(self, child: WorkerProcess) -> None:
        """Handle what a worker process has reported."""
        for word in child.words() if child.pipe >= 0 else ():
            if word.isdigit():
                child.number = int(word)
            elif word == LEFT:
                child.left = True
            elif self._stopping_since is not None:
                continue  # it was asked to stop
            elif word == RECYCLE:
                child.recycled = True
            elif word == LEAVING:
                why = "has more than max_memory_mb" if child.recycled else "was signalled alone"
                logger.warning("%s (pid %d) %s: another one takes over", child.spec.name, child.pid, why)
                child.leaving_since = math.inf if child.recycled else time.monotonic()
                self._children.append(WorkerProcess(child.spec))
            elif word == STOP:
                self._requests.note(PARENT_STOPS)
                self._stop("the monitor asks for a stop")

    def _fork(self, child: WorkerProcess) -> None:
        self.huey.storage.close()  # a child must find no open connection
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        r, w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os._exit(run_child(self, child.spec, parent, r, w))
        os.close(w)
        child.pid, child.pipe, child.number, child.started_at = pid, r, 0, time.monotonic()
        child.killed, child.left, child.timed_out, child.asked, child.killed_at = False, False, set(), {}, 0.0
        child.stack, child.too_much, child.recycled = "", "", False
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)

    def _collect_exited(self, child: WorkerProcess) -> None:
        found = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return
        # Somebody may be killing the whole consumer and reach this process last. Then no job is to blame.
        if (
            found.si_code == os.CLD_KILLED
            and found.si_status == signal.SIGKILL
            and not (child.killed or child.timed_out)
        ):
            child.killed_at = child.killed_at or time.monotonic()
            if time.monotonic() < child.killed_at + ALL_KILLED_S:
                return
        _, status = os.waitpid(child.pid, 0)
        self._hear(child)
        if child.pipe >= 0:
            child.close()
        # A death during a body is charged to the job, so the number of such deaths is limited: no delay is needed.
        bounded = child.left or self._reaper.reap(child, os.waitstatus_to_exitcode(status))
        lived = time.monotonic() - child.started_at
        child.deaths = 0 if bounded or lived > 10 else child.deaths + 1
        delay = 0.0 if child.deaths <= 1 else min(RESPAWN_S[1], RESPAWN_S[0] * 2 ** (child.deaths - 2))
        child.pid, child.killed_at, child.respawn_at = 0, 0.0, time.monotonic() + delay

    def _check_timeouts(self, child: WorkerProcess) -> None:
        for token in set(watchdog.past_timeout(self.huey.storage, child)) - child.timed_out:
            self._kill_body(child, token, "runs past its job's timeout")

    def _check_memory(self) -> None:
        for child in self._children:
            found = watchdog.over_memory(self.huey.storage, child, self._memory_limits)
            if found is not None and not child.timed_out:
                token, child.too_much = found
                self._kill_body(child, token, f"used {child.too_much}")

    def _kill_body(self, child: WorkerProcess, token: int, why: str) -> None:
        logger.warning("%s %s: it is killed", child.spec.name, why)
        child.stack = stacks.dump(self.huey.storage.folder, child.number, child.pid)
        child.timed_out.add(token)
        self._signal_child(child, signal.SIGKILL)

    def _check_cancels(self) -> None:
        for child in watchdog.deaf_to_cancel(self.huey.storage, self._children):
            logger.warning("%s runs a job that was canceled and does not stop: it is killed", child.spec.name)
            child.killed = True
            self._signal_child(child, signal.SIGKILL)

    def _signal_child(self, child: WorkerProcess, signum: int) -> None:
        if child.pid:
            with contextlib.suppress(ProcessLookupError):  # it has died; the next check notices that
                os.kill(child.pid, signum)

    def _kill(self, children: Iterable[WorkerProcess]) -> None:
        for child in children:
            child.killed = child.killed or bool(child.pid and not child.timed_out)
            self._signal_child(child, signal.SIGKILL)
