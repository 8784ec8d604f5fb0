"""One monitor over a control and books in memory and a real access database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duey import config
from duey.monitor.access import ADMIN, VIEWER, Access
from duey.monitor.web.services import Services
from duey.monitor.web.site import Site
from duey.server.http_policy import HttpPolicy
from tests.monitor.web.client import Browser
from tests.monitor.web.fake_history import FakeHistory
from tests.monitor.web.scene_tasks import SceneControl

PASSWORDS = {"ana": "correct horse battery", "vera": "staple staple staple"}


@dataclass
class World:
    """`ana` is an admin, `vera` a viewer."""

    control: SceneControl
    history: FakeHistory
    access: Access
    site: Site
    settings: config.Settings
    prefix: str = ""

    def browser(self, name: str = "", scheme: str = "http") -> Browser:
        """A browser in which `name` has logged in."""
        browser = Browser(HttpPolicy(self.site, self.settings.web), self.prefix, scheme)
        if name:
            browser.log_in(name, PASSWORDS[name])
        return browser


def make_world(folder: Path, clock: Callable[[], float], service: str = "Duey", **web: Any) -> World:
    """An empty deployment; `web` replaces settings of that section."""
    settings = config.load(environ={})
    storage = replace(settings.storage, path=folder / "queue.db")
    service_ = replace(settings.service, name=service)
    settings = replace(settings, web=replace(settings.web, **web), service=service_, storage=storage)
    control, history = SceneControl(clock), FakeHistory(clock)
    access = Access(f"sqlite:///{folder / 'access.db'}", clock=clock)
    for name, role in (("ana", ADMIN), ("vera", VIEWER)):
        access.accounts.create(name, role, PASSWORDS[name])
    site = Site(Services(control, access, history, settings, clock))
    return World(control, history, access, site, settings, settings.web.url_prefix)
