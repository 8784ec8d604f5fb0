"""Killing a recipe in the middle: it runs in a process of its own and stops where its progress says so."""

import subprocess
import sys
from pathlib import Path

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
    script = [sys.executable, "-c", _SCRIPT.format(call=call, at=at)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(script, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout and child.stdout.readline() == b"there\n"
        finally:
            child.kill()
