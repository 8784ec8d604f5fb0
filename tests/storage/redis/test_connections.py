"""Every way to Redis that [storage] url may name: sockets, TLS with certificates of one's own, users of an ACL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import redis
import trustme

from duey import errors
from duey.storage.redis.storage import RedisStorage
from duey.storage.redis.transfer.transfer import RedisTransfer
from tests.contracts.rig import Hand, ended, jobs, state
from tests.storage.redis.conftest import Open
from tests.support import free_port, needs, rows
from tests.support.apt import TOOLS, find_or_install
from tests.support.redis_server import MISSING, RedisServer, redis_binary
from tests.support.replicas import NAME, Sentinel

DOCS = Path(__file__).parents[3] / "docs" / "redis.md"
NO_TLS = "expected a redis-server that was built with TLS; install that of the distribution."


class Doors:
    """A server with a plain port, a Unix socket and a TLS port that asks for certificates; `files` are the client's."""

    def __init__(self, server: RedisServer, folder: Path, tls_port: int, files: dict[str, str]) -> None:
        self.server, self.folder, self.files = server, folder, files
        self.tls = f"127.0.0.1:{tls_port}/0"

    def url(self, start: str, **options: str) -> str:
        """The URL of a way in, with options."""
        at = {"redis://": self.server.url.partition("//")[2], "rediss://": self.tls}
        scheme, _, user = start.partition("//")
        place = at.get(f"{scheme}//", str(self.folder / "socket"))
        return f"{scheme}//{user}{place}?{urlencode(options)}"


@pytest.fixture(scope="module")
def redis_with_tls() -> str:
    return needs(*find_or_install(*TOOLS["redis_with_tls"]))


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, redis_with_tls: str) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    ca, port = trustme.CA(), free_port()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    for name in ("server", "client"):
        issued = ca.issue_cert("127.0.0.1", "localhost")
        issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    options = {
        "save": "", "unixsocket": folder / "socket", "tls-port": port, "tls-ca-cert-file": folder / "ca.pem",
        "tls-cert-file": folder / "server.pem", "tls-key-file": folder / "server.key",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    names = {"ssl_ca_certs": "ca.pem", "ssl_certfile": "client.pem", "ssl_keyfile": "client.key"}
    server = RedisServer(redis_with_tls, folder, words)
    try:
        server.start()
    except AssertionError as exc:
        needs(None if "tls-" in str(exc) else "it has TLS", NO_TLS)
        raise
    with redis.Redis(port=server.port) as admin:
        # The rule of the documentation, for services that begin with `acl`.
        (rule,) = re.findall(r"^ACL SETUSER (duey .*)$", DOCS.read_text(), re.MULTILINE)
        assert "~duey:{my-service}*" in rule
        admin.execute_command(
            "ACL", "SETUSER", *rule.replace("{my-service}", "{acl").replace("SECRET", "pa:ss").split()
        )
        without_info = rule.replace("duey ", "blind ", 1).replace("my-service}", "acl") + " -info"
        admin.execute_command("ACL", "SETUSER", *without_info.split())
    yield Doors(server, folder, port, {option: str(folder / name) for option, name in names.items()})
    server.kill()


@rows(
    "start, options",
    [
        ("unix://", {}), ("unix://", {"db": "1"}), ("unix://", {"protocol": "3"}), ("unix://duey:pa%3Ass@", {}),
        ("rediss://", {}), ("rediss://", {"protocol": "3"}), ("rediss://duey:pa%3Ass@", {}),
        ("redis://duey:pa%3Ass@", {}), ("redis://duey:pa%3Ass@", {"protocol": "3"}), ("redis://blind:SECRET@", {}),
    ],
)  # fmt: skip
def test_jobs_live_whatever_way_they_come(
    doors: Doors, open_storage: Open, start: str, options: dict[str, str]
) -> None:
    url = doors.url(start, **options, **(doors.files if start.startswith("rediss") else {}))
    storage = open_storage(url, name=f"acl{abs(hash((start, *options)))}")
    warnings = " ".join(storage.prepare())
    assert ("INFO" in warnings) == ("blind" in url), warnings
    for each in "abc":  # all but the first over a fresh connection
        assert storage.enqueue_jobs(jobs(each)).accepted[0].fresh
    assert not storage.enqueue_jobs(jobs("c")).accepted[0].fresh
    hand = Hand(storage)
    storage.settle_and_claim(hand.n, [ended(hand.claim_one())], 0, ("*",))
    assert (state(storage, "a"), state(storage, "b")) == ("done", "queued")
    assert storage.watch.overdue() == [] and storage.problems() == []
    storage.flush_all()
    hand.go()
    transfer = RedisTransfer("here", url, storage.name)
    assert transfer.marker() is None
    transfer.close()
    other = open_storage(url, name="another")
    if "@" in start:
        with pytest.raises(errors.StorageUnavailable, match="does not permit"):
            other.prepare()


@rows(
    "start, change, error, said",
    [
        ("rediss://", {"ssl_ca_certs": "other.pem"}, errors.StorageUnavailable, "name the authority of its"),
        ("rediss://", {"ssl_ca_certs": "none.pem"}, errors.Misconfigured, "expected a readable file as ssl_ca_certs"),
        ("rediss://", {"ssl_keyfile": "server.key"}, errors.StorageUnavailable, "correct ssl_ca_certs, ssl_certfile"),
        ("rediss://", {"ssl_certfile": "", "ssl_keyfile": ""}, errors.StorageUnavailable, "cannot be reached"),
        ("rediss://", {"ssl_cert_reqs": "some"}, errors.Misconfigured, "Requirements Flag: some"),
        ("redis://", {"colour": "red"}, errors.Misconfigured, "it has an unknown option, colour"),
        ("redis://", {"decode_responses": "yes"}, errors.Misconfigured, "leave it out"),
        ("redis://duey:SECRET@", {}, errors.StorageUnavailable, "refuses the login"),
        ("unix:///none", {}, errors.StorageUnavailable, "cannot be reached"),
    ],
)  # fmt: skip
def test_a_way_that_leads_nowhere_is_named_in_one_sentence(
    doors: Doors, start: str, change: dict[str, str], error: type[errors.DueyError], said: str
) -> None:
    files = {name: str(doors.folder / name_of) for name, name_of in change.items() if name_of and name in doors.files}
    options = {**(doors.files if start == "rediss://" else {}), **change, **files}
    storage = RedisStorage("acl", url=doors.url(start, **{name: value for name, value in options.items() if value}))
    with pytest.raises(error) as caught:
        storage.prepare()
    text = str(caught.value)
    assert said in text and "SECRET" not in text and "\n" not in text
    storage.close()


def test_sentinels_are_asked_by_tls_too(doors: Doors, open_storage: Open, redis_with_tls: str, tmp_path: Path) -> None:
    host, port = doors.tls.removesuffix("/0").split(":")
    options = {
        "tls-port": free_port(), "tls-ca-cert-file": doors.folder / "ca.pem", "tls-replication": "yes",
        "tls-cert-file": doors.folder / "server.pem", "tls-key-file": doors.folder / "server.key",
    }  # fmt: skip
    sentinel = Sentinel(redis_with_tls, tmp_path / "sentinel", int(port), 1)
    sentinel.options = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with sentinel:
        url = f"rediss+sentinel://duey:pa%3Ass@{host}:{options['tls-port']}/{NAME}"
        storage = open_storage(f"{url}?{urlencode(doors.files)}", name="acl-sentinel")
        storage.prepare()
        assert storage.server.address == f"127.0.0.1:{port}" and storage.enqueue_jobs(jobs("a")).accepted[0].fresh
        elsewhere = open_storage(f"{url}?{urlencode(doors.files | {'ssl_ca_certs': str(doors.folder / 'other.pem')})}")
        with pytest.raises(errors.StorageUnavailable, match=rf"no Sentinel tells where {NAME} is .*certificate"):
            elsewhere.prepare()


def test_a_node_of_a_cluster_is_refused(tmp_path: Path) -> None:
    """Also where the user may not ask what it is."""
    options = ["--save", "", "--cluster-enabled", "yes"]
    server = RedisServer(needs(redis_binary(), MISSING), tmp_path, options)
    server.port = next(port for port in iter(free_port, 0) if port < 55_000)  # nodes talk 10,000 ports above
    url = f"redis://127.0.0.1:{server.port}/0"
    with server:
        with pytest.raises(errors.Misconfigured, match="is a node of a Redis Cluster: name a server"):
            RedisStorage("x", url=url).prepare()
        with redis.Redis(port=server.port) as admin:
            admin.execute_command("ACL", "SETUSER", "blind", "on", ">s", "~*", "+@all", "-info")
        with pytest.raises(errors.StorageUnavailable, match="is a node of a Redis Cluster: name a server"):
            RedisStorage("x", url=url.replace("//", "//blind:s@")).prepare()
