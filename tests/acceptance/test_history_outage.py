"""The history file is deleted, locked, broken, in the way or full under the running service: no job is slowed or lost,
people are told in words, and the pages recover by themselves."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from duey import config
from duey.monitor.history import History
from duey.storage.compaction import UNTOUCHED
from tests.acceptance.deployment import Deployment
from tests.acceptance.http_client import Client
from tests.acceptance.outage import write_lock
from tests.acceptance.variants import sqlite_in_suite
from tests.support import rounds, wait_until

PROMPT_S = 3.0  # of a defer and of a job that takes no time, on a busy machine
RECOVERED_S = rounds(40, soak=10)  # a busy machine is slower
WAVES, WAVE = 4, 500  # jobs


@contextmanager
def deleted(history: Path) -> Iterator[None]:
    for file in history.parent.glob(f"{history.name}*"):
        file.unlink()
    yield


@contextmanager
def broken(history: Path) -> Iterator[None]:
    with history.open("r+b") as file:
        file.seek(0)
        file.write(os.urandom(history.stat().st_size))
    for ending in ("-wal", "-shm"):
        history.with_name(history.name + ending).unlink(missing_ok=True)
    yield


@contextmanager
def locked(history: Path) -> Iterator[None]:
    with write_lock(history):
        yield


@contextmanager
def in_the_way(history: Path) -> Iterator[None]:
    """Something that is no file stands in its place."""
    for file in history.parent.glob(f"{history.name}*"):
        file.unlink()
    history.mkdir()
    yield
    history.rmdir()


@contextmanager
def read_only(history: Path) -> Iterator[None]:
    """By a trigger, since root may write to any file."""
    con = sqlite3.connect(history, timeout=20)
    con.execute("CREATE TRIGGER refuse BEFORE INSERT ON jobs BEGIN SELECT RAISE(FAIL, 'database or disk is full'); END")
    con.close()
    yield
    con = sqlite3.connect(history, timeout=20)
    con.execute("DROP TRIGGER refuse")
    con.close()


HARMS: list[Callable[[Path], AbstractContextManager[None]]] = [deleted, broken, locked, in_the_way, read_only]


def work(client: Client, n: int, took_s: list[float]) -> str:
    """Defer a job and wait for its end; its id. `took_s` takes the seconds."""
    began = time.monotonic()
    answer = client.post("/api/jobs", {"task": "note", "args": [n]})
    assert answer.status == 202, answer
    job = client.get(f"/api/jobs/{answer.body['id']}?wait=20").body
    assert (job["state"], job["result"]) == ("done", n)
    took_s.append(time.monotonic() - began)
    return str(job["id"])


def listed(client: Client) -> set[str]:
    answer = client.get("/api/jobs?state=done&limit=100")
    return {job["id"] for job in answer.body["jobs"]} if answer.status == 200 else set()


@sqlite_in_suite
def test_no_job_is_slowed_and_the_pages_recover(deployment: Deployment):
    deployment.app()
    client = deployment.client()
    history = deployment.folder / "data" / "monitor.db"
    n, took_s = 0, []
    for harm in HARMS:
        work(client, n := n + 1, took_s)
        took_s.clear()
        with harm(history):
            during = {work(client, n := n + 1, took_s) for _ in range(3)}
            assert min(took_s) < PROMPT_S, f"each of three took {took_s} s: {harm.__name__}"
            if harm is in_the_way:
                wait_until(lambda: client.get("/readyz").status == 503, RECOVERED_S, "it is said")
                assert any("monitor.db" in each for each in client.get("/readyz").body["problems"])
        if harm is broken:  # what was written into it before anybody noticed is gone with it
            wait_until(lambda: client.get("/api/jobs?state=done").status == 200, RECOVERED_S, "books are begun anew")
            during = {work(client, n := n + 1, took_s)}
        wait_until(lambda during=during: during <= listed(client), RECOVERED_S, f"on record after: {harm.__name__}")
        wait_until(lambda: client.get("/readyz").status == 200, RECOVERED_S, f"ready after: {harm.__name__}")
    assert {len(runs) for runs in deployment.ledger.runs().values()} == {1}


@sqlite_in_suite
def test_what_nobody_can_record_is_counted(deployment: Deployment):
    """Above the bound only: the oldest 2,500 events stay whatever it is, and so does each that tells of a failure."""
    deployment.configure({"monitor": {"backlog_rows": UNTOUCHED}})  # above twice as many, failures are dropped, too
    deployment.app()
    client, tasks = deployment.client(), deployment.tasks
    with in_the_way(deployment.folder / "data" / "monitor.db"):
        bad = []
        for _ in range(WAVES):
            bad += deployment.huey.enqueue_jobs([tasks.fail.s(n) for n in range(10)])
            deployment.huey.enqueue_jobs([tasks.note.s(n) for n in range(WAVE)])
            wait_until(lambda: nothing_waits(deployment), 30, "a wave of jobs has ended")
        # Jobs that were accepted within the first 2,500 events and ended after them keep their end.
        most = UNTOUCHED + WAVE + 2 * len(bad) + 100
        wait_until(lambda: deployment.control.counts().events < most, 30, "events above the bound are folded")
    wait_until(lambda: deployment.control.counts().events == 0, RECOVERED_S, "all the rest is on record")
    answer = client.get("/readyz")
    (told,) = [each for each in answer.body["warnings"] if "not in the lists" in each]
    counted = int(told.split()[0].replace(",", ""))
    listed = client.get("/api/jobs?state=failed&limit=100").body["jobs"]
    assert {job["id"] for job in listed} == {each.id for each in bad}
    assert 0 < counted < WAVES * WAVE
    settings = config.load(deployment.config, environ={}).monitor
    totals = History(settings.database, settings).totals()
    assert (totals.done, totals.failed, totals.enqueued) == (WAVES * WAVE, len(bad), WAVES * WAVE + len(bad))


def nothing_waits(deployment: Deployment) -> bool:
    counts = deployment.control.counts()
    return counts.queued == counts.running == 0
