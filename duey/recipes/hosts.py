"""Checks which hosts may be reached, where the host name comes from an untrusted source.

A name is normalized (`ascii_host`), checked against the allow-list (`may_be_anywhere`) and resolved once (`resolve`).
Unless the operator has named it exactly, all its addresses must be public (`require_public`). The caller then
connects to these addresses and does not resolve the name again, so a DNS answer that changes between check and
connection (DNS rebinding) has no effect.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

from duey.recipes import Refused

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Special ranges in IANA's registries that ipaddress reports as public before Python 3.13.
_NOT_PUBLIC = [ipaddress.ip_network(text) for text in ("192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")]


def ascii_host(host: str) -> str:
    """Return the normalized host name: lower case, ASCII. Raises ValueError."""
    if "%" in host:
        raise ValueError(f"{host[:100]!r} is not a host name")  # with zones, one address would have many spellings
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        name = host.rstrip(".").encode("idna").decode().lower()
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name):
        raise ValueError(f"{host[:100]!r} is not a host name")
    return name


def may_be_anywhere(host: str, allow_hosts: Iterable[str]) -> bool:
    """Return True for an exact entry, False if only public addresses are allowed: no list, or a `*.example.org` entry.

    Raises Refused if the list is not empty and does not name the host.
    """
    entries = [entry.lower().rstrip(".") for entry in allow_hosts]
    if host in entries:
        return True
    # With the dot, so that evil-example.org does not match example.org.
    if not entries or any(entry.startswith("*.") and host.endswith(entry[1:]) for entry in entries):
        return False
    raise Refused(f"the host {host} is not in [webhook] allow_hosts: add it there or use another URL")


def resolve(host: str, port: int, timeout_s: float) -> list[Any]:
    """Return the result of getaddrinfo. It has no time-out, so it runs in a thread, which is abandoned if too slow.

    Raises OSError, and TimeoutError after `timeout_s` seconds.
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


def connect(addresses: list[Any], deadline: float) -> socket.socket:
    """Return a TCP connection to the first address in the result of `resolve` that takes one.

    `deadline`: of time.monotonic(). Raises OSError, and TimeoutError at the deadline.
    """
    failure = OSError("the name has no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            # Share the remaining time, so that one unreachable address does not use it all.
            sock.settimeout(seconds_until(deadline) / (len(addresses) - index))
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            failure = error
    raise failure


def seconds_until(deadline: float) -> float:
    """Return the seconds until the deadline, of time.monotonic(). Raises TimeoutError if it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def require_public(host: str, addresses: list[Any]) -> None:
    """Raise Refused if any address in the result of `resolve` is not public.

    Public and private addresses together are refused too: the owner of the name could decide which one is used.
    """
    for *_, address in addresses:
        if not is_public(address[0]):
            raise Refused(
                f"{host} leads to {address[0]}, which is not a public address: "
                "name the host exactly in [webhook] allow_hosts if it is meant"
            )


def is_public(address: str) -> bool:
    """Return False for loopback, private, link-local, multicast, reserved and similar, also embedded in IPv6."""
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
