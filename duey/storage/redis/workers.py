"""The workers on Redis: their rows and lock files, whether they are alive, what they run."""

from __future__ import annotations

from pathlib import Path

from duey.model.job import Running, WorkerInfo
from duey.model.queues import shown
from duey.storage import presence
from duey.storage.presence import HOST, rss_of
from duey.storage.redis.client import Server
from duey.storage.redis.presence import running_of


def started(folder: Path, n: int, said: bytes | None) -> dict[int, float | None]:
    """The tokens that worker n handles, and when their bodies began. Read from its file on this host, or from Redis."""
    slots = presence.slots_of(folder, n) or running_of(said)
    return {slot.token: slot.started_at or None for slot in slots}


def infos(server: Server, folder: Path) -> list[WorkerInfo]:
    """Every registered worker process, the oldest first."""
    found = []
    for number, leased, row, jobs in server.run("workers", again=True):
        n = int(number)
        host, pid, started_at, beat_at, threads, kind, queues, quiet, said, code = row
        if host is None:
            continue
        held = {
            (n << 32) | int(jobs[i]): (jobs[i + 1].decode(), (jobs[i + 2] or b"").decode())
            for i in range(0, len(jobs), 3)
        }
        running = [Running(*held[token], since) for token, since in started(folder, n, said).items() if token in held]
        here = n in presence.numbers(folder)
        found.append(
            WorkerInfo(
                id=str(n), host=host.decode(), pid=int(pid), started_at=float(started_at),
                heartbeat_at=float(beat_at), workers=int(threads), worker_type=kind.decode(),
                queues=shown(queues.decode().split(",")),
                alive=bool(leased) and (not here or presence.is_alive(folder, n)), quiet=bool(quiet),
                running=tuple(running), rss_bytes=rss_of(int(pid)) if host.decode() == HOST else None,
                code=(code or b"").decode(),
            )
        )  # fmt: skip
    return sorted(found, key=lambda info: int(info.id))
