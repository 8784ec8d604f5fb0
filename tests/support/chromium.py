"""The browser of the tests: the Chromium of the system, which playwright drives by its path.

Nothing is downloaded by playwright. Where there is no browser, and we are root on a machine with apt-get, it
is installed once, by whichever of the processes of the suite comes first.
"""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path("/var/lock/dewey-tests-chromium")  # each process has a temporary folder of its own
NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "expected a Chromium on PATH, found none of {names}{tried}; install chromium."


@functools.cache
def find_chromium() -> tuple[str | None, str]:
    """The path of the executable or None, and the sentence to say where there is none."""
    tried = ""
    if not _on_path() and os.geteuid() == 0 and shutil.which("apt-get"):
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _on_path():
                print("No Chromium on PATH: installing it with apt-get, once.", file=sys.stderr, flush=True)
                tried = _install()
    return _on_path(), MISSING.format(names=", ".join(NAMES), tried=tried)


def _on_path() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)


def _install() -> str:
    """Install; return '' or what went wrong, as the middle of a sentence."""
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
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
