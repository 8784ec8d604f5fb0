"""Web and consumers of this commit and of the one before, side by side on one queue, as during a rolling upgrade.

Where the schema of the queue differs, they cannot be: then each refuses what is newer, in one sentence. Where that of
history or accounts differs, only the consumers can.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {"sqlite": "duey/storage/sqlite/**/schema.py", "redis": "duey/storage/redis/keys.py"}
TASKS = (
    "from duey import huey, __version__\n\n\n@huey.task()\ndef where():\n    import duey\n    return duey.__file__\n"
)


def of_git(*words: str) -> bytes | None:
    """What git answers, None where there is none, or no history: in an unpacked wheel or a shallow clone."""
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return None


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The code of the commit before; where there is no history this code, which then is on both sides."""
    packed = of_git("archive", "HEAD~1") if (ROOT / ".git").exists() else None
    if packed is None:
        print("there is no git history here: the code runs beside itself, and not beside that of the commit before")
        return ROOT
    folder = tmp_path / "before"
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder)
    return folder


class Programs:
    """Programs of either code, on one folder of data."""

    def __init__(self, folder: Path, **storage: str) -> None:
        self.folder, self.storage = folder, storage
        (folder / "config.ini").write_text("[tasks]\nmodules = places\n")
        (folder / "places.py").write_text(TASKS)
        self.running: list[subprocess.Popen[str]] = []
        self.tokens: dict[str, str] = {}

    def start(self, code: Path, *words: str, **environ: str) -> subprocess.Popen[str]:
        """`environ` as DUEY_SECTION_KEY."""
        config = {"DUEY_CONFIG": str(self.folder / "config.ini"), "PYTHONPATH": f"{code}{os.pathsep}{self.folder}"}
        made = subprocess.Popen(
            [sys.executable, *words], cwd=code, env={**os.environ, **config, **self.storage, **environ}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.running.append(made)
        return made

    def web(self, code: Path, name: str) -> str:
        """The address of a web process, once it is ready. Each has a history and accounts of its own, whose schemas may
        differ where that of the queue does not."""
        port = free_port()
        made = self.start(
            code, "app.py", "--web", DUEY_WEB_PORT=str(port), DUEY_MONITOR_DATABASE=f"sqlite:///{name}/monitor.db",
            DUEY_AUTH_DATABASE=f"sqlite:///{name}/access.db",
        )  # fmt: skip
        assert made.stdout is not None
        address = f"http://127.0.0.1:{port}/api/"
        for line in made.stdout:
            if found := re.match(r"\s*token\s+(\S+)", line):
                self.tokens[address] = found[1]
            if line.strip() == "ready":
                return address
        raise AssertionError(made.communicate())

    def call(self, address: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[address]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(address + path, data=data, headers=headers)
        with urllib.request.urlopen(asked, timeout=40) as answer:
            return json.load(answer)


@pytest.fixture(params=SCHEMAS)
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Programs]:
    (tmp_path / "service").mkdir()
    storage = {"DUEY_STORAGE_BACKEND": request.param}
    if request.param == "redis":
        storage |= {"DUEY_STORAGE_URL": request.getfixturevalue("redis_server").url, "DUEY_STORAGE_NAME": tmp_path.name}
    made = Programs(tmp_path / "service", **storage)
    yield made
    for each in made.running:
        each.terminate()
    for each in made.running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            each.communicate(timeout=30)
        each.kill()


def test_both_codes_work_side_by_side_or_refuse_the_newer_queue(before: Path, programs: Programs) -> None:
    new = programs.web(ROOT, "new")
    consumer = ("-m", "huey.bin.huey_consumer", "consumer.huey", "-w", "1")
    version = re.compile(r"^VERSION = (\d+)", re.M)
    schema = SCHEMAS[programs.storage["DUEY_STORAGE_BACKEND"]]
    (old_one,), (new_one,) = before.glob(schema), ROOT.glob(schema)
    if version.findall(old_one.read_text()) != version.findall(new_one.read_text()):
        refused = programs.start(before, *consumer)
        _, err = refused.communicate(timeout=30)
        assert refused.returncode == 1 and "install the newer Duey again" in err
        return
    old = programs.web(before, "old")
    for code, queue in ((before, "old"), (ROOT, "new")):
        programs.start(code, *consumer, DUEY_CONSUMER_QUEUES=queue)
    jobs = {
        (address, queue): programs.call(address, "jobs", {"task": "where", "queue": queue})["id"]
        for address in (new, old)
        for queue in ("old", "new")
    }
    for (address, queue), job in jobs.items():
        ended = programs.call(new if address == old else old, f"jobs/{job}?wait=30")
        code = before if queue == "old" else ROOT
        assert (ended["state"], ended["result"]) == ("done", str(code / "duey" / "__init__.py"))
    for address in (new, old):
        assert len(programs.call(address, "workers")["workers"]) == 2
