"""Two services watch each other: one that is not ready for a minute is told, and when it is back."""

from __future__ import annotations

from duey.alerts.peers import Peers
from tests.alerts.conftest import World
from tests.recipes.http_peer import HttpPeer, answer


def test_a_peer_that_is_not_ready_is_told_after_a_minute(world: World) -> None:
    with HttpPeer() as peer:
        peers = Peers([peer.url(path="/readyz?key=secret")], lambda: True, world.clock)
        world.evaluator._reader._peers = peers.seen
        world.turn()
        peers.ask()
        world.turn()
        assert world.told() == []
        peer.behave = answer(503)
        for _ in range(3):
            peers.ask()
            world.turn(25)
        (message,) = world.mail.sent
        assert (message.kind, message.rule) == ("incident.opened", "peer")
        assert message.title == f"127.0.0.1:{peer.port} is not ready"
        assert "503" in dict(message.facts)["answer"] and "secret" not in str(message)
        world.mail.sent.clear()
        unasked = Peers([peer.url()], lambda: True, world.clock)
        world.evaluator._reader._peers = unasked.seen
        world.turn()
        assert world.told() == [], "a process that has just started knows nothing yet"
        world.evaluator._reader._peers = peers.seen
        peer.behave = answer(200)
        peers.ask()
        world.turn()
        assert world.told() == [("closed", "peer")]


def test_a_peer_that_is_gone_is_not_ready(world: World) -> None:
    peers = Peers(["http://127.0.0.1:9/readyz"], lambda: True, world.clock)
    assert peers.seen() is None
    peers.ask()
    (seen,) = peers.seen() or ()
    assert seen.since == world.clock() and seen.answer
