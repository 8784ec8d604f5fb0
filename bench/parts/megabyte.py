"""Requests of 1 MB: the processor time of the dearest of each kind, over SQLite."""

from __future__ import annotations

import gc
import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duey
from bench.in_process import FORM_TYPE, JSON_TYPE, PACE_S, Answer, Service
from bench.megabytes import (
    BATCHES,
    BODIES,
    BODY_BYTES,
    FORM_TEXTS,
    FORMS,
    HEADERS,
    QUERIES,
    REFUSED,
    REFUSED_BATCHES,
    TYPED,
    VALUES,
)  # fmt: skip
from bench.options import Options
from bench.place import place
from bench.report import Section
from duey.config import load
from duey.monitor.access.login import passwords

ALLOWED_S = 0.3
QUERIED = (
    "/api/jobs", "/api/errors", "/api/audit", "/metrics", "/monitor/", "/monitor/jobs", "/monitor/errors",
    "/monitor/audit", "/monitor/audit.csv", "/monitor/login",
)  # fmt: skip
NAMED = (
    "/api/jobs/{}", "/api/tasks/{}/pause", "/api/schedules/{}", "/monitor/jobs/{}", "/monitor/tasks/{}",
    "/monitor/schedules/{}/edit", "/monitor/static/{}", "/{}",
)  # fmt: skip
HEADER_NAMES = (
    "Cookie", "Authorization", "Host", "Idempotency-Key", "If-None-Match", "Accept-Encoding", "Content-Type", "Origin",
    "Content-Length", "User-Agent",
)  # fmt: skip
Best = dict[str, dict[str, tuple[float, float]]]  # by kind and request: seconds, and the pace beside them
Ask = Callable[..., Answer]


def measure(options: Options) -> Section:
    section = Section("megabyte", "Requests of 1 MB")
    best: Best = defaultdict(dict)
    logging.disable(logging.CRITICAL)
    try:
        for turn in range(options.rounds):
            options.tell(f"requests of 1 MB, round {turn + 1} of {options.rounds}")
            with place(False) as (folder, _):
                one_round(folder, best)
    finally:
        logging.disable(logging.NOTSET)
    rows, worst, dearest = [], 0.0, ""
    for kind, tried in best.items():
        name, (took, pace) = max(tried.items(), key=lambda each: own(*each[1]))
        rows.append((kind, str(len(tried)), name, f"{took:.2f}", f"{pace * 1000:.0f}", f"{own(took, pace):.2f}"))
        if own(took, pace) > worst:
            worst, dearest = own(took, pace), f"{kind}, {name}"
    head = ("kind of request", "tried", "the dearest", "s", "pace, ms", f"s at {PACE_S * 1000:.0f} ms")
    section.table(head, rows)
    found = f"{worst:.2f} s ({dearest})"
    section.reach.append(("a request of 1 MB, processor", f"at most {ALLOWED_S} s", found, worst <= ALLOWED_S))
    section.say(
        f"Processor time of the thread that answers, the best of {options.rounds} rounds, each in a new folder. The "
        "pace is what a fixed piece of work (88,000 fields to JSON and back) took right after the request: "
        f"{PACE_S * 1000:.0f} ms on a core of its own, more where others use it. Paths, queries and headers have 60 KB."
    )
    return section


def own(took: float, pace: float) -> float:
    """As on a core of its own."""
    return took * PACE_S / pace


def one_round(folder: Path, best: Best) -> None:
    (folder / "config.ini").write_text("[storage]\ndurability = normal\n")
    passwords.COST = passwords.Cost(n=2, r=1, p=1)
    huey = duey.build(load(folder / "config.ini", {}))
    huey.storage.prepare()
    service = Service(huey, folder)
    gc.collect()
    gc.freeze()  # as the web process does
    try:
        for part in (posts, refusals, edits, schedules, forms, heads):
            part(service, partial(asked, service, best))
    finally:
        gc.unfreeze()
        service.close()
        huey.storage.close()


def asked(service: Service, best: Best, kind: str, name: str, ask: Ask, /, *args: Any, **options: Any) -> Answer:
    """The answer to a request; its time is kept if it is the best so far."""
    answer = ask(*args, **options)
    assert answer.status < 500, (kind, name, answer.body[:300])
    best[kind][name] = min(best[kind].get(name, service.last), service.last, key=lambda each: own(*each))
    return answer


def posts(service: Service, ask: Ask) -> None:
    for name, value in VALUES.items():
        job = ask("POST a job", name, service.send, "", {"task": "take", "args": [value]}).json["id"]
        for path in (f"/api/jobs/{job}", f"/monitor/jobs/{job}", f"/monitor/jobs/{job}.json"):
            ask("GET it", f"{name}, {path.replace(job, 'ID')}", service.get, path)
        ask("POST a unique job", name, service.send, "", {"task": "once", "args": [value]})
    for name, value in BODIES.items():
        ask("POST many arguments", name, service.send, "", value)
    for name, value in TYPED.items():
        ask("POST typed values", name, service.send, "", {"task": f"take_{name}", "args": [value]})
    for name, batch in BATCHES.items():
        ask("POST a batch", name, service.send, "", batch, "/api/jobs/batch")


def refusals(service: Service, ask: Ask) -> None:
    for name, (_, value) in REFUSED.items():
        ask("POST, refused", name, service.send, "", value)
    for name, batch in REFUSED_BATCHES.items():
        ask("POST a batch, refused", name, service.send, "", batch, "/api/jobs/batch")


def edits(service: Service, ask: Ask) -> None:
    """Retries, with new arguments or by form, and forms that run a task."""

    def canceled(value: Any) -> str:
        job = service.send("", {"task": "take", "args": [value]}).json["id"]
        service.call("POST", f"/api/jobs/{job}/cancel")
        return f"jobs/{job}"

    for name, value in VALUES.items():
        job = canceled(value)
        ask("retry by form", name, service.form, "", f"/monitor/{job}/retry", edit="1", **{"k:other": "1"})
        ask("again by form", name, service.form, "", f"/monitor/{job}/again")
        ask("retry with arguments", name, service.send, "", {"args": [value]}, f"/api/{canceled(1)}/retry")
    for name, text in FORM_TEXTS.items():
        job = canceled({"a": 1})
        ask("retry by form, edited", name, service.form, "", f"/monitor/{job}/retry", edit="1", **{"a:0": text})
        ask("run by form", name, service.form, "", "/monitor/tasks/take/run", **{"p:value": text})
        ask("run by form, refused", name, service.form, "", "/monitor/tasks/strict/run", **{"p:a": text})


def schedules(service: Service, ask: Ask) -> None:
    def change(name: str, **fields: str) -> None:
        sent = {"version": service.call("GET", "/api/schedules/s").json["version"], "every": "100000", **fields}
        ask("change a schedule by form", name, service.form, "", "/monitor/schedules/s/change", **sent)
        service.call("DELETE", "/api/schedules/s")

    for name, value in VALUES.items():
        body = {"task": "take", "every": 10**6, "args": [value]}
        ask("POST a schedule", name, service.send, "", {"name": "s", **body}, "/api/schedules")
        ask("PUT a schedule", name, service.send, "", {**body, "every": 10**7}, "/api/schedules/s", "PUT")
        for path in ("/api/schedules", "/monitor/schedules", "/monitor/schedules/s/edit"):
            ask("GET schedules", f"{name}, {path}", service.get, path)
        change(name)
    for name, text in FORM_TEXTS.items():
        small = {"name": "s", "task": "take", "every": 10**6, "args": [{"a": 1}]}
        service.send("", small, "/api/schedules")
        change(f"to {name}", **{"a:0": text})
        fields = {"task": "take", "name": "t", "every": "100000", "p:value": text}
        ask("new schedule by form", name, service.form, "", "/monitor/schedules", **fields)
        service.call("DELETE", "/api/schedules/t")


def forms(service: Service, ask: Ask) -> None:
    """Bodies that no page sends."""
    for name, body in FORMS.items():
        sent = f"proof={quote(service.proof)}&{body}"[:BODY_BYTES].encode()
        for path in ("jobs", "login", "tasks/take/run", "account/password"):
            post = (service.call, "POST", f"/monitor/{path}", sent, FORM_TYPE)
            ask("odd form", f"{name}, {path}", service.timed, "", *post)


def heads(service: Service, ask: Ask) -> None:
    service.log_in()  # a form above may have ended the session
    for name, query in QUERIES.items():
        for path in QUERIED:
            ask("long query", f"{name}, {path}", service.get, f"{path}?{query}")
    for name, text in HEADERS.items():
        for header in HEADER_NAMES:
            head = {header: text}
            ask("long header", f"{name}, {header}, page", service.get, "/monitor/jobs", headers=head)
            post = (service.call, "POST", "/api/jobs", b'{"task":"take"}', JSON_TYPE)
            ask("long header", f"{name}, {header}, API", service.timed, "", *post, headers=head)
        for path in NAMED:
            for method in ("GET", "POST"):
                named = path.format(quote(text)[:60_000])
                ask("long path", f"{name}, {method} {path}", service.timed, "", service.call, method, named)
