"""Tab completion: the words that fit, and a real bash that completes one."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import sys
import time
from pathlib import Path

from duey.cli import completion
from duey.cli.main import main
from duey.cli.parser import parser
from tests.support import needs, rows

ROOT = Path(__file__).resolve().parents[2]
WORDS = [
    ("enq", ["enqueue"]),
    ("jobs --state r", ["retrying", "running"]),
    ("jobs --sta", ["--state"]),
    ("jobs --limit ", []),
    ("schedule re", ["remove", "resume"]),
    ("enqueue ", ["add", "shop.order"]),
    ("enqueue add ", []),
    ("schedule add nightly sh", ["shop.order"]),
    ("pause --queue s", ["slow"]),
    ("retry --task a", ["add"]),
    ("completion z", ["zsh"]),
    ("backup ", []),
    ("no-such-command ", []),
]


@rows("typed, fit", WORDS)
def test_the_words_that_fit(monkeypatch, typed, fit):
    monkeypatch.setattr(completion, "registered", lambda: ({"add", "shop.order", "$(reboot)"}, {"default", "slow"}))
    assert completion.candidates(parser(), typed.split(" ")) == fit


def test_a_service_that_cannot_be_read_completes_nothing(monkeypatch, capsys):
    monkeypatch.setattr(completion, "registered", lambda: 1 / 0)
    assert main(["completion", "words", "--", "duey", "enqueue", ""]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_real_bash_completes_a_task(tmp_path: Path):
    bash = needs(shutil.which("bash"), "expected bash, found none; install it.")
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = my_tasks\n")
    (tmp_path / "my_tasks.py").write_text("from duey import huey\n\n@huey.task()\ndef send_email() -> None: ...\n")
    duey = tmp_path / "duey"
    duey.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m duey "$@"\n')
    duey.chmod(0o755)
    (tmp_path / "rc").write_text(completion.script("bash") + "bind 'set enable-bracketed-paste off'\nPS1='ready> '\n")
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb", "DUEY_CONFIG": "config.ini"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(bash, ["bash", "--noprofile", "--rcfile", "rc", "-i"], environ)
    try:
        assert typed(terminal, b"", b"ready> ")
        assert b"duey enqueue send_email " in typed(terminal, b"duey enqueue sen\t", b"send_email ")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def typed(terminal: int, text: bytes, until: bytes) -> bytes:
    """What the terminal shows after this was typed, once it shows `until`."""
    os.write(terminal, text)
    shown, end = b"", time.monotonic() + 20
    while until not in shown:
        assert time.monotonic() < end, f"{until!r} is not shown, but {shown!r}"
        poll = select.poll()  # unlike select, for descriptors of any number
        poll.register(terminal, select.POLLIN)
        if poll.poll(200):
            shown += os.read(terminal, 4096)
    return shown
