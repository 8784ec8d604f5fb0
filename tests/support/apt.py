"""Programs that tests need and a machine may lack: found on PATH, or installed from the packages of Debian.

Where one is missing, and we are root on a machine with apt-get, it is installed once, by whichever of the processes of
the suite comes first.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LOCK = Path("/var/lock/duey-tests-apt")  # each process has a temporary folder of its own
# Programs by the fixture that needs them: label, names on PATH, packages.
TOOLS = {
    "systemd_analyze": ("systemd-analyze", ("systemd-analyze",), ("systemd",)),
    "compose": ("docker-compose", ("docker-compose",), ("docker-compose",)),
    "caddy": ("a Caddy", ("caddy",), ("caddy",)),
    # "postgres" stands in a folder that is on nobody's PATH
    "postgres_server": ("a PostgreSQL server", ("pg_ctlcluster",), ("postgresql",)),
    "postgres_programs": ("a PostgreSQL server", ("pg_ctlcluster",), ("postgresql",)),
    "namespaces": ("the program ip", ("ip",), ("iproute2",)),
    "logrotate": ("logrotate", ("logrotate",), ("logrotate",)),
    "redis_with_tls": ("a redis-server with TLS", ("redis-server",), ("redis-server",)),  # that of the wheel has none
}
MISSING = "expected {label} on PATH, found none of {names}{tried}; install {packages}."


def install_together(tools: Sequence[str]) -> None:
    """Install the packages of those of TOOLS that are missing, in one go."""
    lacking = [TOOLS[each] for each in tools if not _on_path(TOOLS[each][1])]
    if lacking:
        packages = [package for _, _, wanted in lacking for package in wanted]
        find_or_install(", ".join(label for label, _, _ in lacking), lacking[-1][1], packages)


def find_or_install(label: str, names: Sequence[str], packages: Sequence[str]) -> tuple[str | None, str]:
    """The path of the first of `names` or None, and the sentence to say where there is none."""
    tried = ""
    if not _on_path(names) and os.geteuid() == 0 and shutil.which("apt-get"):
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _on_path(names):
                print(f"Not on PATH: {label}. Installing it with apt-get, once.", file=sys.stderr, flush=True)
                tried = _install(packages)
    sentence = MISSING.format(label=label, names=", ".join(names), tried=tried, packages=" ".join(packages))
    return _on_path(names), sentence


def _on_path(names: Sequence[str]) -> str | None:
    folders = os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin"  # of servers, not on everybody's PATH
    return next((path for name in names if (path := shutil.which(name, path=folders))), None)


def _install(packages: Sequence[str]) -> str:
    """Install; return '' or what went wrong, as the middle of a sentence."""
    # In this run level a package does not start its server.
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        try:
            run = subprocess.run(
                ["apt-get", "-q", *command],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=900,
            )
        except subprocess.TimeoutExpired:
            return f", and apt-get {command[0]} took more than 15 minutes"
        if run.returncode:
            last = run.stdout.strip().splitlines()[-1:] or ["no output"]
            return f", and apt-get {command[0]} failed ({last[0]})"
    return ""
