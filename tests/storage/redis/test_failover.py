"""Several servers of Redis: the primary is found, and found again when it is another one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from duey import errors
from duey.cli.checks import FAIL, reach
from duey.config import load
from duey.storage.redis.connection import primary
from duey.storage.redis.connection.address import parse
from duey.storage.redis.connection.preflight import waiting_in
from duey.storage.redis.storage import RedisStorage
from duey.storage.redis.transfer.transfer import RedisTransfer
from tests.contracts.rig import Hand, ended, jobs, state
from tests.storage.redis.conftest import Open
from tests.support import free_port, needs, rows, wait_until
from tests.support.redis_server import MISSING, RedisServer, redis_binary
from tests.support.replicas import Replicated, replicated


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with replicated(needs(redis_binary(), MISSING), tmp_path_factory.mktemp("servers")) as found:
        yield found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Replicated]:
    with replicated(needs(redis_binary(), MISSING), tmp_path, sentinels=0) as found:
        yield found


@rows(
    "url, shown, server, sentinel",
    [
        ("redis://u:p%2C@a,[::1]:1/2?client_name=x", "a:6379,[::1]:1", "redis://u:p%2C@a:6379/2?client_name=x", ""),
        ("rediss://a:1,b/", "a:1,b:6379", "rediss://a:1/", ""),
        ("redis+sentinel://a,b:1/my", "a:26379,b:1/my", "redis://a:26379/?", "redis://a:26379?"),
        ("redis+sentinel://u:p@a/my/3", "a:26379/my", "redis://u:p@a:26379/3?", "redis://a:26379?"),
        (
            "rediss+sentinel://:p@a/my?db=3&sentinel_username=s&sentinel_password=%2F&ssl_ca_certs=ca.pem",
            "a:26379/my", "rediss://:p@a:26379/?db=3&ssl_ca_certs=ca.pem",
            "rediss://s:%2F@a:26379?ssl_ca_certs=ca.pem",
        ),
    ],
)  # fmt: skip
def test_what_a_url_of_several_says(url: str, shown: str, server: str, sentinel: str) -> None:
    found = parse(url)
    assert (found.shown, found.at(found.places[0])) == (shown, server)
    assert not sentinel or found.sentinel_at(found.places[0]) == sentinel


def promote(servers: Replicated) -> None:
    """By hand: the replica becomes the primary, and the primary its replica."""
    former, other = servers.servers
    with redis.Redis(port=other.port) as client:
        client.replicaof("NO", "ONE")
    with redis.Redis(port=former.port) as client:
        client.replicaof("127.0.0.1", other.port)


def test_a_primary_among_hosts_is_used_and_followed(
    pair: Replicated, open_storage: Open, caplog: pytest.LogCaptureFixture
) -> None:
    goes_on(pair, pair.hosts, pair.servers[0], open_storage, caplog, lambda: promote(pair))


def test_a_primary_that_is_slow_is_waited_for(
    pair: Replicated, open_storage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(primary, "ASK_S", 0.05)
    storage = open_storage(pair.hosts)
    storage.enqueue_jobs(jobs("a"))
    os.kill(pair.servers[0].pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (pair.servers[0].pid, signal.SIGCONT)).start()
    storage.server.connections.look_at = 0.0
    assert storage.watch.overdue() == []
    assert state(storage, "a") == "queued"


def test_the_primary_that_sentinels_name_is_used_and_followed(
    servers: Replicated, open_storage: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The former one goes on taking writes for ten seconds."""
    goes_on(servers, servers.url, servers.primary(), open_storage, caplog, servers.fail_over)
    assert "is a replica" not in caplog.text


def goes_on(
    servers: Replicated, url: str, former: RedisServer, open_storage: Open, caplog: pytest.LogCaptureFixture,
    change: Callable[[], None],
) -> None:  # fmt: skip
    storage = open_storage(url)
    hand = Hand(storage)
    storage.enqueue_jobs(jobs("abc"))
    running = hand.claim_one()
    assert storage.server.address == f"127.0.0.1:{former.port}"
    with redis.Redis(port=former.port) as client:
        client.set("waited", 1)  # newer servers count from a change of the same connection
        client.wait(1, 10_000)
    change()
    (now,) = (each for each in servers.servers if each is not former)
    wait_until(
        lambda: storage.watch.overdue() == [] and storage.server.address != f"127.0.0.1:{former.port}", 10, "seen"
    )
    storage.settle_and_claim(hand.n, [ended(running)], 0, ("*",))
    storage.enqueue_jobs(jobs("d"))
    assert [text for text in caplog.messages if "the primary is" in text] == [
        f"the primary is Redis at 127.0.0.1:{now.port} now, it was 127.0.0.1:{former.port}"
    ]
    assert [state(storage, each) for each in "abcd"] == ["done", "queued", "queued", "queued"]
    assert waiting_in(url, storage.name) == 3
    transfer = RedisTransfer("here", url, storage.name)
    assert transfer.contents().waiting == 3
    transfer.close()
    hand.go()


def test_a_primary_is_used_on_while_no_sentinel_answers(tmp_path: Path, open_storage: Open) -> None:
    """But not by a process that starts then."""
    with replicated(needs(redis_binary(), MISSING), tmp_path, replicas=0, sentinels=1) as alone:
        storage = open_storage(alone.url)
        storage.enqueue_jobs(jobs("a"))
        alone.sentinels[0].kill()
        with redis.Redis(port=alone.servers[0].port) as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
        storage.enqueue_jobs(jobs("b"))
        assert [state(storage, each) for each in "ab"] == ["queued", "queued"]
        with pytest.raises(errors.StorageUnavailable, match="no Sentinel tells where"):
            open_storage(alone.url).prepare()


def test_the_primary_is_named(servers: Replicated, tmp_path: Path) -> None:
    (tmp_path / "config.ini").touch()
    variables = {"DUEY_STORAGE_BACKEND": "redis", "DUEY_STORAGE_URL": servers.url}
    found = list(reach.redis(load(tmp_path / "config.ini", variables)))
    assert FAIL not in [each.level for each in found]
    assert f"127.0.0.1:{servers.primary().port} keeps" in found[0].text


def test_what_leads_to_no_primary_is_said_in_one_sentence(servers: Replicated) -> None:
    away, misconfigured = errors.StorageUnavailable, errors.Misconfigured
    sentinel, replica = servers.sentinels[0], next(each for each in servers.servers if each is not servers.primary())
    with redis.Redis(port=replica.port) as client:  # the Sentinels take ten seconds to do so
        client.replicaof("127.0.0.1", servers.primary().port)
    nobody = free_port()
    for url, error, said in (
        (f"redis+sentinel://127.0.0.1:{nobody}/mymaster", away, f"{nobody} cannot be used (Connection refused)"),
        (servers.url.replace("mymaster", "other"), misconfigured, "knows no primary called 'other'"),
        (servers.url.replace("127.0.0.1", ":SECRET@127.0.0.1", 1), away, "refuses the login"),
        (f"{servers.url}?sentinel_password=SECRET", away, "refuses the login"),
        (f"{servers.url}?colour=red", misconfigured, "it has an unknown option, colour"),
        (f"redis+sentinel://127.0.0.1:{replica.port}/mymaster", away, "is no Sentinel"),
        (f"redis://127.0.0.1:{sentinel.port}/0", misconfigured, "is a Sentinel: write redis+sentinel://"),
        (f"redis://127.0.0.1:{replica.port},127.0.0.1:{nobody}/0", away, "is a replica; 127.0.0.1"),
        (f"redis://127.0.0.1:{replica.port}/0", errors.StorageReadOnly, "is a read-only replica"),
    ):  # fmt: skip
        storage = RedisStorage("x", url=url)
        with pytest.raises(error) as caught:
            storage.prepare()
        text = str(caught.value)
        assert said in text and "SECRET" not in text and "\n" not in text, (url, text)
        storage.close()
