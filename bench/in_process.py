"""The API and the monitor over a huey, called in this thread: its processor time is that of a request."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.megabytes import BODY_BYTES, TYPES, WIDE
from duey.api import make_api
from duey.control.service import Control
from duey.execution.huey import DurableHuey
from duey.monitor.access import ADMIN, Access
from duey.monitor.history import History
from duey.monitor.web import make_web
from duey.server.main import side_by_side
from tests.support.wsgi import Answer, ask

JSON_TYPE, FORM_TYPE = "application/json", "application/x-www-form-urlencoded"
PASSWORD = "correct horse battery"
PACE_S = 0.04  # what pace_s() takes on a core of its own
MEASURED_S = 0.08  # from here on the pace is looked at, too


def pace_s() -> float:
    """Processor time of a fixed piece of work: a thread that shares its core with others counts more for the same."""
    began = time.thread_time()
    json.loads(json.dumps(WIDE))
    return time.thread_time() - began


class Service:
    """Tasks of each kind, and the API and the monitor over them. `took`: the seconds of each request by its name."""

    def __init__(self, huey: DurableHuey, folder: Path) -> None:
        settings, self.huey = huey.settings, huey

        @huey.task()
        def take(value: Any = None, **others: Any) -> Any:
            return value

        @huey.task()
        def strict(a: list[int], b: dict[str, int] | None = None, c: str = "") -> None: ...

        @huey.task(unique=True)
        def once(value: Any = None, *more: Any, **others: Any) -> Any:
            return value

        for name, hint in TYPES.items():

            def body(value: Any) -> None: ...

            body.__name__, body.__annotations__ = f"take_{name}", {"value": hint}
            huey.task(unique=True)(body)
        self.access = Access(f"sqlite:///{folder / 'access.db'}")
        self.history = History(f"sqlite:///{folder / 'monitor.db'}", settings.monitor)
        self.history.prepare()
        control = Control(huey)
        self.recorder = self.history.recorder(huey.lifecycle, control.workers, control.schedules.all)
        api = make_api(control, self.access, settings, self.history)
        self._app = side_by_side(make_web(control, self.access, self.history, settings), api, settings.web)
        self._token = self.access.tokens.create("robot", ("admin",))[1]
        self._cookies: dict[str, str] = {}
        self.took: dict[str, float] = {}
        self.last = 0.0, PACE_S
        self.access.accounts.create("ana", ADMIN, PASSWORD)
        self.log_in()

    def log_in(self) -> None:
        self._cookies.clear()
        self.proof = self._proof_of("/monitor/login")
        answer = self.form("log in", "/monitor/login", username="ana", password=quote(PASSWORD))
        assert answer.status == 303, answer.body
        self.proof = self._proof_of("/monitor/account")

    def _proof_of(self, page: str) -> str:
        found = re.search(r'name="proof" value="([^"]+)"', self.call("GET", page).body.decode())
        assert found, page
        return unescape(found[1])

    def close(self) -> None:
        self.access.close()
        self.history.close()

    def call(
        self, method: str, path: str, body: bytes = b"", kind: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request: to the API with a token, to the monitor with a session."""
        if path.startswith(("/api", "/metrics")):
            right = {"Authorization": f"Bearer {self._token}"}
        else:
            right = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        right |= {"Host": "localhost", "Sec-Fetch-Site": "same-origin", **(headers or {})}
        answer = ask(self._app, method, path, body, kind, right)
        for text in answer.cookies:
            cookie, _, value = text.partition(";")[0].partition("=")
            self._cookies[cookie] = value
        return answer

    def timed(self, name: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What a call answers. Its processor time is kept as on a core of its own, and in `last` as it was."""
        began = time.thread_time()
        answer = call(*args, **options)
        took = time.thread_time() - began
        pace = pace_s() if took > MEASURED_S else PACE_S
        self.last = took, pace
        self.took[name] = max(took * min(1.0, PACE_S / pace), self.took.get(name, 0.0))
        return answer

    def send(self, name: str, value: Any, path: str = "/api/jobs", method: str = "POST") -> Answer:
        """JSON to the API."""
        body = value if isinstance(value, bytes) else packed(value)
        assert len(body) <= BODY_BYTES, (name, len(body))
        return self.timed(name, self.call, method, path, body, JSON_TYPE)

    def form(self, title: str, path: str, /, **fields: str) -> Answer:
        """A form of the monitor, with values that are escaped already."""
        sent = {"proof": quote(self.proof), **fields}
        body = "&".join(f"{quote(name)}={value}" for name, value in sent.items())[:BODY_BYTES].encode()
        return self.timed(title, self.call, "POST", path, body, FORM_TYPE)

    def get(self, path: str, name: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        return self.timed(name or path, self.call, "GET", path, headers=headers)


def packed(value: Any) -> bytes:
    """As short as JSON gets."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
