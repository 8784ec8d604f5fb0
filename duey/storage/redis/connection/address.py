"""The URL of Redis: what it may say, and the connections that it leads to.

It names one server, several (`redis://HOST,HOST/0`), or the Sentinels that know the server
(`redis+sentinel://HOST,HOST/NAME`). duey.storage.redis.connection.primary finds the one to use among several.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from duey import errors

CONNECT_S = 2.0
IDLE_S = 30.0  # a connection that was idle for longer is checked by a command before it is used
PORT, SENTINEL_PORT = 6379, 26379
BY_SENTINEL = "+sentinel"
LOGIN = ("sentinel_username", "sentinel_password")  # options of the URL
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS = ", ".join(FILES[:2]) + f" and {FILES[2]} in [storage] url"

Place = tuple[str, int]  # host and port


class Address(NamedTuple):
    """What a URL says."""

    url: str
    places: tuple[Place, ...] = ()  # of the Sentinels or servers, if there are several to look at
    master: str = ""  # the name by which the Sentinels know the server
    scheme: str = "redis"
    login: str = ""  # with its @
    rest: str = ""  # the database and the options of the server
    sentinel_login: str = ""
    sentinel_options: str = ""

    @property
    def shown(self) -> str:
        """It without user and password."""
        return ",".join(map(shown_place, self.places)) + (f"/{self.master}" if self.master else "")

    def at(self, place: Place) -> str:
        """The URL of one server."""
        return f"{self.scheme}://{self.login}{shown_place(place)}/{self.rest}"

    def sentinel_at(self, place: Place) -> str:
        """The URL of one Sentinel."""
        return f"{self.scheme}://{self.sentinel_login}{shown_place(place)}?{self.sentinel_options}"


def shown_place(place: Place) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(url: str) -> Address:
    """What the URL says. Raises Misconfigured for one that names several servers and is wrong; one that names a single
    server is left to the library."""
    scheme, _, rest = url.partition("://")
    sentinels = scheme.endswith(BY_SENTINEL)
    netloc, slash, path = re.split("([/?]|$)", rest, maxsplit=1)
    login, at, hosts = netloc.rpartition("@")
    if scheme == "unix" or not (sentinels or "," in hosts):
        return Address(url)
    try:
        places = tuple(place_of(each, SENTINEL_PORT if sentinels else PORT) for each in hosts.split(","))
    except ValueError as exc:
        raise errors.Misconfigured(f"[storage] url names an impossible host or port ({exc})") from None
    if not sentinels:
        return Address(url, places, scheme=scheme, login=login + at, rest=("?" if slash == "?" else "") + path)
    name, _, query = (slash + path).lstrip("/").partition("?")
    master, _, database = name.partition("/")
    if not master:
        raise errors.Misconfigured("expected redis+sentinel://HOST,HOST/NAME in [storage] url, found no NAME")
    options = parse_qsl(query)
    theirs = dict(options)
    words = [quote(theirs.get(each, ""), safe="") for each in LOGIN]
    return Address(
        url, places, unquote(master), scheme.removesuffix(BY_SENTINEL), login + at,
        f"{database}?{urlencode([each for each in options if each[0] not in LOGIN])}",
        f"{':'.join(words)}@" if any(words) else "",
        urlencode([each for each in options if each[0].startswith("ssl_")]),
    )  # fmt: skip


def place_of(text: str, port: int) -> Place:
    """`HOST:PORT`, `[IPV6]:PORT`, or either without the port. Raises ValueError."""
    found = urlsplit(f"//{text}")
    if not found.hostname or found.path:
        raise ValueError(f"found {text!r}")
    return found.hostname, found.port or port


def make_pool(url: str, answer_s: float) -> ConnectionPool:
    """Connections to this server, none of which is open yet. `answer_s`: the longest wait for an answer. Raises
    Misconfigured for a URL that no connection can be made of."""
    # A Unix socket has no peer that could vanish without a word, and refuses the option.
    keepalive = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        pool = ConnectionPool.from_url(
            url, protocol=2, socket_connect_timeout=CONNECT_S, socket_timeout=answer_s,
            health_check_interval=IDLE_S, retry=Retry(NoBackoff(), 0), **keepalive,
            driver_info=None,  # each connection would take two round trips to tell the name of the library
        )  # fmt: skip
        options = pool.connection_kwargs
        pool.connection_class(**options)  # it refuses unknown options, and does not connect yet
    except (ValueError, TypeError, exceptions.RedisError) as exc:
        text = re.sub(r".*unexpected keyword argument '(\w+)'", r"it has an unknown option, \1", str(exc)).rstrip(".")
        raise errors.Misconfigured(f"[storage] url is not the URL of a Redis server ({text})") from None
    if options.get("decode_responses"):
        raise errors.Misconfigured("[storage] url asks for decode_responses, but payloads are bytes: leave it out")
    for name in FILES:
        try:
            if file := options.get(name):
                Path(file).read_bytes()
        except OSError as exc:
            text = f"expected a readable file as {name} in [storage] url, found {file} ({exc.strerror})"
            raise errors.Misconfigured(f"{text}: give its full path") from None
    return pool


def shown(pool: ConnectionPool) -> str:
    """The address of the server, without user and password."""
    place = pool.connection_kwargs
    return str(place.get("path") or f"{place.get('host', 'localhost')}:{place.get('port', PORT)}")


def what_to_do(text: str) -> str:
    """What helps against a connection that cannot be made, for which the library says `text`."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "name the authority of its certificate by ssl_ca_certs in [storage] url"
    if "_ssl.c" in text:
        return f"start it, or correct {TLS}"
    return "start it, or correct [storage] url"
