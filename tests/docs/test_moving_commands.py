"""The commands of moving.md and coming-from.md that move and import, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import ROOT, blocks, commands
from tests.support.redis_server import RedisServer

PROGRAM = "import json, sys; from duey.cli.main import main; print(json.dumps([main(a) for a in json.load(sys.stdin)]))"
CRONTAB = "MAILTO=me\n0 3 * * * ls /\n@daily true\n"


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The folder of a service with the tasks of coming-from.md, a queue of Huey 2 and a crontab."""
    (source,) = (block.text for block in blocks("docs/coming-from.md") if block.kind == "python")
    shop = "from duey import huey\n\n\n@huey.task()\ndef add(a, b=0):\n    return a + b\n"
    (tmp_path / "shop.py").write_text(shop)
    (tmp_path / "tasks.py").write_text(source)
    (tmp_path / "config.ini").write_text("[tasks]\nmodules = tasks, shop\n")
    (tmp_path / "old.crontab").write_text(CRONTAB)
    shutil.copy(ROOT / "tests" / "moving" / "huey2.db", tmp_path / "huey.db")
    return tmp_path


def test_the_commands_do_what_the_pages_say(service: Path, redis_server: RedisServer) -> None:
    imports = [line for line in commands("docs/coming-from.md") if line.startswith("duey import")]
    moves = [line for line in commands("docs/moving.md") if line.startswith("duey move")]
    assert len(imports) == 4 and len(moves) == 2
    lines = [*imports, imports[3], *moves, "duey schedule list", "duey status"]
    words = [shlex.split(line.replace("redis://127.0.0.1:6379/0", redis_server.url))[1:] for line in lines]
    for each in words:  # of this test's own
        each.extend(["--name", f"docs-{os.getpid()}"] if each[:2] == ["move", "--to"] else [])
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DUEY_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(words), cwd=service,
        env={**environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout, done.stderr
    *out, statuses = done.stdout.splitlines()
    assert json.loads(statuses) == [0] * 7 + [0, 1], done.stdout + done.stderr  # no consumer runs
    text = "\n".join(out)
    assert "found     sqlite:///" in text and "took      3 waiting, 3 shop.add" in text
    assert "left      1: unknown task shop.gone" in text
    assert len(re.findall(r"^would create cron:ls-", text, re.MULTILINE)) == 1
    assert "2 created, 0 there before" in text and "0 created, 2 there before" in text
    assert "left     line 1: MAILTO is not kept" in text
    assert "backend = redis" in text and "is used again; its jobs are those of before the move" in text
    assert re.search(r"^cron:true-\w+\tshell\t", text, re.MULTILINE) and "queued 3" in text
