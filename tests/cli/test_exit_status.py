"""The exit statuses of docs/commands.md, and what standard error says beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from duey.cli.context import EXIT_STATUSES
from duey.monitor.access import AccessUnavailable
from tests.support import rows

ROOT = Path(__file__).resolve().parents[2]
SHOWN = [
    ("retry no-such-job", 1, "no job has the id 'no-such-job'\n"),
    ("retri", 2, "usage: "),
    ("enqueue add 5 5 --wait --timeout 0", 4, "has not ended within 0 s: it is queued\n"),
]  # fmt: skip


@rows("command, status, sentence", SHOWN)
def test_a_command_ends_with_the_status_of_its_page(run, command, status, sentence):
    found, _, err = run(*command.split(" "))
    assert found == status and sentence in err and status in EXIT_STATUSES


def test_an_interrupted_command_says_nothing(run, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("duey.control.service.Control.cancel", interrupt)
    assert run("cancel", "queued-0") == (130, "", "")


def test_what_is_done_is_no_error_where_the_audit_log_cannot_be_written(run, world, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AccessUnavailable("access.db", "disk full")

    monkeypatch.setattr(world.access.audit, "record", refuse)
    status, out, err = run("cancel", "queued-0")
    assert (status, out) == (0, "canceled queued-0\n") and world.state("queued-0") == "canceled"
    assert err.startswith("warning: it is done, but not in the audit log (cancel queued-0): ") and "disk full" in err


def test_a_reader_that_ends_is_no_error(tmp_path):
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = periodic_task\n")
    (tmp_path / "periodic_task.py").write_text(
        "from duey import every, huey\n\n@huey.periodic_task(every(60))\ndef beat() -> None: ...\n"
    )
    read, write = os.pipe()
    os.close(read)
    environ = {**os.environ, "DUEY_CONFIG": str(tmp_path / "config.ini"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "duey", "schedule", "list"], env=environ, cwd=tmp_path, stdout=write,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
