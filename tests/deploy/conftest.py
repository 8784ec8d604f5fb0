"""What the tests of deploy/ share: the tools that look at its files, and a service behind a port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from duey.server.http_server import Server
from duey.server.main import side_by_side
from tests.support import free_port, needs
from tests.support.apt import TOOLS, find_or_install
from tests.support.pages import ROOT
from tests.support.whole_service import WholeService, whole_service

DEPLOY = ROOT / "deploy"
SHUTDOWN_S = 25 + 15  # [consumer] shutdown_timeout_s, and what docs/production.md adds to it
Serve = Callable[..., AbstractContextManager[WholeService]]


def fixture_of(tool: str) -> Any:
    """The path of the tool, as a fixture."""
    return pytest.fixture(scope="session", name=tool)(lambda: needs(*find_or_install(*TOOLS[tool])))


systemd_analyze, compose, caddy, logrotate = map(fixture_of, ("systemd_analyze", "compose", "caddy", "logrotate"))


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[WholeService]:
    """A service in this process that answers at `settings.web.port`."""
    with whole_service(folder, web_port=str(free_port()), **settings) as service:
        server = Server(side_by_side(service.site, service.api, service.settings.web), service.settings)
        server.start()
        try:
            yield service
        finally:
            service.api.close()
            server.stop(1.0)
