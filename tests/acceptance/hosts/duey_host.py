"""A host on which programs of Duey run: settings, files and a ledger of its own, and a clock that may be wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.acceptance.deployment import WORKLOAD, Section
from tests.acceptance.hosts.network import Host
from tests.acceptance.http_client import Answer, Client
from tests.acceptance.ledger import Ledger
from tests.acceptance.processes import ROOT, Process

AHEAD = Path(__file__).parent / "ahead"


class DueyHost:
    """`settings` are the sections of its config.ini; `ahead_s`: by how much its clock is ahead."""

    def __init__(self, host: Host, folder: Path, settings: Section, ahead_s: int = 0) -> None:
        self.host, self.folder, self.ahead_s = host, folder, ahead_s
        (folder / "data").mkdir(parents=True)
        self.ledger = Ledger(folder / "ledger")
        self.config = folder / "config.ini"
        self.config.write_text("\n".join(
            f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
            for section, values in settings.items()
        ))  # fmt: skip
        self.processes: list[Process] = []

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def process(self) -> Process:
        """The one that was started last."""
        return self.processes[-1]

    def start(self, *command: str) -> Process:
        """Run a command of Duey here."""
        process = Process(["manage.py", *command], self._environ(), self.folder, become=self.host.become)
        self.processes.append(process)
        return process

    def command(self, *command: str, timeout_s: float = 60) -> tuple[int, str, str]:
        """Run one to its end: exit code, standard output and standard error."""
        process = Process(["manage.py", *command], self._environ(), self.folder, become=self.host.become)
        return process.wait(timeout_s), process.out, process.err

    def status(self) -> dict[str, Any]:
        """What a person here sees."""
        return dict(json.loads(self.command("status", "--json")[1]))

    def log(self) -> list[str]:
        """All that its programs have said."""
        return [line for process in self.processes for line in process.err.splitlines()]

    def close(self) -> None:
        for process in self.processes:
            process.kill_tree()

    def _environ(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DUEY_")}
        own = {
            "DUEY_CONFIG": str(self.config), "DUEY_TEST_LEDGER": str(self.ledger.path), "TMPDIR": str(self.folder),
            "PYTHONPATH": os.pathsep.join((str(WORKLOAD.parent), str(ROOT))),
        }  # fmt: skip
        if self.ahead_s:
            own["DUEY_TEST_AHEAD_S"] = str(self.ahead_s)
            own["PYTHONPATH"] = os.pathsep.join((str(AHEAD), own["PYTHONPATH"]))
        return {**inherited, **own}


class HostClient(Client):
    """A client of the HTTP API on one host, of a server on another (or the same)."""

    def __init__(self, host: Host, server: Host, port: int, token: str, timeout_s: float = 40) -> None:
        super().__init__(port, token, timeout_s, server.address)
        self._host = host

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        with self._host.inside():
            return super().call(method, path, body, headers)
