"""The tests' own helpers: waiting, ports, the Redis server, and the rule that nothing is skipped unseen."""

import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tests.support import needs, rounds, wait_until
from tests.support.chromium import find_chromium
from tests.support.order import long_first
from tests.support.redis_server import MISSING, redis_binary

ROOT = Path(__file__).resolve().parent.parent


def test_wait_until_returns_what_the_condition_gave_or_says_what_it_waited_for():
    calls = count()
    assert wait_until(lambda: next(calls) > 2 and "there", 5, "the third call") == "there"
    assert wait_until(lambda: True, 0, "now"), "it looks once more at the end"
    with pytest.raises(AssertionError, match=r"waited 0\.02 s for this in vain: the moon \(last seen: 0\)"):
        wait_until(lambda: 0, 0.02, "the moon")
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, 5, "nothing")


def test_settings_and_lengths_are_those_of_the_tests(monkeypatch):
    from duey import config

    assert os.environ["DUEY_CONFIG"].endswith("config.ini")
    assert ROOT not in config.load().storage.path.parents
    for soak, length in (("", 5), ("1", 200)):
        monkeypatch.setenv("DUEY_TEST_SOAK", soak)
        assert rounds(5, soak=200) == length


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_redis_server_dies_with_the_process_that_started_it(tmp_path):
    code = f"""
import pathlib, sys
from tests.support.redis_server import RedisServer
server = RedisServer({needs(redis_binary(), MISSING)!r}, pathlib.Path({str(tmp_path)!r}))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as parent:
        server = Path("/proc", parent.stdout.readline().strip(), "cmdline")
        assert b"redis" in server.read_bytes()
        parent.kill()
    wait_until(lambda: not server.exists() or not server.read_bytes(), 5, "the server is gone")


def test_root_installs_a_program_where_there_is_none_and_nobody_else_does(tmp_path, monkeypatch):
    def find(apt_get: str, user: int) -> tuple[str | None, str]:
        """On a machine with nothing on PATH but an apt-get that does this."""
        (tmp_path / "apt-get").write_text(f"#!{shell}\n{apt_get}\n")
        (tmp_path / "apt-get").chmod(0o755)
        monkeypatch.setattr(os, "geteuid", lambda: user)
        return find_chromium.__wrapped__()

    shell = shutil.which("sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    install = f'[ "$2" = update ] || /bin/ln -s apt-get {tmp_path}/chromium'
    expected = "expected a Chromium on PATH, found none of chromium, chromium-browser, google-chrome"
    assert find(install, 1000) == (None, f"{expected}; install chromium.")
    path, sentence = find("echo one; echo E: no network; exit 100", 0)
    assert path is None and sentence == f"{expected}, and apt-get update failed (E: no network); install chromium."
    assert find(install, 0)[0] == str(tmp_path / "chromium")


SKIPPING = """
import pytest
from tests.support import needs

@pytest.fixture
def tool():
    return needs(None, "expected a tool, found none; install it.")

def test_with_a_fixture(tool): pass
def test_in_the_body(): needs(None, "expected a body, found none.")
@pytest.mark.skip(reason="for no reason")
def test_with_a_mark(): pass
@pytest.mark.xfail
def test_expected_to_fail(): assert False
"""


def test_a_skip_is_one_line_and_a_failure_where_ci_is_true(tmp_path):
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    program = """if True:
        import os, sys, pytest
        for os.environ["CI"] in ("", "true"):
            pytest.main(sys.argv[1:])
            print("=" * 9, "over", flush=True)
            os.makedirs(os.environ["TMPDIR"], exist_ok=True)  # which went with the session"""
    command = [sys.executable, "-c", program, *options, "-c", str(ROOT / "pyproject.toml"), str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    first, second, _ = run.stdout.split("========= over\n")
    for ci, printed, counts in (
        ("", first, ["3 skipped", "1 xfailed"]),
        ("true", second, ["1 failed", "1 xfailed", "2 errors"]),
    ):
        *lines, last = printed.splitlines()
        assert [count for count in counts if count not in last] == [], run.stdout + run.stderr
        lines = [line for line in lines if line.startswith(("SKIPPED", "FAILED", "ERROR "))]
        for reason in ("expected a tool, found none; install it.", "expected a body, found none.", "for no reason"):
            (line,) = [line for line in lines if reason in line]
            assert not ci or line.endswith("(nothing may be skipped where CI=true)")


def test_each_process_of_a_run_begins_with_its_share_of_the_long_tests():
    short = [f"tests/model/test_ids.py::test_{n}" for n in range(85)]
    long = [f"tests/acceptance/test_{module}.py::test_{n}" for module in "abcde" for n in range(3)]
    names = [*short, *long]
    for processes, sizes in ((1, [100]), (3, [33, 33, 34]), (6, [16, 16, 17, 17, 17, 17])):
        ordered = long_first(names, processes)
        assert sorted(ordered) == sorted(names)
        began = []
        for size in sizes:  # as xdist cuts
            piece, ordered = ordered[:size], ordered[size:]
            began.append(sum(name in long for name in piece))
            assert all(name in long for name in piece[: began[-1]])
        assert sum(began) == 15 and (processes == 1 or (began[-1] == 0 and max(began) - min(began[:-1]) <= 3))
