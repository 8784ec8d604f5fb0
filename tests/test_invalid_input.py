"""Whatever stands in a field of a form, a query, a path, a body or an option: it is taken or refused, and never an
incident."""

from __future__ import annotations

import itertools
import json
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from duey.alerts.incidents import Change
from duey.alerts.rules.finding import Finding
from duey.alerts.store import Store
from duey.api import openapi
from duey.cli import main as manage
from duey.cli.context import Refused
from duey.control.schedules import ScheduleRequest
from duey.errors import DueyError
from duey.monitor.access.login import passwords
from duey.monitor.web.forms.fields import Fields
from duey.monitor.web.services import Services
from duey.scheduling.timetable import every
from tests.contracts.rig import run_next
from tests.monitor.web.client import Browser
from tests.support.rounds import rounds
from tests.support.whole_service import PASSWORD, WholeService, whole_service

# What numbers, times and zones break on stands first, and is tried everywhere; of the rest each field gets a share.
ODD = (
    "", "inf", "nan", "1e400", "9" * 30, "\u0663", "999999999w", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00+14:00",
    "Europe", " ", "0", "-1", "-Infinity", "1e308", "1_0", "\u00b2", "0x10", "1,5", "10000-01-01T00:00",
    "9999-12-31T23:59:59", "0001-01-01T00:00", "1969-12-31T23:59:59", "2030-02-30T00:00", "2030-01-01", "99999999999h",
    "since:999999999w", "until:9999-12-31T23:59:59-12:00", "../UTC", "Etc/GMT+99", "* * * * *", "0 0 30 2 *", "@yearly",
    "null", "true", "[]", "{}", "[" * 3000, '{"a": NaN}', "[1e999]", "\x00", "a\r\nb: c", "\U0001f600", "a" * 5000,
    "args.x:", ".", "/", "e5", "b5", "b" + "9" * 40, "e\u0663", "queued 1",
)  # fmt: skip
ALWAYS, SHARES = rounds(4, soak=10), rounds(16, soak=1)
JSON_SHARES = rounds(3, soak=1)
SHARE = itertools.cycle(range(SHARES))
JSON_ODD: tuple[str, ...] = (
    "null", "true", "0", "-1", "1.5", "1e308", "1e400", "-1e400", "NaN", "Infinity", "9" * 400, '""', "[]", "{}",
    "[[1]]", '{"a": 1}', '"\\u0000"', '"\\ud800"', *(json.dumps(text) for text in ODD[4:36]),
    '"10000-01-01T00:00:00Z"', '"9999-12-31T23:59:59-12:00"', '"0001-01-01T00:00:00+14:00"',
    '"2030-01-01T00:00:00+99:99"', '"2030-01-01T00:00:00.123456789012Z"',
)  # fmt: skip


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[WholeService]:
    """A little of everything: jobs in several states, a worker, an error, schedules of each kind."""
    monkeypatch.setattr(passwords, "COST", passwords.Cost(n=2, r=1, p=1))
    monkeypatch.setattr(Browser, "_check", lambda *_: None)  # the headers of a page are for its own tests
    monkeypatch.setattr(Services, "close", lambda _: None)  # and so are connections, which take a third of the time
    with (
        tempfile.TemporaryDirectory() as folder,
        whole_service(Path(folder), auth_login_attempts="1000000") as made,
    ):

        @made.huey.task(name="add")
        def add(a: int, b: float = 0.5, *more: Any, flag: bool = False, text: str = "") -> float:
            return a / (b - 0.5)

        @made.huey.periodic_task(every(60), name="beat")
        def beat() -> None: ...

        for _ in range(3):
            add(1)
        run_next(made.huey)
        run_next(made.huey)
        add.schedule((1,), delay=1000)
        while made.huey.lifecycle.read_events(1):
            made.recorder.turn()
        for name, when in (("e", {"every_s": 60.0}), ("c", {"cron": "@daily"}), ("a", {"at": 4e9})):
            made.control.schedules.make(name, ScheduleRequest("add", (1,), **when))
        store, now = Store(made.history.database), time.time()
        happened = [Change("open", None, Finding("drill", "drill", "A drill"))]
        store.apply(happened, store.marks(now), store.marks(now), now, lambda *_: None)
        yield made


def odd_for(names: Iterable[str], first: int = 0) -> Iterator[tuple[str, str]]:
    """Each name with its values."""
    for name in names:
        share = next(SHARE)
        yield from ((name, value) for value in (*ODD[first:ALWAYS], *ODD[ALWAYS + share :: SHARES]))


class Asker:
    """Asks one site for odd things; `broken` tells what became an incident."""

    def __init__(self, service: WholeService) -> None:
        self.service, self.browser, self.broken = service, service.browser(), list[str]()
        jobs = service.control.jobs(None, None, None, 10, None).jobs
        worker = service.control.workers()[0].id
        self.names = {"job_id": jobs[-1].id, "id": jobs[-1].id, "worker_id": worker, "worker": worker, "verb": "pause"}
        self.names |= {
            "fingerprint": service.history.error_groups().groups[0].fingerprint,
            "mark": "fix",
            "schedule": "e",
            "ticket": "x",
            "incident": next(iter(Store(service.history.database).open().values())).id,
        }

    def path(self, rule: str, **other: str) -> str:
        """An address that a rule matches, each name in it something that is there."""
        known = {**self.names, **other}
        room = rule.split("/")[2:3] or [""]
        known.setdefault("name", {"schedules": "e", "tasks": "add"}.get(room[0], "default"))
        return re.sub(r"[<{](\w+)(?::\w+)?[>}]", lambda match: quote(known[match[1]], safe=""), rule)

    def ask(self, method: str, path: str, fields: Mapping[str, str], what: object) -> None:
        """A page, or its form."""
        if method == "GET":
            answer = self.browser.get(f"{path}?{urlencode(fields)}")
        else:
            answer = self.browser.post(path, dict(fields))
        if "/monitor/login" in answer.headers.get("location", ""):
            self.browser.log_in("ana", PASSWORD)  # a session was ended
        if answer.status >= 500:
            self.broken.append(f"{answer.status} {method} {path[:80]} {what!r:.90}")


@pytest.mark.soak
def test_forms_and_queries(service: WholeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name that a page asks its form or its query for, with each odd value."""
    asked: set[str] = set()

    def spied(look: Any) -> Any:
        def spy(self: Fields, name: str, *rest: Any) -> Any:
            asked.add(name)
            return look(self, name, *rest)

        return spy

    for method in ("get", "all", "__contains__"):
        monkeypatch.setattr(Fields, method, spied(getattr(Fields, method)))
    asker = Asker(service)
    usual = {"a": "1", "p:a": "1", "sure": "1", "cron": "@daily", "task": "add", "name": "n"}
    for route in service.site.routes:
        if "static" in route.rule or route.rule.endswith((".json", ".html")):
            continue
        base = usual if route.method == "POST" else {}
        path, tried = asker.path(route.rule), {"proof"}
        asked.clear()
        asker.ask(route.method, path, base, "as it should be")
        while fresh := asked - tried:
            tried |= fresh
            for name, value in odd_for(sorted(fresh)):
                asker.ask(route.method, path, {**base, name: value}, (name, value))
                if name in ("every", "at"):  # without the other one
                    asker.ask(route.method, path, {**base, "cron": "", name: value}, (name, value))
        for name, value in odd_for(re.findall(r"<(\w+)", route.rule), 1):
            asker.ask(route.method, asker.path(route.rule, **{name: value}), base, (name, value, "in the path"))
    assert not asker.broken, "\n".join(asker.broken)


@pytest.mark.soak
def test_parameters_and_bodies(service: WholeService) -> None:
    """Each parameter, and each field of each body, that openapi.json tells of."""
    client, asker, components = service.client(), Asker(service), openapi.components()
    usual = {"task": '"add"', "args": "[1]", "name": '"n"', "cron": '"@daily"', "at": '"2030-01-01T00:00:00Z"'}

    def fields_of(schema: Mapping[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            return fields_of(components[schema["$ref"].rpartition("/")[2]])
        found = dict(schema.get("properties", {}))
        for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
            found |= fields_of(part)
        return found

    def ask(method: str, path: str, what: object, body: str = "") -> None:
        answer = client.call(method, path, body.encode(), "application/json" if body else None)
        if answer.status >= 500:
            asker.broken.append(f"{answer.status} {method} {path[:80]} {what!r:.90}")

    for endpoint in service.api.endpoints:
        path = asker.path(endpoint.path)
        for name in endpoint.query.names if endpoint.query else ():
            for value in ODD:
                ask(endpoint.method, f"{path}?{urlencode({name: value})}", (name, value))
        for name, value in odd_for(re.findall(r"{(\w+)}", endpoint.path), 1):
            ask(endpoint.method, asker.path(endpoint.path, **{name: value}), (name, value, "in the path"))
        if endpoint.body:
            properties = fields_of(endpoint.body.schema) or dict.fromkeys(usual)
            is_list = endpoint.path.endswith("/batch")
            for value in JSON_ODD:
                ask(endpoint.method, path, ("body", value), value)
            for name, value in (
                (name, value) for name in properties for value in JSON_ODD[next(SHARE) % JSON_SHARES :: JSON_SHARES]
            ):
                given = {known: text for known, text in usual.items() if known in properties and known != "at"}
                if name in ("every", "at"):
                    given.pop("cron", None)
                body = ", ".join(f'"{known}": {text}' for known, text in {**given, name: value}.items())
                ask(endpoint.method, path, (name, value), f"[{{{body}}}]" if is_list else f"{{{body}}}")
    assert not asker.broken, "\n".join(asker.broken)


def test_options_of_the_operator(service: WholeService, capsys: pytest.CaptureFixture[str]) -> None:
    cli_context: Any = SimpleNamespace(
        control=service.control, settings=service.huey.settings, audit=lambda *words, **more: None
    )
    commands = (
        ["enqueue", "add", "1", "--delay"], ["enqueue", "add"], ["enqueue"], ["schedule", "run", "e", "--slot"],
        ["schedule", "run"], ["schedule", "remove"],
        *(["schedule", "change", "e", "add", "1", *more] for more in (
            ["--cron"], ["--every"], ["--at"], ["--every", "60", "--tz"], ["--at", "2030-01-01T00:00", "--tz"],
            ["--every", "60", "--window"],
        )),
    )  # fmt: skip
    for command in commands:
        for _, value in odd_for(("",)):
            try:
                options = manage.parsed([*command, value])
                options.run(cli_context, options)
            except (DueyError, Refused, SystemExit):
                pass
    options = manage.parsed(["schedule", "list"])
    options.run(cli_context, options)
    assert "Traceback" not in capsys.readouterr().err
