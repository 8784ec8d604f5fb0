"""One life of a process that evaluates and sends, for test_alert_deaths: it dies at the step that it is given.

python -m tests.alerts.dying FOLDER SECONDS STEP    SECONDS: of the clock; STEP: of duey.faults, or none
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from duey import faults
from duey.alerts.message import Message
from duey.model.job import QueueInfo
from tests.alerts.conftest import FakeChannel, World
from tests.monitor.conftest import START, Clock


class FileChannel(FakeChannel):
    """Writes the id of each message into a file, which survives this process."""

    def send(self, message: Message, timeout_s: float) -> str:
        with open(self.name, "a", encoding="utf-8") as file:
            print(message.kind, message.id, file=file)
        return "written"


def die_at(step: str) -> None:
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)


folder = Path(sys.argv[1])
world = World(folder, Clock(START))
world.channels["mail"] = FileChannel(str(folder / "sent"))
world.set()
world.control.queue_infos = [QueueInfo("mails", 3, 601.0, False)]
faults.point = die_at
world.turn(float(sys.argv[2]))
