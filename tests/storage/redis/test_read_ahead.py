"""Reads that are made together take one round trip for each answer that depends on another, and change nothing else."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import partial

import pytest
import redis

from duey import errors
from duey.storage.redis.connection.client import Server
from duey.storage.redis.connection.read_ahead import PASSES
from tests.contracts.rig import jobs
from tests.support.ports import free_port


@pytest.fixture
def server(far_line) -> Iterator[Server]:
    server = Server(far_line.url, "test-read-ahead")
    server.command(b"DEL", "a", "b")
    server.command(b"SET", "a", "b")
    server.command(b"SET", "b", "2")
    yield server
    server.close()


def get(server: Server, key: str) -> str:
    return server.command(b"GET", key).decode()


def test_what_depends_on_an_answer_takes_another_trip(server, far_line):
    def chain() -> str:
        with server.ahead.reading([partial(get, server, "b")]):
            return get(server, get(server, "a"))

    reads = [chain, partial(get, server, "a"), partial(server.command, b"TIME")]
    before = far_line.trips
    with server.ahead.reading([*reads, chain]):
        assert (chain(), get(server, "a")) == ("2", "b")
        assert server.command(b"TIME") == server.command(b"TIME"), "an answer is kept for the block"
        assert far_line.trips == before + 1
        server.command(b"SET", "b", "3")
        assert get(server, "b") == "2"
        assert far_line.trips == before + 2
    assert get(server, "b") == "3"
    with server.ahead.reading([lambda: get(server, get(server, "a"))]):
        assert get(server, "b") == "3" and far_line.trips == before + 5


def test_another_thread_reads_for_itself(server):
    with server.ahead.reading([partial(get, server, "b")]):
        server.command(b"SET", "b", "3")
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(get(server, "b")))
        thread.start()
        thread.join()
        assert (found, get(server, "b")) == (["3"], "2")


def test_a_read_that_asks_for_something_else_each_time_ends(server, far_line):
    numbers, before = itertools.count(), far_line.trips

    def restless() -> None:
        server.command(b"GET", f"none-{next(numbers)}")

    with server.ahead.reading([restless]):
        restless()
    assert far_line.trips == before + PASSES + 1


def test_an_error_is_raised_by_the_read_that_met_it(server):
    with server.ahead.reading([partial(server.command, b"LLEN", "a"), partial(get, server, "a")]):
        with pytest.raises(errors.StorageUnavailable, match="WRONGTYPE"):
            server.command(b"LLEN", "a")
        assert get(server, "a") == "b"
    away = Server(f"redis://127.0.0.1:{free_port()}/0", "test-read-ahead")
    with away.ahead.reading([partial(get, away, "a")]), pytest.raises(errors.StorageUnavailable, match="reached"):
        get(away, "a")


def test_scripts_that_the_server_has_forgotten_are_sent(storage, redis_server):
    storage.enqueue_jobs(jobs("ab"))
    with redis.Redis.from_url(redis_server.url) as plain:
        plain.script_flush()
    with storage.read_ahead(storage.counts, partial(storage.get_job, "a")):
        assert (storage.counts().queued, storage.get_job("a").state) == (2, "queued")


def test_a_process_has_opened_the_keys_after_four_round_trips(far_line, open_storage):
    open_storage().prepare()
    before = far_line.trips
    open_storage(far_line.url).server.open()
    assert far_line.trips == before + 4  # whether the server is there, its facts and the schema, the script, its clock
