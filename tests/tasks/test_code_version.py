"""Which state of the code a process has loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from duey.tasks import discovery


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(discovery, "_loaded", [""])
    names = ["duey_test_code_a", "duey_test_code_b"]
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"NAME = {name!r}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    return names


def test_the_same_files_show_the_same_code_and_others_do_not(modules: list[str], tmp_path: Path) -> None:
    assert discovery.code() == ""
    discovery.load_tasks(modules, tmp_path)
    first = discovery.code()
    assert len(first) == 7 and int(first, 16) >= 0
    discovery.load_tasks(modules[::-1], tmp_path)
    assert discovery.code() == first
    (tmp_path / f"{modules[0]}.py").write_text("NAME = 1\n")
    assert discovery.code() == first, "what is on the disk now is not what was loaded"
    discovery.load_tasks(modules, tmp_path)
    assert discovery.code() != first
