"""Killing a recipe in the middle: it runs in a process of its own and stops where its progress says so."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = """
import sys
from pathlib import Path
from duey.recipes import csv_import, sqlite_backup
calls = 0
def progress(done, total, note):
    global calls
    calls += 1
    if calls == {at}:
        print("there", flush=True)
        sys.stdin.read()
{call}
"""


def killed_at(call: str, at: int) -> None:
    """Run the call, which hands over `progress`, and kill it with SIGKILL in its `at`th report of progress."""
    child = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT.format(call=call, at=at)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout and child.stdin
    try:
        assert child.stdout.readline() == b"there\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        child.stdin.close()
