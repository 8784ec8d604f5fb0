"""Plain jobs are stored by a script of their own, which leaves what the script for all others leaves."""

import socket
import uuid
from typing import Any

from duey import clock
from duey.storage.redis.connection import client
from duey.storage.redis.storage import RedisStorage
from tests.contracts.rig import job
from tests.storage.redis.conftest import Open
from tests.support import rows

NOW = 1_900_000_000.0
LIMIT = 1000  # of waiting jobs: such a request is not plain


def content(storage: RedisStorage) -> dict[bytes, Any]:
    """What each key holds."""
    read = {b"hash": (b"HGETALL",), b"zset": (b"ZRANGE", 0, -1, "WITHSCORES"), b"set": (b"SMEMBERS",),
            b"stream": (b"XRANGE", "-", "+"), b"string": (b"GET",), b"list": (b"LRANGE", 0, -1)}  # fmt: skip
    found = {}
    for key in sorted(storage.server.command(b"KEYS", storage.server.key("*"))):
        command, *more = read[storage.server.command(b"TYPE", key)]
        found[key[len(storage.server.prefix) :]] = storage.server.command(command, key, *more)
        if command == b"SMEMBERS":
            found[key[len(storage.server.prefix) :]].sort()
    found.pop(b":meta")
    return found


@rows(
    "columns",
    [
        [], [{}], [{"eta": NOW + 60}], [{"eta": NOW - 60}], [{"timeout_s": 0.5, "retries": 2, "retry_delay_s": 1.5}],
        [{"chord": "c", "sequel": '[["s"],null,null,null]'}],
        [{"priority": -2.5, "queue": "slöw", "by": "mé", "flags": 3, "payload": b"\x80\n"}],
        [{"priority": -2.5, "queue": "slow", "context": "{}", "by": "me", "parent": "p", "flags": 3}],
        [{}, {"eta": NOW + 5, "queue": "slow"}, {"queue": "slow"}, {}],
    ],
)  # fmt: skip
def test_both_scripts_leave_the_same(open_storage: Open, columns: list[dict[str, Any]]) -> None:
    clock.set_source(lambda: NOW)
    try:
        found = []
        for limit in (0, LIMIT):
            storage = open_storage(name=f"plain-{uuid.uuid4().hex}")
            storage.enqueue_jobs([job(f"{n}", **each) for n, each in enumerate(columns)], None, limit)
            found.append(content(storage))
        assert found[0] == found[1]
    finally:
        clock.set_source(None)


def test_the_others_are_stored_by_the_script_for_all(storage: RedisStorage) -> None:
    """A job that is there already, or twice in one request, stops the plain one before it stores anything."""
    assert [each.fresh for each in storage.enqueue_jobs([job("a"), job("a")]).accepted] == [True, False]
    assert [each.fresh for each in storage.enqueue_jobs([job("b"), job("a"), job("c")]).accepted] == [True, False, True]
    assert storage.counts().queued == 3
    assert [row.kind for row in storage.read_outbox(9)] == ["enqueued"] * 3


def test_an_answer_over_a_fresh_connection_is_read_without_the_library(storage: RedisStorage, monkeypatch: Any) -> None:
    """Stored, not stored, refused, and a connection that the server has closed a moment ago."""
    storage.enqueue_jobs([job("a")])
    read: list[Any] = []
    short = client.short_answer
    monkeypatch.setattr(client, "short_answer", lambda *args: read.append(short(*args)) or read[-1])
    assert storage.enqueue_jobs([job("b")]).accepted[0].fresh
    assert not storage.enqueue_jobs([job("a")]).accepted[0].fresh
    storage.server.command(b"SCRIPT", "FLUSH")
    assert storage.enqueue_jobs([job("c")]).accepted[0].fresh
    assert read == [1, None, 1], "the unknown script was an error, and its text was sent then"
    storage.server.command(b"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    storage.server.connections.idle[-1][0]._sock.shutdown(socket.SHUT_RDWR)
    assert storage.enqueue_jobs([job("d")]).accepted[0].fresh
    assert storage.counts().queued == 4
