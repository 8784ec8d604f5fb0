"""Schedules that stand still: nobody has to find out by what did not run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from duey import every
from duey.api.answer import Refusal
from duey.api.auth import TokenAuth
from duey.api.health import Health, LiveCollector
from duey.cli.commands.state import status
from duey.cli.context import Refused
from duey.model.schedule import STANDS_S
from duey.monitor.access import Token
from duey.monitor.history import History
from duey.storage.redis.storage import RedisStorage
from tests.scheduling.conftest import both
from tests.scheduling.simulation import START, Make, World

SAID = "no consumer runs schedules since %s (UTC): start one without --no-periodic, or see its log"


def pass_by(w: World, seconds: float) -> None:
    """Let time pass; Redis goes by a clock of its own."""
    w.go(seconds)
    if isinstance(w.storage, RedisStorage):
        server = w.storage.schedule_store._server
        at = server.command(b"HGET", server.key("meta"), b"scheduler_at")
        if at is not None:
            server.command(b"HSET", server.key("meta"), b"scheduler_at", b"%.3f" % (float(at) - seconds))


def said(w: World) -> tuple[str, ...]:
    """What /readyz names as missing; status, /readyz and the figures tell the same."""
    health = w.control.health()
    (figure,) = [each for each in LiveCollector(w.control).collect() if each.name == "duey_schedules_standing_seconds"]
    assert (figure.samples[0].value > 0) == (health.schedules_since is not None)
    reader = Token(1, "reader", frozenset({"read"}), START, None)
    endpoint = Health(w.control, TokenAuth(lambda secret: reader))
    history = History(w.huey.settings.monitor.database, w.huey.settings.monitor)
    context: Any = SimpleNamespace(huey=w.huey, control=w.control, history=history, settings=w.huey.settings)
    if health.schedules_since is not None:
        with pytest.raises(Refusal, match=r"^no consumer runs schedules$"):  # to a stranger
            endpoint.ready({}, None)
    try:
        endpoint.ready({"HTTP_AUTHORIZATION": "Bearer secret"}, None)
    except Refusal as refusal:
        assert refusal.more["problems"] == list(health.problems)
        with pytest.raises(Refused, match="no consumer"):
            status(context, SimpleNamespace(json=False, ready=False))  # type: ignore[arg-type]
    else:
        assert health.ok
        w.huey.storage.delete_events(w.huey.storage.read_outbox(1000))  # a recorder has them
        status(context, SimpleNamespace(json=False, ready=False))  # type: ignore[arg-type]
    history.close()
    return health.problems


@both
def test_it_is_said_since_when_no_consumer_runs_schedules(world: Make):
    w = world({"a": every(60)})
    assert "no consumer is running" in said(w)[0] and w.control.health().schedules_since is None
    assert w.hand.here
    assert said(w) == (), "it has just begun"
    pass_by(w, STANDS_S + 1)
    assert said(w) == (SAID % "00:00",), "it is one with --no-periodic"
    scheduler = w.scheduler()
    scheduler.tick()
    assert said(w) == ()
    pass_by(w, 13 * 3600 + 40 * 60 + 30 - w.at + START)
    assert said(w) == (SAID % "00:00",)
    scheduler.tick()
    pass_by(w, STANDS_S - 2)
    assert said(w) == ()
    pass_by(w, 24 * 3600)
    assert said(w) == (SAID % "2026-06-01 13:40",)
    w.control.schedules.pause(w.name("a"))
    assert said(w) == (), "there are none to run"
