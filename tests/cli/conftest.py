"""Commands over a deployment in this process: `run("jobs", "--json")` is what `duey jobs --json` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from duey import logs
from duey.cli import main
from duey.cli.context import CliContext
from tests.monitor.conftest import cheap_passwords, clock, databases
from tests.monitor.web.conftest import empty, world
from tests.monitor.web.world import World

__all__ = ["cheap_passwords", "clock", "databases", "empty", "world"]
Ran = tuple[int, str, str]
Run = Callable[..., Ran]


@pytest.fixture
def run_in(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[World], Run]:
    """Run commands over a world: exit status, standard output and standard error."""

    def over(world: World) -> Run:
        def context() -> CliContext:
            made = object.__new__(CliContext)
            made.huey, made.settings = world.huey, world.settings
            made._control, made._access, made._history = world.control, world.access, world.history
            return made

        def run(*words: str) -> Ran:
            capsys.readouterr()
            try:
                status = main.main(words)
            except SystemExit as exc:
                status = int(exc.code or 0)
            found = capsys.readouterr()
            return status, found.out, found.err

        monkeypatch.setattr(main, "CliContext", context)
        monkeypatch.setattr(logs, "attach", lambda *_: None)  # to the standard error of this one test
        return run

    return over


@pytest.fixture
def run(world: World, run_in: Callable[[World], Run]) -> Run:
    """Run a command over the service with jobs of every state."""
    return run_in(world)


@pytest.fixture
def zagreb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The operator's clock shows the time of Zagreb."""
    monkeypatch.setenv("TZ", "Europe/Zagreb")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
