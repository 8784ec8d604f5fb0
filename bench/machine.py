"""What the figures were measured on: the machine, its disk, the versions."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from bench.environments import CACHE
from tests.support.redis_server import redis_binary


@lru_cache
def name() -> str:
    """The machine in half a line."""
    return f"{processor()}, {os.cpu_count()} cores"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def sync_us() -> float:
    """What one synced append of 4 KB costs on the disk that the runs stand on: the floor of every synced commit."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"sync.{os.getpid()}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        taken = []
        for _ in range(200):
            os.write(fd, bytes(4096))
            began = time.perf_counter()
            os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)
            taken.append(time.perf_counter() - began)
    finally:
        os.close(fd)
        path.unlink()
    return statistics.median(taken) * 1e6


def redis_version() -> str:
    binary = redis_binary()
    if binary is None:
        return "none"
    words = subprocess.run([binary, "--version"], capture_output=True, text=True).stdout.split()
    return next((word.removeprefix("v=") for word in words if word.startswith("v=")), "unknown")


def facts() -> list[tuple[str, str]]:
    """All of it, as rows."""
    packages = ("huey", "redis", "bottle", "waitress", "peewee")
    return [
        ("processor", f"{processor()}, {os.cpu_count()} cores, {memory_gb():.0f} GB"),
        ("system", f"{platform.system()} {platform.release()}"),
        ("disk", f"one synced append of 4 KB: {sync_us():.0f} µs (median of 200)"),
        ("Python", f"{sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"),
        ("Redis", f"{redis_version()}, appendonly yes, appendfsync everysec, on the same machine"),
        ("packages", ", ".join(f"{each} {version(each)}" for each in packages)),
        ("load before", " ".join(f"{each:.2f}" for each in os.getloadavg())),
    ]
