"""The consumer's parent: it holds no work, so nothing that a task does can take it down.

`run` forks the units (duey.worker.process) before any thread or connection exists in this process. From then on the
parent beats the heartbeat, kills a body that ran past its timeout, releases a dead unit's claims at once and starts
another in its place, rescues what other consumers left behind, and passes signals on: TERM, INT or HUP lets running
bodies end within `shutdown_timeout_s`; another TERM or INT more than 2 s after the first, or the end of that time,
kills the units, and their jobs go back untouched. HUP executes the program anew at the end, unless a TERM or INT comes.

A unit that was signalled alone (by a person, or a daemon that watches memory) is given the same time, and another one
is started in its place at once. Only a signal to the parent, or the monitor's request, stops the consumer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from typing import Any

from huey.consumer import Consumer
from huey.exceptions import ConfigurationError

from duey import errors
from duey import os_process as process
from duey.os_process import PARENT_STOPS, Requests
from duey.scheduling.scheduler import DurableScheduler
from duey.storage.deaths import Dead
from duey.storage.presence import HOST
from duey.worker import watchdog
from duey.worker.pools import left_out, shares_of
from duey.worker.process import LEAVING, LEFT, STOP, DeskWorker, Plan, plans_of, run_unit
from duey.worker.watchdog import Unit

logger = logging.getLogger("duey.consumer")
TICK_S = 0.5
ALL_KILLED_S = 0.1
RESPAWN_S = (0.05, 5.0)  # back-off between a unit's death and its successor


class DurableConsumer(Consumer):
    """Made by `huey_consumer consumer.huey`; every option of Huey's command is honoured."""

    worker_class = DeskWorker
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
        self.shares = shares_of(queues, options.get("workers", 1), weighted)
        self.workers: int = sum(share.workers for share in self.shares)
        self.max_crashes = max_crashes
        self.id = uuid.uuid4().hex
        self._units: list[Unit] = []
        self._stopping_since: float | None = None
        self._requests = Requests()

    # Huey makes its processes in __init__: ours are made in the unit that runs them.

    def _create_process(self, process: Any, name: str) -> Any:
        return None

    def make_worker(self, stop: Any) -> DeskWorker:
        self.stop_flag = stop
        worker: DeskWorker = self._create_worker()
        return worker

    def make_scheduler(self, stop: Any) -> DurableScheduler:
        self.stop_flag = stop
        scheduler: DurableScheduler = self._create_scheduler()
        return scheduler

    def run(self) -> None:
        """Run until a signal ends it."""
        if self.huey.immediate:
            raise ConfigurationError("the consumer cannot run while huey.immediate is set: remove that setting")
        left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if left:
            logger.warning(
                "importing the task modules started threads that workers will not have (%s): start them in a function "
                "decorated with @on_worker_start",
                ", ".join(left),
            )
        try:
            for warning in self.huey.storage.prepare():
                logger.warning(warning)
            self.rescue()
        except errors.DueyError as exc:
            raise SystemExit(str(exc)) from None
        self.huey.storage.close()
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
        for kind in self.signals:
            signal.signal(kind, self._note_signal)
        process.hear_hup()
        self._units = [Unit(plan) for plan in plans_of(self.shares, self.worker_type, self.id)]
        logger.info(
            "consumer %s starts %d %s workers as pid %d",
            self.id[:8],
            self.workers,
            self.worker_type,
            os.getpid(),
        )
        left = left_out(self.shares, self.huey._registry._registry.values())
        if left:
            logger.info("[consumer] queues does not name %s: jobs there wait for another consumer", ", ".join(left))
        while True:
            self._tend()
            if self._stopping_since is not None and not any(u.pid for u in self._units):
                break
            pause = 0.1 if self._stopping_since is not None or any(u.killed_at for u in self._units) else TICK_S
            select.select([wake_r, *self._pipes()], [], [], pause)
            for signum in drained(wake_r):
                self._on_signal(signum)
        signal.set_wakeup_fd(-1)
        if self._requests.stop_at is None:
            logger.info("consumer starts again")
            process.execute_anew()
        logger.info("consumer has stopped")

    def _pipes(self) -> list[int]:
        return [u.pipe for u in self._units if u.pipe >= 0]

    def _note_signal(self, signum: int, frame: Any) -> None:
        """The wake-up pipe carries the number; this handler only has to exist."""

    def _on_signal(self, signum: int) -> None:
        if signum == signal.SIGCHLD:
            return
        self._requests.note(signum)
        name = "the word of the web process" if signum == PARENT_STOPS else signal.Signals(signum).name
        if self._stopping_since is None:
            self._stop(f"received {name}")
        elif self._requests.now:
            logger.info("received %s again: running jobs are cut off now", name)
            self._kill(self._units)

    def _stop(self, why: str) -> None:
        logger.info("%s: running jobs may end within %gs", why, self.shutdown_timeout or 0)
        self._stopping_since = time.monotonic()
        for unit in self._units:
            self._signal_unit(unit, signal.SIGTERM)

    # tending the units

    def _tend(self) -> None:
        """One look at everything: what reported, died, is due to start, runs too long, or was left by others."""
        for unit in self._units:
            self._hear(unit)
            if unit.pid:
                self._reap(unit)
            if not unit.pid and self._stopping_since is None and time.monotonic() >= unit.respawn_at:
                self._fork(unit)
            if unit.pid and unit.number:
                self._check_timeouts(unit)
        self._units = [unit for unit in self._units if unit.pid or not unit.leaving_since]
        numbers = [u.number for u in self._units if u.pid and u.number]
        try:
            self.huey.storage.beat(numbers, self.lease_s)
            self.rescue()
            self._check_cancels()
        except errors.StorageUnavailable as exc:
            logger.warning("%s", exc)
        since, patience_s = self._stopping_since, self.shutdown_timeout or 0
        if since is not None and time.monotonic() > since + patience_s:
            self._kill(self._units)
        self._kill(u for u in self._units if u.leaving_since and time.monotonic() > u.leaving_since + patience_s)

    def _hear(self, unit: Unit) -> None:
        """Heed what a unit reported."""
        for word in unit.words() if unit.pipe >= 0 else ():
            if word.isdigit():
                unit.number = int(word)
            elif word == LEFT:
                unit.left = True
            elif self._stopping_since is not None:
                continue  # it was told to
            elif word == LEAVING:
                logger.warning("%s (pid %d) was signalled alone: another one takes over", unit.plan.name, unit.pid)
                unit.leaving_since = time.monotonic()
                self._units.append(Unit(unit.plan))
            elif word == STOP:
                self._requests.note(PARENT_STOPS)
                self._stop("the monitor asks for a stop")

    def rescue(self) -> None:
        """Return what dead workers of any consumer on this storage left behind."""
        storage = self.huey.storage
        rescued = storage.rescue(self.max_crashes, [u.number for u in self._units if u.pid], self.id)
        if rescued:
            self.huey.composer.log_failures()
            logger.warning("rescued %d jobs of dead workers: %s", len(rescued), ", ".join(rescued[:10]))

    def _fork(self, unit: Unit) -> None:
        self.huey.storage.close()  # a child must find no open connection
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        r, w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os._exit(self._child(unit.plan, parent, r, w))
        os.close(w)
        unit.pid, unit.pipe, unit.number, unit.started_at = pid, r, 0, time.monotonic()
        unit.killed, unit.left, unit.timed_out, unit.asked, unit.killed_at = False, False, set(), {}, 0.0
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)

    def _child(self, plan: Plan, parent: int, r: int, w: int) -> int:
        try:
            signal.set_wakeup_fd(-1)
            process.die_with_parent(parent)
            os.close(r)
            for kind in (signal.SIGCHLD, PARENT_STOPS):
                signal.signal(kind, signal.SIG_DFL)
            return run_unit(self, plan, w)
        except errors.StorageUnavailable as exc:
            logger.error("%s cannot work now: %s", plan.name, exc)
            return 1
        except BaseException:
            logger.exception("%s died", plan.name)
            return 1
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()

    def _reap(self, unit: Unit) -> None:
        found = os.waitid(os.P_PID, unit.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return
        # Whoever kills all of a consumer may come to this process last: then it was no job's doing.
        if found.si_code == os.CLD_KILLED and found.si_status == signal.SIGKILL and not (unit.killed or unit.timed_out):
            unit.killed_at = unit.killed_at or time.monotonic()
            if time.monotonic() < unit.killed_at + ALL_KILLED_S:
                return
        _, status = os.waitpid(unit.pid, 0)
        self._hear(unit)
        if unit.pipe >= 0:
            unit.close()
        # A death that a body caused is charged to its job, which bounds it: nobody has to wait for that.
        bounded = unit.left or self._bury(unit, os.waitstatus_to_exitcode(status))
        lived = time.monotonic() - unit.started_at
        unit.deaths = 0 if bounded or lived > 10 else unit.deaths + 1
        delay = 0.0 if unit.deaths <= 1 else min(RESPAWN_S[1], RESPAWN_S[0] * 2 ** (unit.deaths - 2))
        unit.pid, unit.killed_at, unit.respawn_at = 0, 0.0, time.monotonic() + delay

    def _bury(self, unit: Unit, code: int) -> bool:
        """Return a dead unit's claims; whether it handled a job."""
        if not unit.killed:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            logger.error("%s (pid %d) died %s", unit.plan.name, unit.pid, how)
        if not unit.number:
            return False
        dead = Dead(unit.number, HOST, unit.pid, not unit.killed, frozenset(unit.timed_out))
        try:
            buried = bool(self.huey.storage.bury(dead, self.max_crashes))
            self.huey.composer.log_failures()
            return buried
        except errors.StorageUnavailable as exc:
            logger.warning("%s; its jobs are returned when the storage is back", exc)
            return False

    def _check_timeouts(self, unit: Unit) -> None:
        for token in watchdog.past_timeout(self.huey.storage, unit):
            logger.warning("%s runs past its job's timeout: it is killed", unit.plan.name)
            unit.timed_out.add(token)
            self._signal_unit(unit, signal.SIGKILL)

    def _check_cancels(self) -> None:
        for unit in watchdog.deaf_to_cancel(self.huey.storage, self._units):
            logger.warning("%s runs a job that was canceled and does not stop: it is killed", unit.plan.name)
            unit.killed = True
            self._signal_unit(unit, signal.SIGKILL)

    def _signal_unit(self, unit: Unit, signum: int) -> None:
        if unit.pid:
            with contextlib.suppress(ProcessLookupError):  # reaped with the next look
                os.kill(unit.pid, signum)

    def _kill(self, units: Iterable[Unit]) -> None:
        for unit in units:
            unit.killed = unit.killed or bool(unit.pid and not unit.timed_out)
            self._signal_unit(unit, signal.SIGKILL)


def drained(fd: int) -> list[int]:
    """The signal numbers in the wake-up pipe."""
    try:
        return list(os.read(fd, 4096))
    except BlockingIOError:
        return []
