"""How a worker process lives on Redis: its wake-up pipe, what it runs, and the files by which its own host sees it.

On its host a worker shows that it lives exactly as on SQLite (duey.storage.presence): a locked file with a slot for
each thread, so that its parent, and any rescuer there, sees a death and what it hit at once. Two threads carry this
further:

    listener   waits at the worker's list on Redis and rings the local bell, so that a signal handler can ring it as
               well; begun when the worker first falls asleep
    pulse      tells Redis which jobs have been handled for a while, so that a rescuer on another host knows whom to
               charge; short ones cost nothing. It beats for a worker that has no parent.

Ending: `close` when the worker ends well; kill -9 ends threads and lock together, and the lease runs out.
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
from pathlib import Path

from duey import clock, errors
from duey import files as config_files
from duey.storage.presence import IN_BODY, Presence, Slot, read_slots
from duey.storage.redis.client import BLOCK_S, Server
from duey.storage.redis.codec import LOW, token_of, token_text
from duey.storage.redis.keys import LEASE_S

PULSE_S = 0.05  # what is handled for longer than this is told of
BACK_OFF_S = 0.5  # while Redis is away


def folder_of(url: str, server: Server) -> Path:
    """Where the workers of this queue keep their files on this host. Raises StorageUnavailable when it is not ours."""
    # The instance is in the name: on a server that was emptied, numbers are given again.
    text = f"{url} {server.prefix} {server.opened.instance}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"duey-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise errors.StorageUnavailable(f"the folder {folder} belongs to another user: remove it, or set TMPDIR")
    config_files.mend(folder)
    return folder


def running_text(slots: list[Slot]) -> str:
    """What is handled, as it stands in `worker:N`."""
    return json.dumps([(token_text(slot.token), slot.started_at, slot.phase) for slot in slots]) if slots else ""


def running_of(text: bytes | None) -> list[Slot]:
    """What `worker:N` says is handled. A worker of the version before told of bodies only, without a phase."""
    told = json.loads(text) if text else []
    return [Slot(token_of(each[0]), each[2] if len(each) > 2 else IN_BODY, each[1], 0.0) for each in told]


class RedisPresence(Presence):
    """This process's proof of life as worker `n`. `key` is what makes the number its own."""

    def __init__(self, folder: Path, n: int, key: str, server: Server, queues: Sequence[str] = ()) -> None:
        super().__init__(folder, n, queues)
        self._queues = queues
        self.key = key
        self._held: set[int] = set()  # tokens that Redis must know of for as long as they are handled
        self.sleeping = self.has_slept = False  # the turn after a sleep takes it from the sleepers
        self.beat_alone: Callable[[], None] | None = None  # set when no parent beats for this worker
        self._server = server
        self._over = False  # no Event: `abandon` runs in forked children, where its lock may be held for ever
        self._let_go = False
        self._awake = threading.Event()
        self._awake.set()
        self._notifying = threading.Lock()
        self._listener: threading.Thread | None = None

    def start(self) -> None:
        """Begin to tell what runs, once others can see this worker."""
        threading.Thread(target=self._pulse, name="Pulse", daemon=True).start()

    def slots(self) -> list[Slot]:
        """What is handled now."""
        return read_slots(self._map[:])

    def hold(self, token: int) -> bool:
        """Tell of this job now, before its body begins; False when its claim is gone."""
        self._held.add(token)
        text = running_text(self.slots())
        return bool(self._server.run("running", self.n, self.key, text, token & LOW, again=True))

    def asleep(self, yes: bool) -> None:
        super().asleep(yes)
        self.sleeping = yes
        if not yes:
            self._awake.set()
            return
        self.has_slept = True
        self._awake.clear()
        if self._listener is None:
            self._listener = threading.Thread(target=self._listen, name="Listener", daemon=True)
            self._listener.start()
        with contextlib.suppress(errors.StorageUnavailable):  # then it sleeps for a moment, and looks again
            self._server.command(b"ZADD", self._server.key("sleepers"), clock.now(), self.n)

    def close(self) -> None:
        with self._notifying:
            self._over = True
        self._awake.set()
        super().close()

    def abandon(self) -> None:
        self._over = True
        if not self._let_go:  # a second time it would close what another file is by now
            self._let_go = True
            super().abandon()

    def _listen(self) -> None:
        """Ring here whenever somebody rings on Redis."""
        while not self._over:
            try:
                notified = self._server.wait_at(f"bell:{self.n}", BLOCK_S)
            except errors.DueyError:
                time.sleep(BACK_OFF_S)
                continue
            with self._notifying:  # a closed bell's number may be another file's by now
                if notified and not self._over:
                    self.pipe.notify()
            if notified and not self.sleeping:  # it has found work meanwhile: let another look for this job
                with contextlib.suppress(errors.StorageUnavailable):
                    self._server.run("wake", 1, *self._queues)

    def _pulse(self) -> None:
        """Tell of the jobs that are handled for a while: those that the look before has seen as well."""
        told, before = "", frozenset[int]()
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
                if text and text != told:
                    self._server.run("running", self.n, self.key, text, again=True)
                    told = text
