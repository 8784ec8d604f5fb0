"""The URL of a Redis server: what it may say, and the connections that it leads to."""

from __future__ import annotations

import re
from pathlib import Path

from redis import exceptions
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from duey import errors

CONNECT_S = 2.0
IDLE_S = 30.0  # a connection that was idle for longer is checked by a command before it is used
FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS = ", ".join(FILES[:2]) + f" and {FILES[2]} in [storage] url"


def make_pool(url: str, answer_s: float) -> ConnectionPool:
    """Connections to this server, none of which is open yet. `answer_s`: the longest wait for an answer. Raises
    Misconfigured for a URL that no connection can be made of."""
    # A Unix socket has no peer that could vanish without a word, and refuses the option.
    keepalive = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        pool = ConnectionPool.from_url(
            url, protocol=2, socket_connect_timeout=CONNECT_S, socket_timeout=answer_s,
            health_check_interval=IDLE_S, retry=Retry(NoBackoff(), 0), **keepalive,
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
    return str(place.get("path") or f"{place.get('host', 'localhost')}:{place.get('port', 6379)}")


def what_to_do(text: str) -> str:
    """What helps against a connection that cannot be made, for which the library says `text`."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "name the authority of its certificate by ssl_ca_certs in [storage] url"
    if "_ssl.c" in text:
        return f"start it, or correct {TLS}"
    return "start it, or correct [storage] url"
