"""The workers as rows and life files: who they are, whether they live, what they run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine import liveness
from engine.jobs import Running, WorkerInfo


def infos(con: sqlite3.Connection, folder: Path) -> list[WorkerInfo]:
    """Every registered worker process, oldest first."""
    found = []
    for n, _consumer, host, pid, started_at, threads, kind, queues, quiet in con.execute(
        "select n, consumer, host, pid, started_at, threads, kind, queues, quiet from workers order by n"
    ).fetchall():
        running = []
        for slot in liveness.slots_of(folder, n):
            job = con.execute(
                "select id, task from claims join jobs using (seq) where token = ?", (slot.token,)
            ).fetchone()
            if job:
                running.append(Running(job[0], job[1], slot.started_at))
        heartbeat = liveness.heartbeat_of(folder, n)
        found.append(
            WorkerInfo(
                id=str(n), host=host, pid=pid, started_at=started_at, heartbeat_at=heartbeat or started_at,
                workers=threads, worker_type=kind, queues=tuple(queues.split(",")),
                alive=liveness.is_alive(folder, n), quiet=bool(quiet), running=tuple(running),
                rss_bytes=rss_of(pid),
            )
        )  # fmt: skip
    return found


def rss_of(pid: int) -> int | None:
    """Resident memory of a process on this host."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096
    except (OSError, IndexError, ValueError):
        return None


def asked(con: sqlite3.Connection, n: int) -> tuple[bool, bool]:
    """Whether the worker was asked to be quiet, and to stop."""
    row = con.execute("select quiet, stop from workers where n = ?", (n,)).fetchone()
    return (bool(row[0]), bool(row[1])) if row else (False, False)
