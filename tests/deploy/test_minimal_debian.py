"""docs/production.md in a minimal Debian: `make soak` walks it, `make test` sees to it that it can be walked."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.minimal_debian import SCHEMAS, blocks_below
from tests.support import needs, rounds
from tests.support.apt import find_or_install
from tests.support.pages import ROOT

PAGE = "docs/production.md"


def test_the_page_has_the_blocks_that_are_walked() -> None:
    counts = [
        len(blocks_below(PAGE, heading, kind))
        for heading, kind in (
            ("## From nothing to a service", "sh"), ("## From nothing to a service", "ini"),
            ("### Upgrading", "sh"), ("## Backup and restore", "sh"),
        )
    ]  # fmt: skip
    assert counts == [4, 1, 1, 1]
    assert all((ROOT / each).exists() for each in SCHEMAS)
    # Debian 12 has Python 3.11, and nothing else is in the chroot.
    ast.parse(Path(__file__).with_name("stand_in_systemd.py").read_text(), feature_version=(3, 11))


@pytest.mark.soak
@pytest.mark.timeout(rounds(60, soak=1800))
def test_a_minimal_debian_becomes_a_service_and_is_upgraded_by_the_page_alone() -> None:
    words = [sys.executable, "-m", "tests.deploy.minimal_debian"]
    if rounds(True, soak=False):
        assert subprocess.run([*words, "--help"], cwd=ROOT, capture_output=True, timeout=60).returncode == 0
        return
    needs("root" if os.geteuid() == 0 else None, "expected root, for a chroot; run it as root.")
    needs(*find_or_install("debootstrap", ("debootstrap",), ("debootstrap",)))
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
