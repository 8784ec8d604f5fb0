"""Fill the history with many jobs, through the recorder as it is, and time the pages and their queries on them.

    python -m bench.seed_history [--jobs 1000000] [--file FILE | --database URL] [--days 20] [--keep]

FILE (a temporary one by default, kept with --keep) must not exist, and the history of the database (postgresql://...)
must be empty, or is one that this script made before: then nothing is added, and only pages and queries are timed.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

# Importing a room of the engine reads the settings; this history needs none.
os.environ.setdefault("DUEY_CONFIG", os.devnull)

from bench.page_times import measure_pages, processor_of
from duey.config import load
from duey.model.event import DONE, ENQUEUED, FAILED, RETRYING, Event, OutboxOwner
from duey.monitor.history import History, JobFilter
from duey.monitor.history.database import database

TASKS = [f"tasks.{name}" for name in ("send_mail", "resize_image", "charge_card", "sync_account", "index_page")]
TASKS += [f"reports.{name}" for name in ("daily", "weekly", "invoice", "export_csv", "totals")]
TASKS += [f"jobs.task_{i:02}" for i in range(10)]
WEIGHTS = [1 / (i + 1) for i in range(len(TASKS))]
QUEUES = ["default"] * 18 + ["mail", "slow"]
ERRORS = [
    ("ConnectionError", "connect", "host {} refused"),
    ("KeyError", "lookup", "'{}'"),
    ("ValueError", "parse", "{}"),
]
TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/tasks.py", line {line}, in {task}
    helper(value)
  File "/srv/app/helpers.py", line 12, in {function}
    return call(value)
  File "/usr/lib/python3.11/site-packages/library/client.py", line 321, in call
    raise error
{type}: {message}
"""
NAMES = ["ada", "bob", "cleo", "dan", "eva", "finn", "gus", "hana"]
ROUNDS = 25


class Story:
    """Events of made-up jobs, in order, spread evenly over the last days."""

    def __init__(self, jobs: int, days: float, seed: int = 7) -> None:
        self._jobs, self._days, self._random = jobs, days, random.Random(seed)
        self._seq = self._token = 0

    def events(self) -> Iterator[Event]:
        now = time.time()
        for i in range(self._jobs):
            yield from self._job(now - self._days * 86400 * (1 - i / self._jobs))

    def _job(self, at: float) -> Iterator[Event]:
        rng = self._random
        # As the engine makes them (UUID version 7): in the order of time.
        job_id = str(uuid.UUID(int=int(at * 1000) << 80 | 7 << 76 | 2 << 62 | rng.getrandbits(62)))
        task, queue = rng.choices(TASKS, WEIGHTS)[0], rng.choice(QUEUES)
        base = (job_id, task, queue, at)
        call = (
            [rng.randrange(10**6), f"{rng.choice(NAMES)}@example.org"],
            {"to": rng.choice(NAMES), "size": rng.randrange(99)},
        )
        yield self._event(ENQUEUED, base, 0, at, detail={"retries": 2, "names": ["number", "address"]}, call=call)
        started = at + rng.expovariate(20)
        for attempt in range(1, 4):
            ended = started + rng.lognormvariate(-4, 1.5)
            self._token += 1
            if rng.random() > 0.03:
                yield self._event(DONE, base, self._token, ended, started, attempt, result={"ok": True, "n": attempt})
                return
            kind = RETRYING if attempt < 3 and rng.random() < 0.5 else FAILED
            yield self._event(kind, base, self._token, ended, started, attempt, detail=self._error(task))
            if kind == FAILED:
                return
            started = ended + 5

    def _error(self, task: str) -> dict[str, str]:
        kind, function, message = self._random.choice(ERRORS)
        said = message.format(self._random.randrange(1000))
        trace = TRACEBACK.format(line=self._random.randrange(99), task=task, function=function, type=kind, message=said)
        return {"type": kind, "message": said, "traceback": trace}

    def _event(
        self, kind: str, base: tuple[str, str, str, float], token: int, at: float, started: float | None = None,
        attempt: int = 0, detail: dict[str, Any] | None = None, call: tuple[Any, Any] = (None, None),
        result: Any = None,
    ) -> Event:  # fmt: skip
        self._seq += 1
        job_id, task, queue, enqueued_at = base
        return Event(
            self._seq, kind, job_id, token, at, task, queue, 0.0, enqueued_at, attempt, started,
            1 + token % 4 if token else None, *call, result, detail or {},
        )  # fmt: skip


class StorySource:
    """Gives the events of a story, as the queue's storage would."""

    def __init__(self, story: Story) -> None:
        self._events = story.events()
        self._waiting: list[Event] = []
        self.delivered = 0

    def own_outbox(self, history: str, where: str, take_over: bool = False) -> OutboxOwner:
        return OutboxOwner(history, where, 1, 0.0)

    def leave_outbox(self, term: int) -> None: ...

    def read_events(self, limit: int, term: int | None = None) -> list[Event]:
        self._waiting += islice(self._events, limit - len(self._waiting))
        return self._waiting

    def delete_events(self, events: Sequence[Event], term: int = 0) -> None:
        self.delivered += len(events)
        self._waiting = []


def seed(history: History, jobs: int, days: float) -> None:
    """Record made-up jobs and say how fast; the time that making them up takes is left out."""
    source = StorySource(Story(jobs, days))
    recorder = history.recorder(source)
    spent_s = cpu_s = 0.0
    while True:
        before = source.delivered
        source.read_events(2000)
        began, cpu = time.perf_counter(), time.process_time()
        recorder.record()
        spent_s += time.perf_counter() - began
        cpu_s += time.process_time() - cpu
        if source.delivered == before:
            break
    recorder.close()
    print(
        f"recorded {jobs:,} jobs ({source.delivered:,} events) in {spent_s:.1f} s: {jobs / spent_s:,.0f} jobs/s, "
        f"{cpu_s / jobs * 1e6:.0f} us of CPU each"
    )


def queries(history: History) -> dict[str, Callable[[], Any]]:
    """What the pages ask."""
    newest = history.job_rows(JobFilter()).rows
    failed = history.job_rows(JobFilter(state="failed"), 1).rows[0]
    middle = str(newest[0].n // 2)
    group = history.error_groups(limit=1).groups[0]
    day_ago = time.time() - 86400
    found: dict[str, Callable[[], Any]] = {
        "one job with its history": lambda: history.job_history(failed.job.id),
        "error groups": lambda: history.error_groups(),
        "one error group": lambda: history.error_group(group.fingerprint),
        "tasks, 1 hour": lambda: history.tasks(3600),
        "tasks, 24 hours": lambda: history.tasks(),
        "tasks, 30 days": lambda: history.tasks(30 * 86400),
        "one task, 24 hours": lambda: history.task(TASKS[0]),
        "one task, 48 hours": lambda: history.task(TASKS[0], 2 * 86400),
        "minutes of the last hour": lambda: history.minutes(),
        "days of the last month": lambda: history.days(),
        "waits by the minute": lambda: history.waits(),
        "totals, 24 hours": lambda: history.totals(),
        "failed since a day": lambda: history.failed_since(day_ago),
        "counts by state": lambda: history.state_counts(),
        "counts by state of a task": lambda: history.state_counts(JobFilter(task=TASKS[0])),
        "counts by state of a text": lambda: history.state_counts(JobFilter(text="ada@")),
        "counts by state, text found nowhere": lambda: history.state_counts(JobFilter(text="zebra")),
        "what the history holds": lambda: history.kept(),
        "slots that went wrong": history.slots_to_look_at,
    }
    filters = {
        "all": JobFilter(),
        "state": JobFilter(state="done"),
        "failed": JobFilter(state="failed"),
        "task": JobFilter(task=TASKS[0]),
        "task and state": JobFilter(task=TASKS[3], state="failed"),
        "rare task": JobFilter(task=TASKS[-1]),
        "queue": JobFilter(queue="mail"),
        "error type": JobFilter(error_type="KeyError"),
        "fingerprint": JobFilter(fingerprint=group.fingerprint),
        "since a day": JobFilter(state="done", since=day_ago),
        "failed since a day": JobFilter(state="failed", since=day_ago),
        "failed, until ten days ago": JobFilter(state="failed", until=day_ago - 9 * 86400),
        "task, text found nowhere": JobFilter(task=TASKS[0], text="zebra"),
        "error since a day": JobFilter(fingerprint=group.fingerprint, since=day_ago),
        "id": JobFilter(text=failed.job.id),
        "text": JobFilter(text="bob@example"),
        "text found nowhere": JobFilter(text="zebra"),
        "argument": JobFilter(args=(("address", "cleo@"),)),
        "argument found nowhere": JobFilter(args=(("to", "zebra"),)),
    }
    for name, wanted in filters.items():
        found[f"jobs: {name}"] = lambda wanted=wanted: history.job_rows(wanted)
        found[f"count: {name}"] = lambda wanted=wanted: history.count(wanted)
    found["jobs: a page in the middle"] = lambda: history.job_rows(JobFilter(state="done"), cursor=middle)
    return found


def measure(history: History, url: str) -> float:
    """Print the times of all queries; the worst median in milliseconds."""
    # As the recorder does in the service, which keeps its connection: the last one to leave a file tidies up.
    company = database(url)
    company.prepare()
    worst, spent_ms = 0.0, processor_of(history)
    print(f"{'query':40} {'median ms':>10} {'of CPU':>10} {'worst ms':>10}")
    for name, query in queries(history).items():
        times, cpu_times = [], []
        for _ in range(ROUNDS):
            began, cpu_began = time.perf_counter(), spent_ms()
            query()
            history.close()  # as after each request
            times.append((time.perf_counter() - began) * 1000)
            cpu_times.append(spent_ms() - cpu_began)
        worst = max(worst, statistics.median(times))
        print(f"{name:40} {statistics.median(times):10.2f} {statistics.median(cpu_times):10.2f} {max(times):10.2f}")
    company.close()
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=20.0, help="over which the jobs are spread, up to now")
    parser.add_argument("--file", type=Path, help="where the history is made, or was made before")
    parser.add_argument("--database", help="postgresql://..., instead of a file")
    parser.add_argument("--keep", action="store_true", help="keep the temporary file, and say where it is")
    options = parser.parse_args()
    folder = None if options.file else tempfile.TemporaryDirectory()
    file = options.file or Path(folder.name, "monitor.db")
    url = options.database or f"sqlite:///{file.resolve()}"
    history = History(url, load().monitor)
    history.prepare()
    if not history.kept().jobs:
        seed(history, options.jobs, options.days)
    kept = history.kept()
    print(f"{kept.jobs:,} jobs in {kept.file_bytes / 2**20:,.0f} MB")
    worst = measure(history, url)
    print(f"worst median: {worst:.1f} ms; of a page, {measure_pages(url, TASKS[0]):.1f} ms of processor time")
    if folder and options.keep:
        folder._finalizer.detach()  # type: ignore[attr-defined]
        print(f"kept: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
