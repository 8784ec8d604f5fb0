"""A Duey of a test's own: folder, settings, storage, ledger, and the processes that run on it.

The test looks at it as an operator would: through a Control of its own, in the test's process, over the same storage.
`tasks` is tests.acceptance.workload as seen by that process: `deployment.tasks.note(1)` defers. Ending: every process
that was started is killed, with all that descends from it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import duey
from duey import config
from duey.control.service import Control
from duey.model.job import ENDED, Job
from duey.monitor.access import Access, FirstSecrets
from tests.acceptance.http_client import Client, shown
from tests.acceptance.ledger import Ledger
from tests.acceptance.processes import ROOT, Process, is_alive, kill
from tests.support import free_port, wait_until

WORKLOAD = Path(__file__).parent / "on_path" / "workload.py"
WITHOUT_REDIS = Path(__file__).parent / "without_redis"
SHUTDOWN_S = 8
LEASE_S = 2
Section = dict[str, dict[str, Any]]


class Deployment:
    """`settings` are sections of config.ini over what the tests need."""

    forked = True  # programs are forks of a process that has imported what they need

    def __init__(self, folder: Path, backend: str = "sqlite", url: str = "", settings: Section | None = None) -> None:
        self.folder, self.backend = folder, backend
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.processes: list[Process] = []
        self.ledger = Ledger(folder / "ledger")
        self._settings: Section = {
            "storage": {"backend": backend, "name": f"t{folder.stat().st_ino}-{os.getpid()}"},
            "tasks": {"modules": "workload"},
            "consumer": {"lease_s": LEASE_S, "heartbeat_s": 0.4, "shutdown_timeout_s": SHUTDOWN_S, "workers": 2},
            "web": {"port": self.port},
        }
        if url:
            self._settings["storage"]["url"] = url
        self.configure(settings or {})
        self._huey: Any = None
        self._token = ""
        self._tasks: ModuleType | None = None

    # settings

    def configure(self, settings: Section) -> None:
        """Write config.ini anew with these values changed."""
        for section, values in settings.items():
            self._settings.setdefault(section, {}).update(values)
        text = "\n".join(
            f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
            for section, values in self._settings.items()
        )
        self.config.write_text(text)

    @property
    def config(self) -> Path:
        return self.folder / "config.ini"

    @property
    def queue(self) -> Path:
        """The SQLite file of the queue."""
        return self.folder / "data" / "queue.db"

    def environ(self, **more: str) -> dict[str, str]:
        """The environment of this deployment's processes: nothing of the developer's DUEY_ variables."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DUEY_")}
        own = {
            "DUEY_CONFIG": str(self.config),
            "DUEY_TEST_LEDGER": str(self.ledger.path),
            "PYTHONPATH": os.pathsep.join((str(WORKLOAD.parent), str(ROOT))),
        }
        if self.backend == "sqlite":
            own["PYTHONPATH"] += os.pathsep + str(WITHOUT_REDIS)
        return {**inherited, **own, **more}

    # processes

    def start(self, *arguments: str, **environ: str) -> Process:
        """Run a Python program of Duey."""
        process = Process(arguments, self.environ(**environ), self.folder, forked=self.forked)
        self.processes.append(process)
        return process

    def consumer(self, workers: int = 2, kind: str = "thread", **environ: str) -> Process:
        """The stock command, once it takes jobs."""
        process = self.launch(workers, kind, **environ)
        self.wait_taking(process)
        return process

    def launch(self, workers: int = 2, kind: str = "thread", **environ: str) -> Process:
        """The stock command, as soon as it is started."""
        command = ("-m", "huey.bin.huey_consumer", "consumer.huey", "-w", str(workers), "-k", kind)
        return self.start(*command, **environ)

    def wait_taking(self, process: Process) -> None:
        """Wait until every unit of a consumer is registered."""

        def takes() -> bool:
            assert process.popen.poll() is None, f"the consumer ended: {process.err[-2000:]}"
            pids = set(process.children())
            return bool(pids) and pids <= {w.pid for w in self.control.workers() if w.alive}

        wait_until(takes, 30, "the consumer's units are registered")

    def app(self, *arguments: str, accounts: bool = True, **environ: str) -> Process:
        """`python app.py`, once it is ready. The first token is kept for `client`.

        With `accounts` the first account and token are there before it starts: only their making takes a while.
        """
        file = self.folder / "data" / "access.db"
        if self.forked and accounts and not file.exists():
            file.parent.mkdir(exist_ok=True)
            shutil.copy(made_accounts()[0], file)
            self._token = made_accounts()[1].secret
        process = self.start("app.py", *arguments, **environ)
        process.says("ready\n")
        self._token = self._token or shown(process.out, "token")
        return process

    def client(self, timeout_s: float = 40) -> Client:
        """A client of the app, with the token of the first start."""
        return Client(self.port, self._token, timeout_s)

    def manage(self, *arguments: str, code: int = 0, **environ: str) -> tuple[str, str]:
        """Run one command of the operator: standard output and standard error. Checks the exit code."""
        process = self.start("manage.py", *arguments, **environ)
        found = process.wait(30)
        assert found == code, f"manage.py {' '.join(arguments)}: {found}: {process.out}{process.err}"
        return process.out, process.err

    def manage_all(self, *commands: Sequence[str]) -> list[tuple[int, str, str]]:
        """Run commands one after another in one process: exit code, standard output and standard error of each."""
        process = self.start(str(WORKLOAD.with_name("commands.py")), json.dumps(commands))
        assert process.wait(60) == 0, process.err
        return [(code, out, err) for code, out, err in json.loads(process.out)]

    def enqueue_apart(self, module: str, *calls: Sequence[Any]) -> list[str]:
        """Enqueue (task, arguments ...) of a module in on_path from a process of its own; the ids.

        For modules that do to whoever imports them what tests are not to have done to them.
        """
        process = self.start(str(WORKLOAD.with_name("enqueue.py")), module, json.dumps(calls), DUEY_TEST_HARMLESS="1")
        assert process.wait(60) == 0, process.err
        return process.out.split()

    def produce(self, what: str, count: int, **environ: str) -> Process:
        """Run tests/acceptance/on_path/producer.py."""
        return self.start(str(WORKLOAD.with_name("producer.py")), what, str(count), **environ)

    def forget(self) -> None:
        """Forget all jobs that have ended, and what the history would read of them."""
        storage = self.huey.storage
        storage.delete_events(storage.read_outbox(1_000_000))
        storage.flush_results()

    def close(self) -> None:
        """End everything."""
        for process in self.processes:
            for pid in process.pids():
                kill(pid)
            process.popen.wait(30)
        if self._huey is not None:
            self._huey.storage.close()

    def died(self) -> bool:
        """Whether a process died at the step that DUEY_TEST_DIE_AT named."""
        return self.ledger.path.with_name("ledger.died").exists()

    # looking and deferring, in the test's process

    @property
    def huey(self) -> Any:
        """The queue, as this process uses it."""
        if self._huey is None:
            self._huey = duey.build(config.load(self.config, environ={}))
        return self._huey

    @property
    def tasks(self) -> Any:
        """The workload, deferring from this process."""
        if self._tasks is None:
            self._tasks = self.load("workload")
        return self._tasks

    def load(self, name: str) -> Any:
        """The tasks of a module in on_path, deferring from this process."""
        return load_workload(self.huey, self.ledger.path, name)

    @property
    def control(self) -> Control:
        return Control(self.huey)

    def job(self, job: Any) -> Job:
        """The present state of a job, by its id or its result handle."""
        return self.control.job(getattr(job, "id", job))

    def state(self, job: Any) -> str:
        found = self.huey.storage.get_job(getattr(job, "id", job))  # without what it shows of the job's values
        return found.state if found else self.job(job).state

    def states(self, jobs: Sequence[Any]) -> list[str]:
        return [self.state(job) for job in jobs]

    def wait_ended(self, jobs: Sequence[Any], timeout_s: float = 60) -> list[Job]:
        """The jobs once all of them have ended."""
        left = list(jobs)

        def ended() -> bool:
            left[:] = [job for job in left if self.state(job) not in ENDED]
            return not left

        try:
            wait_until(ended, timeout_s, "all jobs have ended")
        except AssertionError as exc:
            said = "".join(process.err[-1500:] for process in self.processes)
            raise AssertionError(f"{exc}: {[self.job(job) for job in left[:5]]}; {said}") from None
        return [self.job(job) for job in jobs]

    def wait_running(self, count: int, timeout_s: float = 60) -> None:
        """Wait until so many bodies run; those that a kill cut off do not."""

        def run() -> bool:
            return sum(is_alive(run.pid) for run in self.ledger.running()) >= count

        wait_until(run, timeout_s, f"{count} bodies run")

    def anybody_waits(self) -> bool:
        """Whether a process waits for the end of a job (duey.storage.wakeup, duey.storage.redis.keys)."""
        if self.backend == "sqlite":
            return any(self.queue.with_name("queue.db-workers").glob("*.wait"))
        server = self.huey.storage.server
        return bool(server.command("HLEN", server.key("waiters")))


@cache
def made_accounts() -> tuple[Path, FirstSecrets]:
    """A file of what the first start makes, and what it shows. One for the session: a hash takes long by design."""
    file = Path(tempfile.mkdtemp()) / "access.db"
    access = Access(f"sqlite:///{file}")
    secrets = access.first_start()
    access.close()
    assert secrets is not None and not file.with_name("access.db-wal").exists()
    return file, secrets


def load_workload(huey: Any, ledger: Path, name: str = "workload") -> ModuleType:
    """The workload's tasks, or those of a module beside it, registered under their own name with this huey."""
    before, duey.huey = duey.huey, huey
    os.environ["DUEY_TEST_LEDGER"] = str(ledger)
    try:
        spec = importlib.util.spec_from_file_location(name, WORKLOAD.with_name(f"{name}.py"))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        duey.huey = before
        del os.environ["DUEY_TEST_LEDGER"]
