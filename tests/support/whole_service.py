"""Web and API over a queue, books and accounts of their own, in one process: nothing of it is made up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duey
from duey import clock
from duey.api import Api, make_api
from duey.config import Settings, load
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.monitor.access import ADMIN, Access
from duey.monitor.history import History
from duey.monitor.history.recording.recorder import Recorder
from duey.monitor.web.services import Services
from duey.monitor.web.site import Site
from duey.server.main import side_by_side
from tests.api.client import Client
from tests.contracts.rig import Hand
from tests.monitor.web.client import Browser

PASSWORD = "correct horse battery"


@dataclass
class WholeService:
    """`hand` is a worker that does what the test says; `recorder` writes the history when it is told to."""

    huey: DurableHuey
    control: Control
    access: Access
    history: History
    recorder: Recorder
    site: Site
    api: Api
    hand: Hand
    settings: Settings

    def browser(self) -> Browser:
        """An admin's."""
        browser = Browser(side_by_side(self.site, self.api, self.settings.web))
        browser.log_in("ana", PASSWORD)
        return browser

    def client(self) -> Client:
        """A program's, with all scopes."""
        return Client(self.api, self.access.tokens.create(f"t{len(self.access.tokens.list())}", ("admin",))[1])


@contextmanager
def whole_service(folder: Path, **settings: str) -> Iterator[WholeService]:
    """Settings as `storage_backend="redis"`. Tasks are the test's to add: `service.huey.task()`."""
    (folder / "config.ini").write_text("[storage]\ndurability = normal\n")
    loaded = load(folder / "config.ini", {f"DUEY_{key.upper()}": value for key, value in settings.items()})
    huey = duey.build(loaded)
    control = Control(huey)
    access = Access.of(loaded)
    access.accounts.create("ana", ADMIN, PASSWORD)
    history = History(loaded.monitor.database, loaded.monitor)
    recorder = history.recorder(huey.lifecycle, control.workers, control.schedules.all)
    hand = Hand(huey.storage)
    yield WholeService(
        huey, control, access, history, recorder, Site(Services(control, access, history, loaded, clock.now)),
        make_api(control, access, loaded, history), hand, loaded,
    )  # fmt: skip
    hand.go()
    recorder.close()
    history.close()
    access.close()
    huey.storage.close()
