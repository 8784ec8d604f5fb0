"""What `duey doctor` reaches over the network: Redis, PostgreSQL, the service itself, and the servers of alerts."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from duey.cli.checks import FAIL, OK, WARN, Finding

ANSWER_S = 5.0  # for one connection or answer
FAR_MS = 20.0  # to Redis and back: a worker asks it about twice for a job, a page up to three times
CLAIMED = "192.0.2.99"  # an address of nobody (RFC 5737), which a proxy must not believe
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


@contextmanager
def queue_server(settings: Any) -> Iterator[Any]:
    """The server of a queue on Redis. It is connected to by the first command."""
    from duey.storage.redis.connection.client import Server
    from duey.storage.redis.keys import prefix

    server = Server(settings.storage.url, prefix(settings.storage.name))
    try:
        yield server
    finally:
        server.close()


def redis(settings: Any) -> Iterator[Finding]:
    """Whether the server of the queue keeps what it has accepted, is near, and has the same time."""
    if settings.storage.backend != "redis":
        return
    from duey import clock, errors
    from duey.storage.redis.connection import preflight

    try:
        with queue_server(settings) as server:
            facts = server.facts()
            at = f"Redis at {server.address}"  # asked first: among several servers it is the primary
            began = time.monotonic()
            instant, micro = map(int, server.command(b"TIME"))
            away_ms = 1000 * (time.monotonic() - began)
        if facts is None:
            yield Finding(
                WARN, "Redis", f"{at} does not let this user read INFO: check its maxmemory-policy and appendonly"
            )
            return
        preflight.refuse(facts, at)
    except errors.DueyError as exc:
        yield Finding(FAIL, "Redis", str(exc))
        return
    found = [Finding(WARN, "Redis", text) for text in facts.warnings(at)]
    if text := clock.warning(time.time() - instant - micro / 1e6, "this machine"):
        found.append(Finding(WARN, "Redis", text))
    if away_ms > FAR_MS:
        text = f"{at} answers after {away_ms:.0f} ms: pages and small jobs are slow. Put this machine near the server"
        found.append(Finding(WARN, "Redis", text))
    yield from found or [
        Finding(OK, "Redis", f"{at}, version {'.'.join(map(str, facts.version))}, keeps accepted jobs")
    ]


def consumers(settings: Any) -> Iterator[Finding]:
    """Whether the consumers of a queue on Redis run the task modules of this machine. Call it when these are loaded."""
    if settings.storage.backend != "redis":
        return
    from duey import errors
    from duey.storage.redis import peek
    from duey.tasks import discovery

    try:
        with queue_server(settings) as server:
            workers = list(peek.workers(server))
    except errors.DueyError:
        return  # the check of Redis says why
    here, hosts = discovery.code(), ", ".join(sorted({host for host, _ in workers}))
    others = sorted({(host, code) for host, code in workers if code not in ("", here)})
    if not workers:
        yield Finding(WARN, "consumers", "none runs on any machine: start `duey worker`")
    elif others:
        there = ", ".join(f"{host} ({code})" for host, code in others)
        text = f"run other task modules on {there} than this machine has ({here}): install the same on all, and restart"
        yield Finding(WARN, "consumers", text)
    else:
        text = f"{len(workers)} worker processes, on {hosts}, run the task modules of this machine"
        yield Finding(OK, "consumers", text)


def postgresql(settings: Any) -> Iterator[Finding]:
    """Whether the databases on PostgreSQL can be used, and what is not there although other webs may be."""
    from duey.cli.checks.databases import Database
    from duey.cli.commands.copies import on_servers

    servers = on_servers(settings)
    if settings.storage.backend == "redis" and list(servers) == ["monitor"]:
        text = (
            "in a file of this host, while the history is on PostgreSQL: each other web has accounts and tokens of its"
        )
        yield Finding(WARN, "accounts", f"{text} own; set [auth] database to the server, too, if there are any")
    for role, database in servers.items():
        try:
            yield Finding(OK, role, Database(role, database.place, *database.look()).text)
        except database.trouble as exc:
            yield Finding(FAIL, role, str(exc))


def history(settings: Any) -> Iterator[Finding]:
    """Where what happens to jobs is recorded, if the queue is one that several hosts reach."""
    if settings.storage.backend != "redis":
        return
    from duey import clock, errors
    from duey.config import sqlite_path
    from duey.monitor.history import History
    from duey.storage.redis.outbox import read_owner

    database = History(settings.monitor.database, settings.monitor).database
    path = sqlite_path(settings.monitor.database)
    try:
        with queue_server(settings) as server:
            owner, here = read_owner(server), database.where()
    except errors.DueyError:
        return  # the check of Redis, or of the history, says why
    if owner is None:
        yield Finding(OK, "history", "nothing was recorded yet: the first web process that starts records")
    elif owner.where == here:
        yield Finding(OK, "history", f"recorded here, at {owner.where}")
    elif path is None or path.exists():
        text = f"recorded at {owner.where}, last at {clock.rfc3339(owner.at)}, not at {here}: use the web there"
        yield Finding(WARN, "history", f"{text}, or move the recording here with `duey record --take-over`")
    else:
        yield Finding(OK, "history", f"recorded at {owner.where}")


def service(settings: Any) -> Iterator[Finding]:
    """Whether the service is ready, asked as a visitor asks, and whether the proxy's headers arrive."""
    web = settings.web
    here = f"http://{ANYWHERE.get(web.host, web.host)}:{web.port}"
    base = (web.public_url or here) + web.url_prefix
    try:
        status, found = asked(f"{base}/readyz", {})
    except OSError as exc:
        reason = getattr(exc, "reason", exc)
        if settings.storage.backend == "redis" and not web.public_url:
            text = f"no web process answers at {base} ({reason}): start one, unless this host is for consumers alone"
            yield Finding(WARN, "service", text)
            return
        what = "start the service" if not web.public_url else "is the service started, and the proxy set up?"
        yield Finding(FAIL, "service", f"{base} does not answer ({reason}): {what}")
        return
    if status != 200:
        yield Finding(
            FAIL, "service", f"{base}/readyz: {found.get('detail') or f'answered {status}'}; see `duey status`"
        )
    else:
        yield Finding(OK, "service", f"{base} is ready")
    if web.public_url:
        yield from proxy_headers(web, base)


def proxy_headers(web: Any, base: str) -> Iterator[Finding]:
    """What the service sees of a visitor who comes by its public address."""
    try:
        _, found = asked(f"{base}/healthz", {"X-Forwarded-For": CLAIMED, "X-Forwarded-Proto": "http"})
    except OSError as exc:
        yield Finding(FAIL, "proxy", f"{base}/healthz does not answer ({exc})")
        return
    seen, public = found.get("seen"), urlsplit(web.public_url)
    if not isinstance(seen, dict):
        yield Finding(FAIL, "proxy", f"{base}/healthz is answered by something else than this version of Duey")
    elif seen.get("address") == CLAIMED:
        text = "believes the X-Forwarded-For of visitors: let it set the header to the address that it sees itself"
        yield Finding(FAIL, "proxy", text)
    elif seen.get("scheme") != public.scheme:
        text = (
            f"expected X-Forwarded-Proto {public.scheme}, the service sees {seen.get('scheme')}: let the proxy send it"
        )
        proxy = web.trusted_proxy or "none"
        yield Finding(FAIL, "proxy", f"{text}, and set [web] trusted_proxy to its address (now {proxy})")
    elif str(seen.get("host", "")).lower() != public.netloc.lower():
        text = f"expected X-Forwarded-Host {public.netloc}, the service sees {seen.get('host')}: let the proxy send it"
        yield Finding(FAIL, "proxy", text)
    else:
        yield Finding(
            OK, "proxy", f"the service sees {public.scheme}, {public.netloc} and the visitor {seen.get('address')}"
        )


def asked(url: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """The status and the JSON object of an answer, {} for another body. Raises OSError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=ANSWER_S) as answer:
            status, text = answer.status, answer.read(65536)
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read(65536)
    except ssl.SSLError as error:
        raise OSError(str(error)) from None
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    return status, found if isinstance(found, dict) else {}


def channels(settings: Any) -> Iterator[Finding]:
    """Whether the servers of the alert channels take connections. Nothing is sent."""
    from duey.alerts.channels import channels_of
    from duey.errors import Misconfigured

    try:
        found = channels_of(settings)
    except Misconfigured as exc:
        yield Finding(FAIL, "alerts", str(exc))
        return
    if not found:
        yield Finding(WARN, "alerts", "nobody is told of what goes wrong: name a channel in [alerts]")
    places = {each.name: place_of(each, settings) for each in found.values()}
    if settings.smtp.host:
        places = {"[smtp]": (settings.smtp.host, settings.smtp.port), **places}
    results: dict[tuple[str, int], str] = {}
    for name, place in places.items():
        if place is None:
            yield Finding(OK, f"channel {name}", f"not tried: run `duey alerts test {name}`")
            continue
        if place not in results:
            results[place] = refused(*place)
        if results[place]:
            text = f"{place[0]} port {place[1]} cannot be reached ({results[place]})"
            yield Finding(FAIL, f"channel {name}", f"{text}: check the name, and the firewall of this machine")
        else:
            yield Finding(OK, f"channel {name}", f"{place[0]} port {place[1]} takes connections")


def place_of(channel: Any, settings: Any) -> tuple[str, int] | None:
    """Host and port to which a channel connects, None where only its library knows."""
    if channel.kind == "email":
        return settings.smtp.host, settings.smtp.port
    parts = urlsplit(channel.target.address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def refused(host: str, port: int) -> str:
    """Why no connection can be made, or nothing."""
    try:
        socket.create_connection((host, port), ANSWER_S).close()
    except OSError as exc:
        return exc.strerror or str(exc)
    return ""
