"""kill -9 between incident, notification and answer: told at least once, and at most once more."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from duey import faults
from duey.alerts.message import Message
from duey.model.job import QueueInfo
from tests.alerts.conftest import FakeChannel, World
from tests.monitor.conftest import START, Clock
from tests.support import rows
from tests.support.file_errors import exit_status

# Step, and how often the same message was sent once a new process has taken over.
STEPS = [("alert.written", 1), ("alert.committed", 1), ("attempt.committed", 1), ("attempt.sent", 2)]


class FileChannel(FakeChannel):
    """Writes the id of each message into a file, which survives this process."""

    def send(self, message: Message, timeout_s: float) -> str:
        with open(self.name, "a", encoding="utf-8") as file:
            print(message.kind, message.id, file=file)
        return "written"


def live(folder: Path, at: float, step: str = "-") -> int:
    """One life of a process that evaluates and sends, and dies at the step; its exit code."""

    def die(passed: str) -> None:
        if passed == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        world = World(folder, Clock(START))
        world.channels["mail"] = FileChannel(str(folder / "sent"))
        world.set()
        world.control.queue_infos = [QueueInfo("mails", 3, 601.0, False)]
        faults.point = die
        world.turn(at)

    return exit_status(work)


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
