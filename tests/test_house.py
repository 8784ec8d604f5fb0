"""The house rules that a machine can hold: who may know whom, how long files are, what is never committed.

The rooms need not be there yet. A rule that finds something names file, line and rule.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.imports import ROOMS, room_of, violations

ROOT = Path(__file__).resolve().parent.parent
NO_ROOMS = ("tests", "bench", "docs", "deploy")  # they may import anything, and nothing imports them
LONGEST_LINES = 320
BINARY = {".png", ".ico", ".woff2", ".gz", ".db"}


def files() -> Iterator[Path]:
    """Every file of the project; not what tools and the service leave behind."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if (not name.startswith(".") or name in (".ci", ".github"))
            and name not in ("__pycache__", "data", "node_modules")
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def room_files() -> Iterator[Path]:
    return (file for file in files() if file.suffix == ".py" and file.relative_to(ROOT).parts[0] not in NO_ROOMS)


def test_each_room_knows_only_whom_it_may():
    found = []
    for file in room_files():
        package = file.name == "__init__.py"
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for line, sentence in violations(module, file.read_text(encoding="utf-8"), package=package):
            found.append(f"{name_of(file)}:{line}: {sentence}")
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("config", "import config_table, json"),
        ("config_values", "from __future__ import annotations"),
        ("engine.rescue", "from . import events"),
        ("duey.tasks.signature.signature", "import annotationlib"),
        ("engine.sqlite.claims", "from ..errors import DeweyError"),
        ("duey.scheduling.scheduler", "import cronsim, huey.api, redis.asyncio"),
        ("tasks", "import requests, duey.recipes.mail, sqlite3, periodic"),
        ("periodic", "from engine import huey\nimport tasks"),
        ("duey.recipes.webhook", "from duey.recipes import Refused"),
        ("duey.monitor.history.recorder", "from engine import events, errors\nimport duey.model.job"),
        ("duey.monitor.history", "from playhouse.migrate import migrate"),
        (
            "duey.monitor.web.pages",
            "from ..records import queries\nfrom duey.control.service import Control\nimport bottle",
        ),
        ("duey.api.jobs", "from duey.model.job import Job\nfrom prometheus_client import Counter"),
        ("app", "import waitress, api, duey.monitor.web, engine.storage"),
        ("consumer", "import engine, tasks, periodic"),
        ("manage", "from duey.control.service import Control\nimport duey.monitor.history.queries, periodic"),
    ],
)
def test_the_import_rule_lets_through(module, line):
    assert violations(module, line) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("config", "import huey"),
        ("config_values", "import engine"),
        ("duey.control.service", "import peewee"),
        ("duey.control.service", "from duey.monitor.history import queries"),
        ("duey.control.service", "import tasks"),
        ("duey.control.service", "from .. import monitor"),
        ("duey.control.service", "def f():\n    import importlib; importlib.import_module('bottle')"),
        ("duey.recipes.mail", "import config"),
        ("duey.recipes.mail", "import engine"),
        ("tasks", "import duey.api.jobs"),
        ("periodic", "import app"),
        ("monitor", "from monitor import records"),
        ("duey.monitor.history.recorder", "from engine import huey"),
        ("duey.monitor.history.recorder", "import engine.storage"),
        ("duey.monitor.history.recorder", "import duey.monitor.access"),
        ("duey.monitor.access", "from monitor import records"),
        ("duey.monitor.access.tokens", "from ..web import pages"),
        ("duey.monitor.web.pages", "from engine import events"),
        ("duey.monitor.web.pages", "import peewee"),
        ("duey.monitor.web.pages", "import engine"),
        ("duey.api.jobs", "import huey"),
        ("duey.api.jobs", "import duey.monitor.web"),
        ("duey.api.jobs", "from engine.controls import x"),
        ("app", "import consumer"),
        ("app", "import manage"),
        ("consumer", "import bottle"),
        ("consumer", "import peewee"),
        ("manage", "import bottle"),
        ("manage", "import duey.monitor.web"),
        ("helpers", "import os"),
    ],
)
def test_the_import_rule_stops(module, line):
    assert len(violations(module, line)) == 1


def test_a_violation_names_its_line_and_the_rule():
    assert violations("consumer", "import os\n\nimport bottle\n") == [
        (3, "consumer imports bottle, but may import: config, engine, tasks")
    ]


def test_relative_imports_of_a_package_start_at_the_package():
    assert violations("duey.monitor.access", "from . import tokens", package=True) == []
    assert len(violations("duey.monitor.access", "from ..records import queries", package=True)) == 1
    assert len(violations("monitor", "from . import records", package=True)) == 1


@pytest.mark.parametrize("room", ["app", "consumer", "manage"])
def test_nothing_may_import_the_programs(room):
    assert not [each for each, allowed in ROOMS.items() if room in allowed]
    assert room_of(room) == room


def test_no_file_is_too_long():
    found = []
    for file in files():
        if file.suffix in (".py", ".lua") and file.relative_to(ROOT).parts[0] != "tests":
            lines = len(file.read_text(encoding="utf-8").splitlines())
            if lines > LONGEST_LINES:
                found.append(f"{name_of(file)}: {lines} lines, at most {LONGEST_LINES}: does it still hold one noun?")
    assert not found, "\n" + "\n".join(found)


def test_no_path_of_somebodys_machine_is_committed():
    # Where this checkout and its Python stand; short ones such as /app or /usr are words of their own.
    places = {str(ROOT), sys.prefix, str(Path.home())}
    places = {re.escape(place) for place in places if len(Path(place).parts) > 2 and not place.startswith("/usr")}
    pattern = re.compile("|".join([*sorted(places), r"(?<![\w.$}~<-])/(?:home|Users|root)/\w"]))
    found = []
    for file in files():
        if file.suffix in BINARY:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{name_of(file)}:{number}: {match[0]} is a path of one machine: make it relative")
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned(name):
    pinned = re.compile(r"(-r requirements\.txt|[A-Za-z0-9_.-]+==[0-9][^\s,;*]*(; python_version [<>]=? \"3\.\d+\")?)")
    lines = [line.split(" #")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    lines = [line.rstrip() for line in lines if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not pinned.fullmatch(line)] == []
