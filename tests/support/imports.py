"""The import rule of the house (table of ARCHITECTURE.md): which room may know which, as data and a check.

A room is a file or a folder of Python files; a module belongs to the room with the longest name that it
stands below. Each room may import itself, the standard library, and what its line names (with all below it).
"""

import ast
import sys
from collections.abc import Iterator
from typing import NamedTuple

ANY_LIBRARY = "*"  # anything that is no room
# Also what a newer Python brings: a guarded import of it is no library's. typing_extensions is for type checkers alone.
STANDARD_LIBRARY = sys.stdlib_module_names | {"annotationlib", "compression", "tomllib", "typing_extensions"}

BASE = (
    "duey.errors", "duey.clock", "duey.faults", "duey.files", "duey.schema_copy", "duey.os_process", "duey.model",
)  # fmt: skip
DATABASES = (
    "duey.monitor.database", "duey.monitor.sqlite_file", "duey.monitor.postgres_database", "duey.monitor.postgres_lock",
)  # fmt: skip
LOW = (*BASE, "duey.payload", "duey.tasks", "duey.scheduling")

ROOMS: dict[str, tuple[str, ...]] = {
    "duey.errors": (),
    "duey.clock": (),
    "duey.faults": (),
    "duey.files": (),
    "duey.schema_copy": ("duey.files",),
    "duey.os_process": ("duey.clock",),
    "duey.model": ("duey.errors", "duey.clock"),
    "duey.model.sequel": (*BASE, "huey"),
    "duey.config": (),
    "duey.payload": (*BASE, "huey"),
    "duey.tasks": (*BASE, "duey.payload", "duey.config", "huey"),
    "duey.scheduling": (*BASE, "duey.payload", "duey.tasks.renamed", "huey", "cronsim"),
    "duey.storage": (*BASE, "duey.payload.plain", "duey.storage.huey_adapter", "huey", "redis"),
    "duey.storage.huey_adapter": (*BASE, "duey.tasks.current", "huey"),  # get(blocking=True) from inside a body
    "duey.execution": (*LOW, "duey.storage", "duey.config", "duey.logs", "huey"),
    # Huey asks its subclass for the consumer: two imports inside of create_consumer.
    "duey.execution.huey": (
        *LOW, "duey.storage", "duey.execution", "duey.config", "duey.logs", "duey.worker.consumer_options",
        "duey.worker.supervisor", "huey",
    ),
    "duey.worker": (*LOW, "duey.storage", "duey.execution", "duey.config", "huey"),
    "duey.moving": (*LOW, "duey.config", "duey.storage", "duey.control", "huey", "redis"),
    "duey.control": (*LOW, "duey.storage", "duey.execution", "huey", "pydantic", "pydantic_core"),
    # what the databases of both its rooms share
    "duey.monitor": ("duey.files", "duey.schema_copy", "peewee", "playhouse", "psycopg"),
    "duey.monitor.history": ("duey.config", *BASE, "duey.payload.plain", *DATABASES, "peewee", "playhouse"),
    "duey.monitor.access": ("duey.config", "duey.files", *DATABASES, "peewee", "playhouse"),
    "duey.monitor.web": (
        *BASE, "duey.payload.plain", "duey.control", "duey.config", "duey.monitor.history", "duey.monitor.access",
        "duey.alerts", "bottle", "segno",
    ),
    "duey.api": (
        *BASE, "duey.payload.plain", "duey.control", "duey.config", "duey.monitor.history", "duey.monitor.access",
        "duey.alerts", "bottle", "prometheus_client", "pydantic", "pydantic_core",
    ),
    "duey.logs": (*BASE, "duey.config", "duey.payload", "duey.tasks"),
    "duey.instance": (*LOW, "duey.logs", "duey.storage", "duey.execution", "duey.config"),
    "duey.alerts": (
        *BASE, "duey.config", "duey.recipes", "duey.control", "duey.monitor.history", "duey.tasks.drill", "peewee",
        "apprise",
    ),
    "duey.recipes": (ANY_LIBRARY,),  # plain functions that know neither queue nor settings
    "duey.server": ("duey", ANY_LIBRARY),
    "duey.cli": ("duey", ANY_LIBRARY),
    "duey.consumer": ("duey",),
    "duey.testing": ("duey", "pytest"),  # for users' tests: nothing of the service imports it
    # The public face names what it offers, wherever that stands.
    "duey": ("duey",),
    "tasks": ("duey", ANY_LIBRARY),
    "duey.__main__": ("duey",),
    "app": ("duey",),
    "consumer": ("duey",),
    "manage": ("duey",),
}  # fmt: skip

# Files that stand beside the one that gives the room its name.
SHARED_ROOMS = {"periodic": "tasks"}


class Import(NamedTuple):
    """One import: each spelling of what it may mean. `from a import b` means a.b if b is a module, else a."""

    line: int
    names: tuple[str, ...]


def room_of(module: str) -> str | None:
    """The room of a dotted module name, or None where the house has none for it."""
    parts = [SHARED_ROOMS.get(module.split(".")[0], module.split(".")[0]), *module.split(".")[1:]]
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in ROOMS:
            return name
    return None


def violations(module: str, source: str, *, package: bool = False) -> list[tuple[int, str]]:
    """(line, sentence) for each import that the module's room may not make. `package`: an __init__.py."""
    room = room_of(module)
    if room is None:
        where = "ARCHITECTURE.md and tests/support/imports.py"
        return [(1, f"{module} stands in no room: give it one in {where}")]
    found = []
    for each in imports(module, source, package):
        # `from monitor import web` asks for the room duey.monitor.web, not for a name of monitor.
        names = each.names if room_of(each.names[0]) == room_of(each.names[-1]) else each.names[-1:]
        if not any(_allowed(room, name) for name in names):
            rule = ", ".join(ROOMS[room]).replace(ANY_LIBRARY, "any library") or "nothing else"
            found.append((each.line, f"{room} imports {names[0]}, but may import: {rule}"))
    return found


def _allowed(room: str, name: str) -> bool:
    top = name.split(".")[0]
    target = room_of(name)
    if target is None:
        return top in STANDARD_LIBRARY or ANY_LIBRARY in ROOMS[room] or _below(name, ROOMS[room])
    canonical = ".".join([SHARED_ROOMS.get(top, top), *name.split(".")[1:]])
    return target == room or _below(canonical, ROOMS[room])


def _below(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


def imports(module: str, source: str, package: bool = False) -> Iterator[Import]:
    """Every import of the source, wherever it stands; so is import_module("...") with a literal name."""
    here = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, (alias.name,))
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(node.lineno, tuple(filter(None, (base, f"{base}.{alias.name}".strip(".")))))
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0]
            literal = isinstance(name, ast.Constant) and isinstance(name.value, str)
            if called in ("import_module", "__import__") and literal:
                yield Import(node.lineno, (str(name.value),))
