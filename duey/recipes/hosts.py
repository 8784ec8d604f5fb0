"""Which hosts may be reached, when somebody else chooses the name.

A name is brought to its one spelling (`ascii_host`), held against the allow-list (`may_be_anywhere`),
resolved once (`resolve`), and unless the operator named it exactly, each of its addresses must be public
(`require_public`). The caller then connects to these very addresses and never resolves again, so a name that
changes its mind between check and connection (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Iterable
from typing import Any

from duey.recipes import Refused

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Special ranges of IANA's registries that ipaddress takes for public before Python 3.13.
_NOT_PUBLIC = [ipaddress.ip_network(text) for text in ("192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")]


def ascii_host(host: str) -> str:
    """The spelling in which a host is compared, resolved and named: lower case, ASCII. Raises ValueError."""
    if "%" in host:
        raise ValueError(f"{host[:100]!r} is no host name")  # a zone would part one address into many spellings
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        name = host.rstrip(".").encode("idna").decode().lower()
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        raise ValueError(f"{host[:100]!r} is no host name")
    return name


def may_be_anywhere(host: str, allow_hosts: Iterable[str]) -> bool:
    """True for an exact entry; False where only public addresses will do: no list at all, or `*.example.org`.

    Raises Refused for a host that a list does not name.
    """
    entries = [entry.lower().rstrip(".") for entry in allow_hosts]
    if host in entries:
        return True
    # The bare ".": evil-example.org is not below example.org.
    if not entries or any(entry.startswith("*.") and host.endswith(entry[1:]) for entry in entries):
        return False
    raise Refused(f"the host {host} is not in [webhook] allow_hosts: add it there or use another URL")


def resolve(host: str, port: int, timeout_s: float) -> list[Any]:
    """What getaddrinfo answers. It knows no time-out, so a thread waits for it and may be left behind.

    Raises OSError; TimeoutError after `timeout_s`.
    """
    answers: list[Any] = []

    def look_up() -> None:
        try:
            answers.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            answers.append(error)

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not answers:
        raise TimeoutError
    if isinstance(answers[0], OSError):
        raise answers[0]
    return list(answers[0])


def require_public(host: str, addresses: list[Any]) -> None:
    """Raises Refused where any address that `resolve` answered is not public.

    One private address among public ones is refused too: which one is used would be up to the name's owner.
    """
    for *_, address in addresses:
        if not is_public(address[0]):
            raise Refused(
                f"{host} leads to {address[0]}, which is not a public address: "
                "name the host exactly in [webhook] allow_hosts if it is meant"
            )


def is_public(address: str) -> bool:
    """False for loopback, private, link-local, multicast, reserved and the like, also within an IPv6 one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    if any(ip in network for network in _NOT_PUBLIC):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_private)
