"""What the web process runs: the evaluator and the senders of the channels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from duey.alerts.drill import Drill
from duey.alerts.evaluator import Evaluator
from duey.alerts.live_reader import LiveReader, alerts_of
from duey.alerts.notifications import Outbox, Planner
from duey.alerts.peers import Peers
from duey.alerts.reader import Reader
from duey.alerts.senders import Senders
from duey.alerts.service import AlertService
from duey.alerts.store import Store
from duey.config import Settings
from duey.control.service import Control
from duey.monitor.history import History


class Watch:
    """Evaluates and sends, in threads. Raises Misconfigured for a channel that cannot be made."""

    def __init__(
        self, control: Control, history: History, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        options, database = settings.alerts, history.database
        service = AlertService(history, settings, clock)
        self._history, self.service, place, self.channels = history, service, service.place, service.channels
        folders = [] if database.folder is None else [database.folder]
        if settings.storage.backend == "sqlite":
            folders.append(Path(settings.storage.path).parent)
        self.peers = Peers(options.peers, lambda: self.evaluator.leading, clock)
        self._outbox = Outbox(database, place, clock)
        self.senders = Senders(self.channels, self._outbox, lambda: self.evaluator.leading)
        reader = Reader(
            history, LiveReader(control, clock(), options), options,
            lambda: alerts_of(control), folders,
            settings.periodic.backup_folder if options.backup_hours is not None else None, self._problem,
            self.peers.seen, control.runbook,
        )  # fmt: skip
        self.evaluator = Evaluator(
            Store(database), reader, Planner(self.channels, options.cap_per_hour, place), self.senders, options, place,
            database.lock("alerts"), lambda: self.drill.start("weekly"), clock,
            lambda: history.elsewhere,
        )  # fmt: skip
        self.drill = Drill(control, history, service)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.evaluator.run, args=(self._stop,), name="Alerts")

    def _problem(self) -> str:
        return self._history.recorder_problem

    def start(self) -> None:
        self._thread.start()
        self.senders.start()
        self.peers.start()

    def stop(self) -> None:
        """End the threads. An attempt that hangs is cut off after a second, and made again by the next process."""
        self._stop.set()
        self.peers.stop()
        self.senders.stop()
        self._thread.join()
