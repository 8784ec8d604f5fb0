"""The consumer's parent: it holds no work, so nothing that a task does can take it down.

`run` forks the units (engine.unit) before any thread or connection exists in this process. From then on the parent
beats the heartbeat, kills a body that ran past its timeout, releases a dead unit's claims at once and starts
another in its place, rescues what other consumers left behind, and passes signals on: the first TERM, INT or HUP lets
running bodies end within `shutdown_timeout_s`; a second one, or the end of that time, kills the units, and their
jobs go back untouched. HUP executes the program anew at the end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import time
import uuid
from typing import Any

from huey.consumer import Consumer
from huey.exceptions import ConfigurationError

from engine import errors, watching
from engine.crew import HOST
from engine.job_storage import Dead
from engine.schedule import DurableScheduler
from engine.shares import left_out, shares_of
from engine.unit import RECYCLE, DeskWorker, Plan, die_with_parent, plans_of, run_unit
from engine.watching import Unit

logger = logging.getLogger("dewey.consumer")
TICK_S = 0.5
# What the kernel sends when the web process that started this consumer dies (consumer.py asks for it): once for each
# thread of the dead, so that a TERM would be taken for a second and a third one.
PARENT_GONE = signal.SIGUSR1
RESPAWN_S = (0.05, 5.0)  # back-off between a unit's death and its successor


class DurableConsumer(Consumer):
    """Made by `huey_consumer consumer.huey`; every option of Huey's command is honoured."""

    worker_class = DeskWorker
    scheduler_class = DurableScheduler
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, PARENT_GONE)

    def __init__(
        self, huey: Any, queues: tuple[tuple[str, int | None], ...] = (("*", None),), lease_s: float = 15.0,
        heartbeat_s: float = 3.0, max_deliveries: int = 3, weighted: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        if options.get("worker_type") not in ("thread", "process"):
            raise ConfigurationError(
                f"worker_type is thread or process, not {options.get('worker_type')}: Dewey's workers are not greenlets"
            )
        super().__init__(huey, **options)
        self.queues, self.lease_s, self.heartbeat_s = queues, lease_s, heartbeat_s
        self.shares = shares_of(queues, options.get("workers", 1), weighted)
        self.workers: int = sum(share.workers for share in self.shares)
        self.max_deliveries = max_deliveries
        self.id = uuid.uuid4().hex
        self._units: list[Unit] = []
        self._stopping_since: float | None = None
        self._again = False
        self._parent = os.getpid()

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
        try:
            for warning in self.huey.storage.prepare():
                logger.warning(warning)
            self.rescue()
        except errors.DeweyError as exc:
            raise SystemExit(str(exc)) from None
        self.huey.storage.close()
        wake_r, wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for kind in self.signals:
            signal.signal(kind, self._note_signal)
        signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
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
            pause = TICK_S if self._stopping_since is None else 0.1
            select.select([wake_r, *self._pipes()], [], [], pause)
            for signum in drained(wake_r):
                self._on_signal(signum)
        signal.set_wakeup_fd(-1)
        if self._again:
            logger.info("consumer starts again")
            os.execl(sys.executable, sys.executable, *sys.argv)
        logger.info("consumer has stopped")

    def _pipes(self) -> list[int]:
        return [u.pipe for u in self._units if u.pipe >= 0]

    def _note_signal(self, signum: int, frame: Any) -> None:
        """The wake-up pipe carries the number; this handler only has to exist."""

    def _on_signal(self, signum: int) -> None:
        if signum == signal.SIGCHLD or (signum == PARENT_GONE and self._stopping_since is not None):
            return
        name = "word of the web process's death" if signum == PARENT_GONE else signal.Signals(signum).name
        if self._stopping_since is None:
            logger.info("received %s: running jobs may end within %gs", name, self.shutdown_timeout or 0)
            self._stopping_since, self._again = time.monotonic(), signum == signal.SIGHUP
            for unit in self._units:
                self._signal_unit(unit, signal.SIGTERM)
        elif signum != signal.SIGHUP:
            logger.info("received %s again: running jobs go back to the queue now", name)
            self._again = False
            self._kill_all()

    # tending the units

    def _tend(self) -> None:
        """One look at everything: what reported, died, is due to start, runs too long, or was left by others."""
        for unit in self._units:
            if unit.pipe >= 0:
                self._read_number(unit)
            if unit.pid:
                self._reap(unit)
            if not unit.pid and self._stopping_since is None and time.monotonic() >= unit.respawn_at:
                self._fork(unit)
            if unit.pid and unit.number:
                self._check_timeouts(unit)
        numbers = [u.number for u in self._units if u.pid and u.number]
        try:
            self.huey.storage.beat(numbers, self.lease_s)
            self.rescue()
            self._check_cancels()
        except errors.StorageUnavailable as exc:
            logger.warning("%s", exc)
        since = self._stopping_since
        if since is not None and time.monotonic() > since + (self.shutdown_timeout or 0):
            self._kill_all()

    def rescue(self) -> None:
        """Return what dead workers of any consumer on this storage left behind."""
        storage = self.huey.storage
        rescued = storage.rescue(self.max_deliveries, [u.number for u in self._units if u.pid])
        if rescued:
            logger.warning("rescued %d jobs of dead workers: %s", len(rescued), ", ".join(rescued[:10]))

    def _fork(self, unit: Unit) -> None:
        self.huey.storage.close()  # a child must find no open connection
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        r, w = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os._exit(self._child(unit.plan, parent, r, w))
        os.close(w)
        unit.pid, unit.pipe, unit.number, unit.started_at = pid, r, 0, time.monotonic()
        unit.killed, unit.timed_out, unit.asked = False, set(), {}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)

    def _child(self, plan: Plan, parent: int, r: int, w: int) -> int:
        try:
            signal.set_wakeup_fd(-1)
            die_with_parent(parent)
            os.close(r)
            for kind in (signal.SIGCHLD, PARENT_GONE):
                signal.signal(kind, signal.SIG_DFL)

            def report(n: int) -> None:
                os.write(w, f"{n}\n".encode())
                os.close(w)

            return run_unit(self, plan, report)
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

    def _read_number(self, unit: Unit) -> None:
        if not select.select([unit.pipe], [], [], 0)[0]:
            return
        data = os.read(unit.pipe, 64)
        if data:
            unit.number = int(data)
        os.close(unit.pipe)
        unit.pipe = -1

    def _reap(self, unit: Unit) -> None:
        pid, status = os.waitpid(unit.pid, os.WNOHANG)
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        if unit.pipe >= 0:
            self._read_number(unit)
        # A death that a body caused is charged to its job, which bounds it: nobody has to wait for that.
        bounded = code in (0, RECYCLE) or self._bury(unit, code)
        lived = time.monotonic() - unit.started_at
        unit.deaths = 0 if bounded or lived > 10 else unit.deaths + 1
        delay = 0.0 if unit.deaths <= 1 else min(RESPAWN_S[1], RESPAWN_S[0] * 2 ** (unit.deaths - 2))
        unit.pid, unit.respawn_at = 0, time.monotonic() + delay
        if code == 0 and self._stopping_since is None:  # it was asked to stop, by the monitor
            logger.info("%s stopped as asked: the consumer stops", unit.plan.name)
            self._on_signal(signal.SIGTERM)

    def _bury(self, unit: Unit, code: int) -> bool:
        """Return a dead unit's claims; whether it handled a job."""
        if not unit.killed:
            how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            logger.error("%s (pid %d) died %s", unit.plan.name, unit.pid, how)
        if not unit.number:
            return False
        dead = Dead(unit.number, HOST, unit.pid, not unit.killed, frozenset(unit.timed_out))
        try:
            return bool(self.huey.storage.bury(dead, self.max_deliveries))
        except errors.StorageUnavailable as exc:
            logger.warning("%s; its jobs are returned when the storage is back", exc)
            return False

    def _check_timeouts(self, unit: Unit) -> None:
        for token in watching.past_timeout(self.huey.storage, unit):
            logger.warning("%s runs past its job's timeout: it is killed", unit.plan.name)
            unit.timed_out.add(token)
            self._signal_unit(unit, signal.SIGKILL)

    def _check_cancels(self) -> None:
        for unit in watching.deaf_to_cancel(self.huey.storage, self._units):
            logger.warning("%s runs a job that was canceled and does not stop: it is killed", unit.plan.name)
            unit.killed = True
            self._signal_unit(unit, signal.SIGKILL)

    def _signal_unit(self, unit: Unit, signum: int) -> None:
        if unit.pid:
            with contextlib.suppress(ProcessLookupError):  # reaped with the next look
                os.kill(unit.pid, signum)

    def _kill_all(self) -> None:
        for unit in self._units:
            unit.killed = unit.killed or bool(unit.pid and not unit.timed_out)
            self._signal_unit(unit, signal.SIGKILL)


def drained(fd: int) -> list[int]:
    """The signal numbers in the wake-up pipe."""
    try:
        return list(os.read(fd, 4096))
    except BlockingIOError:
        return []
