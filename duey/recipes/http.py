"""A guarded HTTP request to a URL from an untrusted source.

The URL is parsed. Its host is checked and resolved once (duey.recipes.hosts), and the request goes to one of the
checked addresses. TLS certificates are verified against the host name. Redirects, proxies from the environment and
credentials in the URL are not used.
The whole request takes at most `timeout_s` seconds, even if the peer sends one byte per second.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Collection, Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from duey.recipes import Refused, Unavailable, hosts

MAX_ANSWER_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 200
_DEFAULT_PORT = {"http": 80, "https": 443}
_KEPT_IN_PATH = "/%:@!$&'()*+,;=~"


class Redirected(Refused):
    """The peer answered 3xx. Redirects are not followed, because they could bypass the allow-list."""


class Answer(NamedTuple):
    """A 2xx answer. `text`: at most the first 64 KB of the body. `ms`: the duration of the request."""

    status: int
    text: str
    ms: float


class _Target(NamedTuple):
    scheme: str
    host: str  # as hosts.ascii_host returns it
    port: int
    path: str  # including the query

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The URL without path and query, for error messages: those of a webhook often contain its secret."""
        return f"{self.scheme}://{self.authority}"


class _Reply(NamedTuple):
    status: int
    location: str
    retry_after_s: float | None
    text: str


def request(
    method: str, url: str, *, timeout_s: float, allow_hosts: Iterable[str] | None = (),
    allow_ports: Collection[int] = (80, 443), body: bytes | None = None, headers: Mapping[str, str] | None = None,
) -> Answer:  # fmt: skip
    """Send one request and return its 2xx answer.

    `allow_hosts`: exact names or addresses, which may be private, and `*.example.org` for all names below a domain,
    which must be public. If empty, every public host is allowed. If None, every host is: the URL is the operator's.
    `allow_ports`: the ports allowed on hosts that are not named exactly.
    Raises Refused (URL, host, 3xx as Redirected, 4xx) and Unavailable (429, 5xx, network, TLS, time-out), which holds
    the seconds of a Retry-After.
    """
    started = time.monotonic()
    deadline = started + timeout_s
    target = _parse(url)
    anywhere = allow_hosts is None or hosts.may_be_anywhere(target.host, allow_hosts)
    try:
        addresses = hosts.resolve(target.host, target.port, timeout_s)
        if not anywhere:
            hosts.require_public(target.host, addresses)
            if target.port not in allow_ports:  # a webhook must not reach mail servers or databases
                raise Refused(
                    f"the port {target.port} of {target.host} is not in [webhook] allow_ports: add it there, or name "
                    "the host exactly in [webhook] allow_hosts"
                )
        with contextlib.closing(_connect(target, addresses, deadline)) as sock:
            reply = _exchange(_ClockedSocket(sock, deadline), target, method, body, dict(headers or {}))
    except TimeoutError:
        raise Unavailable(f"{target.origin} did not answer within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{target.origin} cannot be reached: {str(error) or type(error).__name__}") from error
    _require_success(target, reply)
    return Answer(reply.status, reply.text, round((time.monotonic() - started) * 1000, 1))


def _parse(url: str) -> _Target:
    # urlsplit silently drops line breaks, and browsers read a backslash as a slash. Either way, two programs
    # could see two different hosts in one URL.
    if not re.fullmatch(r"[^\s\x00-\x20\x7f\\]+", url):
        raise Refused("expected a URL without spaces, backslashes and control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = hosts.ascii_host(parts.hostname or "")
    except ValueError as error:
        raise Refused(f"expected a URL such as https://example.org/path: {error}") from None
    if parts.scheme not in _DEFAULT_PORT:
        raise Refused(f"expected an http:// or https:// URL, found the scheme {parts.scheme[:20]!r}")
    if "@" in parts.netloc:
        raise Refused("expected a URL without user name and password: send them in a header")
    if port == 0:
        raise Refused("expected a URL with a port from 1 to 65535, found 0")
    try:
        path = quote(parts.path or "/", safe=_KEPT_IN_PATH)
        query = "?" + quote(parts.query, safe=_KEPT_IN_PATH + "?") if parts.query else ""
    except UnicodeEncodeError:
        raise Refused("expected a URL of valid Unicode, found half a surrogate pair") from None
    return _Target(parts.scheme, host, port or _DEFAULT_PORT[parts.scheme], path + query)


def _connect(target: _Target, addresses: list[Any], deadline: float) -> socket.socket:
    sock = hosts.connect(addresses, deadline)
    try:
        # Head and body are sent separately. Without this, the body would wait for the peer's delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.scheme == "https":
            sock.settimeout(hosts.seconds_until(deadline))
            return ssl.create_default_context().wrap_socket(sock, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise
    return sock


def _exchange(
    sock: _ClockedSocket, target: _Target, method: str, body: bytes | None, headers: dict[str, str]
) -> _Reply:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock  # http.client only calls sendall, makefile and close
    headers = {"user-agent": "Duey", **headers, "host": target.authority, "connection": "close"}
    connection.request(method, target.path, body, headers)
    response = connection.getresponse()
    try:
        text = response.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        text = ""  # The status counts: another attempt after a 200 would deliver twice.
    location, retry_after = (response.headers.get(name, "") for name in ("location", "retry-after"))
    return _Reply(response.status, location, _retry_after_s(retry_after), text)


def _retry_after_s(text: str) -> float | None:
    """The seconds of a Retry-After, which is a number or a date."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _require_success(target: _Target, reply: _Reply) -> None:
    if 200 <= reply.status < 300:
        return
    if 300 <= reply.status < 400:
        to = f" to {reply.location[:_SHOWN_CHARACTERS]!r}" if reply.location else ""
        raise Redirected(f"{target.origin} answered {reply.status}, a redirect{to}: use the final URL instead")
    body = " ".join(reply.text.split())[:_SHOWN_CHARACTERS]
    sentence = f"{target.origin} answered {reply.status}" + (f": {body!r}" if body else "")
    if 400 <= reply.status < 500 and reply.status != 429:
        raise Refused(sentence)
    raise Unavailable(sentence, reply.retry_after_s)


class _ClockedSocket:
    """A connected socket with one deadline for all calls. A socket's own time-out restarts with each call."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._sock.settimeout(hosts.seconds_until(self._deadline))
            view = view[self._sock.send(view) :]

    def receive_into(self, buffer: Any) -> int:
        self._sock.settimeout(hosts.seconds_until(self._deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Does nothing: http.client calls it before the body is read. `request` closes the socket."""


class _Reader(io.RawIOBase):
    """The stream from which http.client reads the answer."""

    def __init__(self, sock: _ClockedSocket) -> None:
        self._clocked = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._clocked.receive_into(buffer)
