"""Presence of a worker process on Redis: its lock file, its wake-ups, and what it tells Redis about running jobs.

On its host it has the same lock file as on SQLite (duey.storage.presence), so that its supervisor and any rescuer there
see at once that it died and what it ran. A thread, the pulse, tells Redis which jobs have been handled for a while, so
that a rescuer on another host knows which ones to charge. Short jobs cost nothing. It also renews the lease of a worker
without a supervisor. duey.storage.redis.worker.wakeup_pipe says how the worker sleeps.

`close` ends a worker. kill -9 ends the thread and releases the lock, and then the lease expires.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from duey import clock, errors
from duey import files as config_files
from duey.storage.presence import IN_BODY, Presence, Slot, read_slots
from duey.storage.redis.codec import token_of, token_text
from duey.storage.redis.connection.client import Server
from duey.storage.redis.keys import LEASE_S
from duey.storage.redis.worker.wakeup_pipe import RedisWakeup

PULSE_S = 0.05  # jobs that are handled for longer than this are reported to Redis


def folder_of(server: Server) -> Path:
    """The folder of the lock files of this queue on this host. Raises StorageUnavailable if it belongs to another
    user."""
    # The name contains the instance, because a server that was emptied gives the same worker numbers again.
    text = f"{server.url} {server.prefix} {server.opened.instance}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"duey-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise errors.StorageUnavailable(f"the folder {folder} belongs to another user: remove it, or set TMPDIR")
    config_files.mend(folder)
    return folder


class OnThisHost:
    """What the parts of RedisStorage use that read the lock files of workers on this host."""

    server: Server

    @cached_property
    def folder(self) -> Path:
        """The folder of the lock files."""
        return folder_of(self.server)


def running_text(slots: list[Slot]) -> str:
    """The handled jobs as text, for the field `running` of `worker:N`."""
    return json.dumps([(token_text(slot.token), slot.started_at, slot.phase) for slot in slots]) if slots else ""


def running_of(text: bytes | None) -> list[Slot]:
    """The handled jobs from the field `running` of `worker:N`. Version 1 reported only bodies, without a phase."""
    rows = json.loads(text) if text else []
    return [Slot(token_of(each[0]), each[2] if len(each) > 2 else IN_BODY, each[1], 0.0) for each in rows]


class RedisPresence(Presence):
    """The presence of this process as worker `n`. `key` shows that the number belongs to this process."""

    def __init__(self, folder: Path, n: int, key: str, server: Server, queues: Sequence[str] = ()) -> None:
        self._server = server
        self.sleeping = self.has_slept = False  # the next claim removes the worker from the sleepers
        super().__init__(folder, n, queues)
        self.key = key
        self._held: set[int] = set()  # tokens that must be reported as long as they are handled
        self.beat_alone: Callable[[], None] | None = None  # set if there is no supervisor to renew the lease
        self._over = False  # no Event, because `abandon` runs in forked children, where its lock may be held for ever
        self._abandoned = False
        self._awake = threading.Event()
        self._awake.set()

    def make_pipe(self, path: Path) -> RedisWakeup:
        key = self._server.key(f"wakeup:{self.n}")
        self.pipe: RedisWakeup = RedisWakeup(path, self._server, key, lambda: self.sleeping)
        return self.pipe

    def start(self) -> None:
        """Start reporting running jobs, once the worker is registered."""
        threading.Thread(target=self._pulse, name="Pulse", daemon=True).start()

    def slots(self) -> list[Slot]:
        """What the threads handle now."""
        return read_slots(self._map[:])

    def hold(self, token: int) -> str:
        """What this worker handles, as it is reported. This job is reported from now on, as long as it is handled."""
        self._held.add(token)
        return running_text(self.slots())

    def asleep(self, yes: bool) -> None:
        super().asleep(yes)
        self.sleeping = yes
        if not yes:
            self._awake.set()
            return
        self.has_slept = True
        self._awake.clear()
        with contextlib.suppress(errors.StorageUnavailable):  # it sleeps for a short time and looks again
            self._server.command(b"ZADD", self._server.key("sleepers"), clock.now(), self.n)

    def close(self) -> None:
        self._over = True
        self._awake.set()
        super().close()

    def abandon(self) -> None:
        self._over = True
        if not self._abandoned:  # only once: the descriptor may be reused for another file
            self._abandoned = True
            super().abandon()

    def _pulse(self) -> None:
        """Report the jobs that are handled for a while: those that were there at the previous look already."""
        reported, before = "", frozenset[int]()
        while not self._over:
            time.sleep(PULSE_S)
            try:
                slots = self.slots()
            except ValueError:
                return  # closed in the meantime
            if not slots and not self._awake.is_set():
                self._awake.wait(LEASE_S / 5)
            self._held.intersection_update([slot.token for slot in slots])
            text = running_text([slot for slot in slots if slot.token in before or slot.token in self._held])
            before = frozenset(slot.token for slot in slots)
            with contextlib.suppress(errors.DueyError):
                if self.beat_alone:
                    self.beat_alone()
                if text and text != reported:
                    self._server.run("running", self.n, self.key, text, again=True)
                    reported = text
