"""A program of another user: it is told whose the queue is, and what it can do."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from duey.storage.sqlite.connection import preflight

ADVICE = "it belongs to the user {0}: run this program as {0}, or let it use the HTTP API"


def test_the_advice_names_the_owner_only_where_it_is_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, uid = tmp_path / "queue.db", os.geteuid() + 4711

    def advice() -> str:
        return preflight.of_another(str(queue))

    assert advice() == "", "not there yet, in a folder of this user"
    queue.touch()
    assert advice() == ""
    monkeypatch.setattr(os, "stat", lambda *_, **__: SimpleNamespace(st_uid=uid, st_mode=0o100600))
    assert advice() == ADVICE.format(uid), "a user without a name"
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="duey"))
    assert advice() == ADVICE.format("duey")
    monkeypatch.setattr(os, "stat", lambda *_, **__: SimpleNamespace(st_uid=0, st_mode=0o100600))
    assert advice() == "", "nobody is told to run a program as root"
