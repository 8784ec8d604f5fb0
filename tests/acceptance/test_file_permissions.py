"""The files of a service are its user's alone: made so, kept so, and older ones mended."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.variants import sqlite_in_suite, sqlite_only

MINE = 0o700


def open_to_others(*places: Path) -> list[str]:
    """What in these folders, and they themselves, others may use; what a process has just removed does not count."""
    found = []
    for place in places:
        for path in (place, *place.rglob("*")):
            try:
                mode = stat.S_IMODE(os.lstat(path).st_mode)
            except FileNotFoundError:
                continue
            if mode & ~MINE:
                found.append(f"{path.name} {mode:o}")
    return found


@pytest.fixture
def wide():
    """An umask that lets everybody read, as most machines have it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@sqlite_in_suite
def test_nobody_else_may_read_a_file_of_the_service(deployment: Deployment, wide: None):
    data, copies, log = deployment.folder / "data", deployment.folder / "copies", deployment.folder / "huey.log"
    app = deployment.app(accounts=False)
    assert deployment.client().post("/api/jobs", {"task": "note", "args": [1]}).status == 202
    deployment.manage("backup", str(copies))
    command = ("-m", "huey.bin.huey_consumer", "consumer.huey", "-l", str(log), "-v")
    deployment.wait_taking(deployment.start(*command))
    names = {path.name for path in data.rglob("*")}
    assert names >= {"access.db", "monitor.db", "monitor.db-wal"} and (copies / "access.db").exists()
    if deployment.backend == "sqlite":
        assert names >= {"queue.db", "queue.db-wal", "queue.db-shm"}
        assert any(name.endswith(".life") for name in names) and any(name.endswith(".bell") for name in names)
    else:
        assert open_to_others(deployment.huey.storage.folder) == []
    assert open_to_others(data, copies) == [] and stat.S_IMODE(log.stat().st_mode) == 0o600
    for each in deployment.processes:
        each.kill()
    app.wait(20)
    # as the version before left them
    for path in (data, *data.rglob("*"), log):
        path.chmod(0o755 if path.is_dir() else 0o644)
    kept = deployment.folder / "data" / "backups" / "2026-01-01"
    kept.mkdir(parents=True)
    (kept / "queue.db").touch()
    deployment.app()
    deployment.wait_taking(deployment.start(*command))
    assert open_to_others(data) == [] and stat.S_IMODE(log.stat().st_mode) == 0o600


@sqlite_only
def test_a_program_of_somebody_else_makes_them_so_as_well(deployment: Deployment, wide: None):
    """A web application that only enqueues, and sets no umask."""
    deployment.tasks.note(1)
    deployment.huey.result("none", blocking=False)
    assert open_to_others(deployment.folder / "data") == []


@sqlite_only
def test_the_files_of_tasks_follow_the_umask_that_their_module_sets(make, wide: None):
    deployment = make({"tasks": {"modules": "umask_task, workload"}})
    module = deployment.folder / "umask_task.py"
    module.write_text(
        "import os\nfrom duey import huey\n\n@huey.task()\ndef touch(path):\n    open(path, 'w').close()\n"
    )
    made = deployment.folder / "made"
    for own, mode in (("", 0o600), ("os.umask(0o022)\n", 0o644)):
        module.write_text(module.read_text() + own)
        consumer = deployment.consumer()
        deployment.manage("enqueue", "touch", str(made), "--wait")
        assert stat.S_IMODE(made.stat().st_mode) == mode
        made.unlink()
        consumer.kill()
        assert open_to_others(deployment.folder / "data") == []
