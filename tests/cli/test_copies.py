"""A backup is taken while the service is in use, and what is restored from it is what was accepted before it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def manage(tmp_path):
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = jobs\n")
    (tmp_path / "jobs.py").write_text(
        "from duey import huey\n\n\n@huey.task()\ndef add(a: int, b: int) -> int:\n    return a + b\n"
    )
    environ = {**os.environ, "DUEY_CONFIG": str(tmp_path / "config.ini")}

    def run(*words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    return run


def test_what_was_backed_up_is_there_again_after_the_loss(manage, tmp_path):
    kept = manage("enqueue", "add", "1", "2").strip()
    manage("user", "add", "ana", "--role", "admin")
    manage("backup", str(tmp_path / "copies"))
    later = manage("enqueue", "add", "3", "4").strip()
    for file in (tmp_path / "data").glob("*.db*"):
        if file.is_file():
            file.unlink()
    manage("restore", str(tmp_path / "copies"))
    assert "ana\tadmin" in manage("user", "list")
    assert "already" in manage("retry", kept, status=1) or "it is queued" in manage("retry", kept, status=1)
    assert "no job has the id" in manage("cancel", later, status=1)


def test_a_broken_queue_can_be_replaced_by_its_backup(manage, tmp_path):
    kept = manage("enqueue", "add", "1", "2").strip()
    manage("backup", str(tmp_path / "copies"))
    for suffix in ("-wal", "-shm"):
        Path(f"{tmp_path}/data/queue.db{suffix}").unlink(missing_ok=True)
    (tmp_path / "data" / "queue.db").write_bytes(b"nonsense " * 1000)
    assert "no sound SQLite database" in manage("status", status=1)
    manage("restore", str(tmp_path / "copies"))
    manage("cancel", kept)
    assert (tmp_path / "data" / "queue.db.before").read_bytes().startswith(b"nonsense")


def test_a_folder_without_a_backup_is_refused_and_nothing_is_touched(manage, tmp_path):
    manage("enqueue", "add", "1", "2")
    before = (tmp_path / "data" / "queue.db").read_bytes()
    assert "holds no backup" in manage("restore", str(tmp_path), status=1)
    assert (tmp_path / "data" / "queue.db").read_bytes() == before


def test_nothing_is_replaced_under_a_running_service(manage, tmp_path):
    import fcntl

    manage("enqueue", "add", "1", "2")
    manage("backup", str(tmp_path / "copies"))
    with open(tmp_path / "data" / "app.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "the service is running" in manage("restore", str(tmp_path / "copies"), status=1)
