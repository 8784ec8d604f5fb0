"""kill -9 between incident, notification and answer: told at least once, and at most once more."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from duey import faults
from tests.support import rows

ROOT = Path(__file__).resolve().parents[2]
# Step, and how often the same message was sent once a new process has taken over.
STEPS = [("alert.written", 1), ("alert.committed", 1), ("attempt.committed", 1), ("attempt.sent", 2)]


def live(folder: Path, at: float, step: str = "-") -> int:
    command = [sys.executable, "-m", "tests.alerts.dying", str(folder), str(at), step]
    return subprocess.run(command, cwd=ROOT, timeout=60).returncode


def test_every_step_is_tried() -> None:
    assert [step for step, _ in STEPS] == [each for each in faults.STEPS if each.startswith(("alert.", "attempt."))]


@rows("step, times", STEPS)
def test_a_death_there(tmp_path: Path, step, times) -> None:
    folder = tmp_path / step
    folder.mkdir()
    (folder / "config.ini").touch()
    assert live(folder, 10.0, step) == -signal.SIGKILL
    assert live(folder, 100.0) == 0
    assert live(folder, 200.0) == 0
    lines = (folder / "sent").read_text().splitlines()
    assert len(lines) == times and len(set(lines)) == 1, lines
    with closing(sqlite3.connect(folder / "monitor.db")) as db:
        assert db.execute("SELECT COUNT(*) FROM incidents").fetchone() == (1,)
        assert db.execute("SELECT state, answer FROM notifications").fetchall() == [("sent", "written")]
