"""duey.recipes.hosts: which hosts may be reached."""

from collections.abc import Callable

import pytest

from duey.recipes import Refused, hosts, http
from tests.recipes.http_peer import HttpPeer
from tests.support import rows

Names = Callable[..., list[str]]

NOT_PUBLIC = """
    127.0.0.1 127.8.9.10 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 192.0.0.8
    192.0.2.1 198.18.0.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1
    ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1::1
    2001::1 2001:db8::1 fe80::1 fe80::1%lo fec0::1 fc00::1 fd12:3456::1 ff02::1 ff0e::1 100::1
"""
PUBLIC = "1.1.1.1 8.8.8.8 93.184.216.34 172.32.0.1 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808"
LOOPBACK = """
    127.0.0.1 127.1 2130706433 0x7f.0.0.1 0177.0.0.1 [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] 0.0.0.0 0 localhost
    LOCALHOST localhost. ①②⑦.0.0.1 127。0。0。1
"""


def test_public_addresses() -> None:
    public = [address for address in [*NOT_PUBLIC.split(), *PUBLIC.split()] if hosts.is_public(address)]
    assert public == PUBLIC.split()
    assert hosts.ascii_host("Bücher.Example.") == "xn--bcher-kva.example"  # a name has one spelling
    assert hosts.ascii_host("2001:DB8:0::1") == "2001:db8::1"


@rows("host", LOOPBACK.split())
def test_no_spelling_of_loopback_is_reached_without_being_named(peer: HttpPeer, host: str) -> None:
    with pytest.raises(Refused, match=r"not a public address: name the host exactly|expected a URL"):
        http.request("GET", f"http://{host}:{peer.port}/", timeout_s=5)
    assert not peer.received


def test_the_address_that_was_checked_is_the_one_that_is_used(
    peer: HttpPeer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A second look-up would lead to where nobody listens.
    asked = names(rebind_test=[["127.0.0.1"], ["127.0.0.9"]])
    answer = http.request("GET", peer.url("rebind.test"), timeout_s=5, allow_hosts=["rebind.test"])
    assert (answer.status, asked) == (200, ["rebind.test"])
    # The first answer counts as public; whoever resolves again would reach the peer.
    peer.received.clear()
    asked = names(rebind_test=[["127.0.0.9"], ["127.0.0.1"]])
    monkeypatch.setattr(hosts, "is_public", lambda address: address == "127.0.0.9")
    with pytest.raises(Exception, match="cannot be reached"):
        http.request("GET", peer.url("rebind.test"), timeout_s=5, allow_ports=[peer.port])
    assert asked == ["rebind.test"] and not peer.received


@rows(
    ("host", "entries", "anywhere"),
    [
        ("example.org", [], False), ("example.org", ["example.org"], True),
        ("example.org", ["other.org", "Example.ORG."], True), ("10.0.0.1", ["10.0.0.1"], True),
        ("::1", ["::1"], True), ("a.example.org", ["*.example.org"], False),
        ("a.b.example.org", ["*.EXAMPLE.org"], False), ("a.example.org", ["*.example.org", "a.example.org"], True),
    ],
)  # fmt: skip
def test_the_list_lets_through(host: str, entries: list[str], anywhere: bool) -> None:
    assert hosts.may_be_anywhere(host, entries) is anywhere


@rows(
    ("host", "entries"),
    [
        ("example.org", ["*.example.org"]), ("evilexample.org", ["*.example.org", "example.org"]),
        ("example.org.evil.net", ["example.org", "*.example.org"]), ("example.org", ["www.example.org"]),
        ("8.8.8.8", ["example.org"]),
    ],
)  # fmt: skip
def test_the_list_stops_before_anything_is_looked_up(host: str, entries: list[str], names: Names) -> None:
    asked = names()
    with pytest.raises(Refused, match=r"is not in \[webhook\] allow_hosts"):
        http.request("GET", f"http://{host}/", timeout_s=5, allow_hosts=entries)
    assert asked == []


def test_neither_a_wildcard_nor_a_public_address_vouches_for_a_private_one(peer: HttpPeer, names: Names) -> None:
    names(inside_example_org=[["127.0.0.1"]], mixed_test=[["8.8.8.8", "10.0.0.1"]])
    with pytest.raises(Refused, match="not a public address"):
        http.request("GET", peer.url("inside.example.org"), timeout_s=5, allow_hosts=["*.example.org"])
    with pytest.raises(Refused, match=r"mixed\.test leads to 10\.0\.0\.1"):
        http.request("GET", "http://mixed.test/", timeout_s=5)
    assert not peer.received


def test_other_ports_are_for_hosts_that_are_named(
    peer: HttpPeer, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(public_example_org=[["127.0.0.1"]] * 4)
    monkeypatch.setattr(hosts, "is_public", lambda address: True)
    url = peer.url("public.example.org")
    for entries in ([], ["*.example.org"]):
        with pytest.raises(Refused, match=rf"the port {peer.port} .* is not in \[webhook\] allow_ports"):
            http.request("GET", url, timeout_s=5, allow_hosts=entries)
    assert not peer.received
    assert http.request("GET", url, timeout_s=5, allow_ports=[peer.port]).status == 200
    assert http.request("GET", url, timeout_s=5, allow_hosts=["public.example.org"]).status == 200
