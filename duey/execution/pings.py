"""Pings: tell a dead man's switch when a run of a schedule starts, succeeds and fails (the option `ping` of a task, and
[periodic] heartbeat_url for the task heartbeat).

A thread of the worker process sends them, so that no job waits for a server. A ping that cannot be sent is lost: the
switch then raises an alarm that is false, instead of none. It is logged once until one is taken again. Redirects are
not followed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import re
import threading
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from duey.model.job import CANCELED, DONE, EXPIRED, FAILED, SCHEDULE, JobRecord

START, SUCCESS, FAIL = "start", "success", "fail"
EVENTS = {DONE: SUCCESS, FAILED: FAIL, CANCELED: FAIL, EXPIRED: FAIL}  # by the state in which a job ended
TIMEOUT_S = 10.0
MOST = 1000  # that wait; more are dropped
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
logger = logging.getLogger("duey.consumer")


def address(url: str, event: str, job_id: str) -> str | None:
    """The URL of an event, or None where the service has none for it.

    Cronitor (cronitor.link): `?state=run|complete|fail`. Uptime Kuma (/api/push/): `?status=up|down`. All others as
    Healthchecks: the URL itself, `/start` and `/fail`, with the job's id as `rid`.
    """
    parts = urlsplit(url)
    if parts.hostname == "cronitor.link":
        return _with(url, state={START: "run", SUCCESS: "complete", FAIL: "fail"}[event], series=job_id)
    if "/api/push/" in parts.path:
        return None if event == START else _with(url, status="up" if event == SUCCESS else "down")
    path = parts.path.rstrip("/") + ("" if event == SUCCESS else f"/{event}")
    url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
    return _with(url, rid=job_id) if _UUID.fullmatch(job_id) else url


def _with(url: str, **values: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(values))))))


class Pings:
    """Sends pings, in a thread of this process that starts with the first one."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the thread: none survives a fork, and the lock may be held by one that did not."""
        self._lock = threading.Lock()
        self._waiting: queue.Queue[tuple[str, str]] | None = None

    def send(self, url: str, event: str, job: JobRecord) -> None:
        """Send a ping for a run of a schedule, soon. Never raises, and does nothing for other jobs."""
        if not (job.by or "").startswith(SCHEDULE) or job.parent is not None:
            return
        found = address(url, event, job.id)
        if found is not None:
            with self._lock:
                if self._waiting is None:
                    self._waiting = queue.Queue(MOST)
                    threading.Thread(target=self._run, args=(self._waiting,), name="Pings", daemon=True).start()
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait((found, event))

    def _run(self, waiting: queue.Queue[tuple[str, str]]) -> None:
        import urllib.request  # late: it brings HTTP, TLS and mail, which few worker processes need

        class Redirects(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *args: Any) -> None:
                """A redirect is an error: it could lead to a host that nobody named."""

        opener = urllib.request.build_opener(Redirects)
        failing: set[tuple[str | None, str]] = set()
        while True:
            url, event = waiting.get()
            key, problem = (urlsplit(url).hostname, event), ""
            try:
                request = urllib.request.Request(url, headers={"User-Agent": "duey"})
                with opener.open(request, timeout=TIMEOUT_S):
                    pass
            except urllib.request.HTTPError as exc:  # also a redirect; the rest of the URL is a secret
                problem = f"it answered {exc.code}"
            except Exception as exc:  # whatever it answers, the next one is sent
                problem = type(exc).__name__
            if problem and key not in failing:
                logger.warning("a ping (%s) to %s was not taken: %s", event, key[0], problem)
            failing = failing | {key} if problem else failing - {key}


pings = Pings()
os.register_at_fork(after_in_child=pings.reset)
