"""Watches other services: asks /readyz of each of `[alerts] peers` from time to time, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from duey.recipes import Refused, Unavailable, http

EVERY_S = 20.0
TIMEOUT_S = 10.0


class PeerSeen(NamedTuple):
    """A service and what it answered last. `since`: since when it is not ready; None if it is."""

    name: str  # host and port: the rest of the URL may be a secret
    since: float | None
    answer: str


class Peers:
    """Asks in one thread; `seen` is for any thread. `leads`: whether this process evaluates alerts."""

    def __init__(self, urls: Sequence[str], leads: Callable[[], bool], clock: Callable[[], float] = time.time) -> None:
        self._urls, self._leads, self._clock = urls, leads, clock
        self._seen: dict[str, PeerSeen] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="Peers", daemon=True)

    def start(self) -> None:
        if self._urls:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def seen(self) -> tuple[PeerSeen, ...] | None:
        """Return what each answered; None before all were asked."""
        found = dict(self._seen)
        return tuple(found[url] for url in self._urls) if len(found) == len(set(self._urls)) else None

    def ask(self) -> None:
        """Ask each once."""
        for url in self._urls:
            answer = _answer(url)
            before, now = self._seen.get(url), self._clock()
            since = None if not answer else now if before is None or before.since is None else before.since
            self._seen[url] = PeerSeen(urlsplit(url).netloc.rpartition("@")[2], since, answer)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._leads():
                self.ask()
            self._stop.wait(EVERY_S)


def _answer(url: str) -> str:
    """Why a service is not ready, '' if it is."""
    try:
        http.request("GET", url, timeout_s=TIMEOUT_S, allow_hosts=None)
    except (Refused, Unavailable) as error:
        return str(error)[:200]
    except Exception as error:  # whatever it answers must not end the thread
        return type(error).__name__
    return ""
