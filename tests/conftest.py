"""What holds for every test: settings of its own, servers of its own, and nothing skipped unseen.

The environment is made before any room is imported: importing `engine` builds the one huey from the settings,
and that must never be the developer's queue. So DUEY_CONFIG names an empty file in a folder of this session.
"""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import needs
from tests.support.apt import TOOLS, install_together
from tests.support.chromium import find_chromium
from tests.support.far_redis import FarLine
from tests.support.needs import strict
from tests.support.nginx import find_nginx
from tests.support.order import long_first, processes
from tests.support.postgres_server import MISSING as POSTGRES_MISSING
from tests.support.postgres_server import PostgresServer, postgres_binaries
from tests.support.redis_server import MISSING, RedisServer, redis_binary
from tests.support.rounds import rounds

for _name in [name for name in os.environ if name.startswith("DUEY_")]:
    if not _name.startswith("DUEY_TEST_"):
        del os.environ[_name]
# A run starts Duey some hundred times: where nothing compiled is kept, each start would compile it anew, for as long
# as all the rest of a start takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What is made while tests are collected stays: looking through it again and again took a quarter of the time.
gc.disable()
os.environ.pop("JOURNAL_STREAM", None)  # a desktop's terminals inherit it, and the first password is not printed then
sys.dont_write_bytecode = False
# In memory, where there is room: a run makes some thousand databases, each synced many times.
MEMORY = Path("/dev/shm")
ROOMY = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30
SESSION_FOLDER = Path(tempfile.mkdtemp(prefix="duey-tests-", dir=MEMORY if ROOMY else None))
TEMPORARY = SESSION_FOLDER / "tmp"  # what the code under test leaves in the system's folder goes with the session
TEMPORARY.mkdir()
for _folder in (SESSION_FOLDER, TEMPORARY):
    _folder.chmod(0o755)  # tests that become another user go through
os.environ["TMPDIR"] = str(TEMPORARY)
tempfile.tempdir = None  # so that it reads TMPDIR anew
(SESSION_FOLDER / "config.ini").touch()
os.environ["DUEY_CONFIG"] = str(SESSION_FOLDER / "config.ini")
# `make test` tries a few examples, the same each time, `make soak` many, drawn anew; none has to be fast.
settings.register_profile(
    "duey", deadline=None, derandomize=bool(rounds(True, soak=False)), max_examples=rounds(30, soak=3000)
)
settings.load_profile("duey")


def pytest_unconfigure() -> None:
    shutil.rmtree(SESSION_FOLDER, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    strict(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    strict(report)
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("soak")
    order = {name: n for n, name in enumerate(long_first([item.nodeid for item in items], processes()))}
    items.sort(key=lambda item: order[item.nodeid])


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.enable()
    # Here, because an installation may take longer than one test may.
    if session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in item.fixturenames}
    values = [getattr(item, "callspec", None) for item in session.items]
    if any("postgresql" in each.params.values() for each in values if each):
        wanted.add("postgres_server")
    for name, find in (("chromium", find_chromium), ("nginx", find_nginx)):
        if name in wanted:
            find()
    install_together([name for name in TOOLS if name in wanted])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis server (`.url`, `.port`, `.pid`), one for the session: use a prefix or flush it."""
    binary = needs(redis_binary(), MISSING)
    with RedisServer(binary, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def far_line(redis_server: RedisServer) -> Iterator[FarLine]:
    """A line to that server which counts round trips, and can be made slow."""
    with FarLine(redis_server.url) as line:
        yield line


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL server, one for the session: take a database of it by the fixture `postgres`."""
    with PostgresServer(needs(postgres_binaries(), POSTGRES_MISSING)) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, which is dropped after the test."""
    name = postgres_server.new_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def new_schema(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    """Each call returns the URL of new tables in one database, which is sooner there than a database for each test."""
    name, numbers = postgres_server.new_database(), count()
    yield lambda: f"{postgres_server.url(name)}?schema=test{next(numbers)}"
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, for playwright's `launch(executable_path=...)`."""
    return needs(*find_chromium())


@pytest.fixture(scope="session")
def nginx() -> str:
    """The path of an nginx, for tests.support.nginx.Nginx."""
    return needs(*find_nginx())
