"""The fire drill, hop by hop; tests/acceptance/test_alerts.py holds one in a real service."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from duey.alerts.channels import ChannelFailed
from duey.alerts.drill import CHANNEL_S, LIMITS_S, Drill
from duey.alerts.service import AlertService
from duey.tasks.drill import TASK
from tests.alerts.conftest import FakeChannel, World


@pytest.fixture
def drill(world: World) -> Drill:
    world.channels["chat"] = FakeChannel("chat", rules=frozenset({"backup"}))
    world.set(rules="backup")
    world.control.tasks[TASK] = "each"
    world.control.job = lambda job_id: SimpleNamespace(state="queued", reason=None)  # type: ignore[attr-defined]
    settings = SimpleNamespace(service=SimpleNamespace(name="x"), web=SimpleNamespace(public_url="", url_prefix=""))
    alerts = AlertService(world.history, settings, world.clock)  # type: ignore[arg-type]
    alerts.__dict__["channels"] = world.channels
    return Drill(world.control, world.history, alerts)  # type: ignore[arg-type]


def names(drill: Drill) -> list[str]:
    return [each.name for each in drill.hops("job") if each.done]


def test_it_goes_to_each_channel_whatever_its_rules_and_closes_silently(world: World, drill: Drill) -> None:
    assert names(drill) == [] and drill.hops("job")[0].answer == "the job is queued"
    world.fail(TASK, "DRILL", "FireDrill", job_id="job")
    world.clock.advance(1)
    world.turn()
    assert names(drill) == ["worker", "recorder", "rule", "channel mail", "channel chat"]
    (message,) = world.channels["chat"].sent
    assert (message.kind, message.rule) == ("drill", "drill")
    assert world.told() == [("drill", "drill")]
    world.turn()
    assert world.store.open() == {} and world.told() == []
    assert drill.state()[1:] == (None, "") and drill.state().proven_at == world.clock() - 5


def test_a_channel_that_fails_is_named_and_nothing_is_proven(world: World, drill: Drill) -> None:
    world.channels["chat"].fails = [ChannelFailed("410 gone", permanent=True)]
    world.fail(TASK, "DRILL", "FireDrill", job_id="job")
    world.turn()
    last = drill.hops("job")[-1]
    assert (last.name, last.failed, last.answer) == ("channel chat", True, "410 gone")
    state = drill.state()
    assert state.proven_at is None and state.problem == "channel chat: 410 gone"
    world.fail(TASK, "DRILL", "FireDrill", job_id="another")
    world.turn()
    assert drill.state().proven_at == world.clock() and drill.state().problem == ""


def test_it_follows_and_gives_up_at_the_first_hop_that_does_not_come(
    world: World, drill: Drill, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = {"s": 0.0}
    monkeypatch.setattr("duey.alerts.drill.time", SimpleNamespace(monotonic=lambda: at["s"]))

    def wait(seconds: float) -> None:
        at["s"] += 1.0
        if at["s"] == 3.0:
            world.fail(TASK, "DRILL", "FireDrill", job_id="job")
            world.channels["chat"].fails = [ChannelFailed("timed out")] * 99
            world.turn()

    found = [(each.hop.name, each.hop.done, each.seconds) for each in drill.follow("job", wait)]
    assert found == [
        ("worker", True, 3.0), ("recorder", True, 0.0), ("rule", True, 0.0), ("channel mail", True, 0.0),
        ("channel chat", False, CHANNEL_S + 1),
    ]  # fmt: skip
    (late,) = drill.follow("unknown", wait)
    assert late.hop == ("worker", False, "the job is queued", True) and late.seconds == LIMITS_S["worker"] + 1


def test_without_a_channel_it_fails(world: World, drill: Drill) -> None:
    world.channels.clear()
    world.set()
    world.fail(TASK, "DRILL", "FireDrill", job_id="job")
    world.turn()
    last = drill.hops("job")[-1]
    assert last.failed and "none is configured" in last.answer
