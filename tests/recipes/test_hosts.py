"""duey.recipes.hosts: which hosts may be reached."""

from collections.abc import Callable

import pytest

from duey.recipes import Refused, hosts, http
from tests.recipes.http_peer import HttpPeer
from tests.support import rows


@rows(
    "address",
    [
        "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.255",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::",
        "2002:a00:1::1", "2001::1", "2001:db8::1", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd12:3456::1",
        "ff02::1", "ff0e::1", "100::1",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not hosts.is_public(address)


@rows(
    "address",
    ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)  # fmt: skip
def test_public(address: str) -> None:
    assert hosts.is_public(address)


@rows(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "0.0.0.0", "0", "localhost", "LOCALHOST", "localhost.", "①②⑦.0.0.1", "127。0。0。1",
    ],
)  # fmt: skip
def test_no_spelling_of_loopback_is_reached_without_being_named(peer: HttpPeer, host: str) -> None:
    with pytest.raises(Refused, match=r"not a public address: name the host exactly|expected a URL"):
        http.request("GET", f"http://{host}:{peer.port}/", timeout_s=5)
    assert not peer.received


def test_the_address_that_was_checked_is_the_one_that_is_used(peer: HttpPeer, names: Callable[..., list[str]]) -> None:
    # A second look-up would lead to where nobody listens.
    asked = names(rebind_test=[["127.0.0.1"], ["127.0.0.9"]])
    answer = http.request("GET", peer.url("rebind.test"), timeout_s=5, allow_hosts=["rebind.test"])
    assert answer.status == 200
    assert asked == ["rebind.test"]


def test_a_name_that_turns_private_after_the_check_gains_nothing(
    peer: HttpPeer, names: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first answer counts as public; whoever resolves again would reach the peer.
    asked = names(rebind_test=[["127.0.0.9"], ["127.0.0.1"]])
    monkeypatch.setattr(hosts, "is_public", lambda address: address == "127.0.0.9")
    with pytest.raises(Exception, match="cannot be reached"):
        http.request("GET", peer.url("rebind.test"), timeout_s=5, allow_ports=[peer.port])
    assert asked == ["rebind.test"]
    assert not peer.received


def test_one_private_address_among_public_ones_is_refused(names: Callable[..., list[str]]) -> None:
    names(mixed_test=[["8.8.8.8", "10.0.0.1"]])
    with pytest.raises(Refused, match=r"mixed\.test leads to 10\.0\.0\.1"):
        http.request("GET", "http://mixed.test/", timeout_s=5)


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


@pytest.mark.parametrize(
    ("host", "entries"),
    [
        ("example.org", ["*.example.org"]),
        ("evilexample.org", ["*.example.org", "example.org"]),
        ("example.org.evil.net", ["example.org", "*.example.org"]),
        ("example.org", ["www.example.org"]),
        ("8.8.8.8", ["example.org"]),
    ],
)
def test_the_list_stops_before_anything_is_looked_up(
    host: str, entries: list[str], names: Callable[..., list[str]]
) -> None:
    asked = names()
    with pytest.raises(Refused, match=r"is not in \[webhook\] allow_hosts"):
        http.request("GET", f"http://{host}/", timeout_s=5, allow_hosts=entries)
    assert asked == []


def test_a_wildcard_does_not_vouch_for_a_private_address(peer: HttpPeer, names: Callable[..., list[str]]) -> None:
    names(inside_example_org=[["127.0.0.1"]])
    with pytest.raises(Refused, match="not a public address"):
        http.request("GET", peer.url("inside.example.org"), timeout_s=5, allow_hosts=["*.example.org"])
    assert not peer.received


def test_other_ports_are_for_hosts_that_are_named(peer: HttpPeer, names: Callable[..., list[str]], monkeypatch) -> None:
    names(public_example_org=[["127.0.0.1"]] * 4)
    monkeypatch.setattr(hosts, "is_public", lambda address: True)
    url = peer.url("public.example.org")
    for entries in ([], ["*.example.org"]):
        with pytest.raises(Refused, match=rf"the port {peer.port} .* is not in \[webhook\] allow_ports"):
            http.request("GET", url, timeout_s=5, allow_hosts=entries)
    assert not peer.received
    assert http.request("GET", url, timeout_s=5, allow_ports=[peer.port]).status == 200
    assert http.request("GET", url, timeout_s=5, allow_hosts=["public.example.org"]).status == 200


def test_a_name_has_one_spelling() -> None:
    assert hosts.ascii_host("Bücher.Example.") == "xn--bcher-kva.example"
    assert hosts.ascii_host("2001:DB8:0::1") == "2001:db8::1"
