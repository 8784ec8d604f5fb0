"""The web process: assembles the API and the monitor, serves them, and supervises one consumer.

    python app.py           web and one consumer
    python app.py --web     web alone

Start: settings, storage, accounts, consumer, socket, `ready`. Stop (Ctrl-C, SIGTERM): new requests are refused, running
ones are completed, and running jobs have `[consumer] shutdown_timeout_s` to end. A second Ctrl-C or SIGTERM, more than
2 s after the first, ends the jobs at once. SIGHUP reloads: if `duey check` passes, the consumer is stopped while
requests are still answered, then this program starts again with the current settings and task modules.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from duey import clock, config
from duey import files as config_files
from duey.server.consumer_child import ConsumerChild, environment

logger = logging.getLogger("duey.server")
READY_WITHIN_S = 15.0
CHECK_S = 30.0  # below WatchdogSec of the units: meanwhile this thread does nothing else
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class CannotStart(Exception):
    """The service cannot start. The message says why, and what to do."""


def main(argv: list[str] | None = None) -> int:
    """Run until a signal stops the service. Return the exit status."""
    parser = argparse.ArgumentParser(description="Duey: web and one consumer.")
    parser.add_argument("--web", action="store_true", help="serve the web alone, without a consumer")
    parser.add_argument(
        "--print-password",
        action="store_true",
        help="print the first account, password and token also into systemd's journal",
    )
    options = parser.parse_args(argv)
    try:
        from duey import errors, load_tasks, logs, settings
        from duey.monitor.access import AccessError
        from duey.server.http_server import CannotListen
        from duey.worker import stdio
    except config.ConfigError as exc:
        print(exc, file=sys.stderr)
        return 1
    stdio.install()
    config_files.close_to_others(settings)
    logs.configure(settings)
    try:
        load_tasks()
        return Service(settings, with_consumer=not options.web).run(options.print_password or not into_journal())
    except (errors.DueyError, AccessError, CannotListen, CannotStart) as exc:
        print(exc, file=sys.stderr)
        return 1


class Service:
    """All parts that one `app.py` runs."""

    def __init__(self, settings: Any, with_consumer: bool) -> None:
        from duey import huey
        from duey.alerts.watch import Watch
        from duey.api import make_api
        from duey.control.service import Control
        from duey.execution.left_behind import warnings_at_start
        from duey.monitor.access import Access
        from duey.monitor.history import History
        from duey.monitor.web import make_web
        from duey.os_process import Requests, StopFlag
        from duey.server.http_server import Server

        self.settings = settings
        self._requests, self._signalled = Requests(), StopFlag()
        self._lock = lock_data(settings) if with_consumer else None
        self.control = Control(huey)
        for warning in warnings_at_start(huey):
            logger.warning(warning)
        self.access = Access.of(settings, clock.now)
        self.history = History(settings.monitor.database, settings.monitor, clock.now)
        self.recorder = self.history.recorder(
            huey.lifecycle, self.control.workers, self.control.schedules.all, huey.renamed.former()
        )
        self.watch = Watch(self.control, self.history, settings, clock.now)
        self.api = make_api(self.control, self.access, settings, self.history, self.watch.service)
        self.server = Server(
            side_by_side(
                make_web(self.control, self.access, self.history, settings, self.watch.service), self.api, settings.web
            ),
            settings,
        )
        prefix = "" if settings.log.format == "json" else "consumer | "
        self.child = ConsumerChild(settings.root, prefix) if with_consumer else None

    def run(self, print_password: bool = True) -> int:
        """Run until a stop or a reload. Return the exit status. Without `print_password`, create no first account."""
        from duey.os_process import execute_anew, hear_hup, notify_manager

        self._signalled.set_by(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, note=self._requests.note)
        hear_hup()
        self.access.prepare()
        self._open_history()
        first = self.access.first_start() if print_password else None
        if self.child:
            self.child.start()
        over = threading.Event()
        recording = threading.Thread(target=self.recorder.run, args=(over,), name="Recorder")
        recording.start()
        self.watch.start()
        self.server.start()
        gc.collect()
        gc.freeze()  # what the start has made stays; else each request with many values has it all looked through again
        self._announce(first)
        if self._wait_for_consumer():
            print("ready", flush=True)
            notify_manager("READY=1")
        self._wait_for_request()
        if self._requests.stop_at is None:
            print("reloading: running jobs may finish, then the service restarts", flush=True)
            self._stop_consumer()
        print("stopping: new requests are refused, running ones and running jobs may finish", flush=True)
        over.set()
        self.watch.stop()
        self.api.close()  # answers the requests that wait for a job
        stopper = threading.Thread(target=self.server.stop, args=(self.settings.consumer.shutdown_timeout_s,))
        stopper.start()
        self._stop_consumer()
        stopper.join()
        recording.join()
        if self._requests.stop_at is None:
            execute_anew()
        return 0

    def _wait_for_request(self) -> None:
        """Supervise the consumer until a signal asks for a stop, or for a reload and the check passes."""
        while self._requests.stop_at is None:
            self._signalled.wait(0.25)
            self._signalled.clear()
            if self._requests.reload and self._can_reload():
                break
            self._beat()
            if self.child:
                self.child.tend()

    def _beat(self) -> None:
        """Tell systemd that this thread and the one that waits for requests go on."""
        from duey.os_process import notify_manager

        if self.server.is_looping:
            notify_manager("WATCHDOG=1")

    def _can_reload(self) -> bool:
        """Whether the service can start with the current settings and task modules. Prints why not."""
        self._requests.reload = False
        try:
            check = subprocess.run(
                [sys.executable, "-m", "duey", "check"], cwd=self.settings.root, env=environment(), timeout=CHECK_S,
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            logger.error(
                "not reloaded, the service keeps running as it was: `duey check` takes more than %g s", CHECK_S
            )
            return False
        if check.returncode:
            logger.error("not reloaded, the service keeps running as it was: %s", check.stderr.strip())
        return check.returncode == 0

    def _stop_consumer(self) -> None:
        def now() -> bool:
            self._beat()
            return self._requests.now

        if self.child:
            self.child.stop(self.settings.consumer.shutdown_timeout_s + 3, now)

    def _open_history(self) -> None:
        """Open the history. If it is unavailable, print a warning and go on. Raises HistoryTooNew."""
        from duey.monitor.history.errors import HistoryTooNew, HistoryUnavailable

        try:
            self.history.prepare()
        except HistoryTooNew:
            raise
        except HistoryUnavailable as exc:
            logger.warning("%s; events wait in the queue until they are available again", exc)

    def _announce(self, first: Any) -> None:
        """Print the addresses and, at the first start, the new account and token. Only their hashes are stored."""
        web = self.settings.web
        base = web.public_url or f"http://{web.host}:{self.server.port}{web.url_prefix}"
        print(f"monitor  {base}/monitor/\nAPI      {base}/api/openapi.json")
        if first:
            made = "an account and a token; they are" if first.account else "a token; it is"
            print(f"the first start made {made} shown this once:")
            print(f"  account  {first.account}\n  password {first.password}\n" * bool(first.account), end="")
            print(f"  token    {first.secret}")
        elif lacking := self.access.lacks():  # only where secrets must not be printed
            commands = {"admin": "`duey user add NAME --role admin`", "first": "`duey token create NAME`"}
            how = " and ".join(commands[each] for each in lacking)
            print(f"no first password or token is printed into a journal: make your own with {how}")
        sys.stdout.flush()

    def _wait_for_consumer(self) -> bool:
        """Wait until a consumer takes jobs, or for READY_WITHIN_S seconds. False if a stop was requested meanwhile."""
        deadline = time.monotonic() + READY_WITHIN_S
        while self.child and self._requests.stop_at is None and not self.control.health().ok:
            if time.monotonic() > deadline:
                logger.error("the consumer has not started: see its messages above; it is being restarted")
                break
            self._signalled.wait(0.05)
            self._signalled.clear()
            self.child.tend()
        return self._requests.stop_at is None


def into_journal() -> bool:
    """Whether standard output goes to systemd's journal, which other users can read."""
    return "JOURNAL_STREAM" in os.environ and not sys.stdout.isatty()


def lock_data(settings: Any) -> int:
    """Lock the data folder against a second `app.py` and return the descriptor. Raises CannotStart."""
    folder = Path(settings.storage.path).parent if settings.storage.backend == "sqlite" else settings.root / "data"
    try:
        config_files.make_folder(folder)
        fd = os.open(folder / "app.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        config_files.mend(folder / "app.lock")
    except OSError as exc:
        raise CannotStart(
            f"the data folder {folder} cannot be written ({exc.strerror}): give this user access"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise CannotStart(f"another Duey runs on {folder}: stop it first, or start `app.py --web`") from None
    return fd


def side_by_side(web: Wsgi, api: Wsgi, settings: Any) -> Wsgi:
    """Return the application: the monitor below /monitor, a redirect to it at /, and the API everywhere else."""
    from duey.server.http_policy import HttpPolicy

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/monitor" or path.startswith("/monitor/"):
            return web(environ, start_response)
        if path in ("", "/") and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            start_response(
                "303 See Other", [("Location", environ["SCRIPT_NAME"] + "/monitor/"), ("Content-Length", "0")]
            )
            return []
        return api(environ, start_response)

    return HttpPolicy(app, settings)
