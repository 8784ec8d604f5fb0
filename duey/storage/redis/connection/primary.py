"""The primary: which one of several servers takes writes now.

Sentinels are asked one by one, because one that was cut off may name the former primary for a while: the answer with
the highest epoch counts. Without Sentinels each server is asked for its role. Nothing is written to a server whose role
is another one, whoever names it.
"""

from __future__ import annotations

import re
import time
from typing import Any

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from duey import errors
from duey.storage.redis.connection.address import Address, Place, parse, shown_place
from duey.storage.redis.connection.failures import RedisAway

ASK_S = 1.0  # longest wait for the answer of a Sentinel, or for a role
SKIP_S = 30.0  # for how long a Sentinel that did not answer is left out, while others do
IS_PRIMARY, IS_REPLICA = "master", "is a replica"


class Primary:
    """Finds the primary of an address that names several servers."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._clients: dict[str, Any] = {}
        self._skip_until: dict[Place, float] = {}  # monotonic
        self.place: Place | None = None  # where it was found the last time

    def find(self) -> Place:
        """Where it is. Raises RedisAway, or Misconfigured for a name that no Sentinel knows."""
        try:
            self.place = self._named() if self._address.master else self._by_role()
        except RedisAway:  # a queue does not stand still because its Sentinels do
            if self.place is None or self.role(self.place) != IS_PRIMARY:
                raise
        return self.place

    def has_moved(self) -> bool:
        """Whether the Sentinels name another server than the last time; without them, whether it is a replica now,
        which goes on answering what reads."""
        if self._address.master:
            return self._named() != self.place
        return self.place is not None and self.role(self.place) == IS_REPLICA  # one that is slow may be waited for

    def _named(self) -> Place:
        """The server that the Sentinels name."""
        now, found, failed = time.monotonic(), list[tuple[int, Place]](), dict[Place, str]()
        name = self._address.master
        asked = [place for place in self._address.places if now >= self._skip_until.get(place, now)]
        asked = asked or list(self._address.places)
        for place in asked:
            pipe = self._client(self._address.sentinel_at(place)).pipeline(transaction=False)
            pipe.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)  # during a failover it is the coming one
            pipe.execute_command("SENTINEL", "MASTER", name)
            try:
                address, state = pipe.execute(raise_on_error=False)
            except exceptions.RedisError as exc:
                failed[place] = why(exc)
                self._skip_until[place] = now + SKIP_S
                continue
            if isinstance(address, Exception):
                failed[place] = why(address)
            elif address and not isinstance(state, Exception):
                found.append((epoch_of(state), (text_of(address[0]), int(address[1]))))
        if found:
            return max(found)[1]
        if unknown := [place for place in asked if place not in failed]:
            raise errors.Misconfigured(
                f"the Sentinel at {shown_place(unknown[0])} knows no primary called {name!r}: "
                "correct the name after the hosts in [storage] url"
            )
        raise RedisAway(f"no Sentinel tells where {name} is ({listed(failed)}): start them, or correct [storage] url")

    def _by_role(self) -> Place:
        """The server whose role it is."""
        found = {place: self.role(place) for place in self._address.places}
        primaries = [place for place in found if found[place] == IS_PRIMARY]
        if len(primaries) == 1:
            return primaries[0]
        if self.place in primaries:
            return self.place
        if primaries:
            raise RedisAway(
                f"expected one primary among {self._address.shown}, found {' and '.join(map(shown_place, primaries))}: "
                "make all but one its replicas"
            )
        raise RedisAway(f"no server is a primary ({listed(found)}): start it, or correct [storage] url")

    def check(self, place: Place) -> None:
        """Raise RedisAway if it is not a primary, whoever named it."""
        if self._address.master and (role := self.role(place)) != IS_PRIMARY:
            raise RedisAway(
                f"the Sentinels name Redis at {shown_place(place)} as {self._address.master}, but it {role}: "
                "wait for the end of the failover, or start it"
            )

    def role(self, place: Place) -> str:
        """`master`, or what keeps the server from being used, as a verb."""
        try:
            role = text_of(self._client(self._address.at(place)).execute_command("ROLE")[0])
            return IS_REPLICA if role == "slave" else role
        except exceptions.NoPermissionError:  # it answers READONLY if it is none
            return IS_PRIMARY if self._address.master else "does not permit ROLE"
        except exceptions.RedisError as exc:
            return why(exc)

    def _client(self, url: str) -> Any:
        if url not in self._clients:
            self._clients[url] = client(url, ASK_S)
        return self._clients[url]

    def close(self) -> None:
        while self._clients:
            self._clients.popitem()[1].close()


def client(url: str, answer_s: float) -> Any:
    """A client of the library for one server."""
    # Once more, if the server has closed the connection in the meantime; not if it does not answer.
    once_more = Retry(NoBackoff(), 1, supported_errors=(exceptions.ConnectionError,))
    return Redis.from_url(url, protocol=2, socket_connect_timeout=ASK_S, socket_timeout=answer_s, retry=once_more)


def connected(url: str, answer_s: float) -> Any:
    """A client of the library for the server, or the present primary, of `[storage] url`. Raises RedisAway,
    Misconfigured."""
    address = parse(url)
    if not address.places:
        return client(url, answer_s)
    primary = Primary(address)
    try:
        place = primary.find()
        primary.check(place)
        return client(address.at(place), answer_s)
    finally:
        primary.close()


def why(exc: Exception) -> str:
    """What a server did instead of answering, as a verb."""
    text = re.sub(r"^Error -?\d+ connecting to \S+\. ", "", " ".join(str(exc).split())).rstrip(".")
    if isinstance(exc, exceptions.AuthenticationError):
        return f"refuses the login ({text})"
    if "unknown command" in text.lower():
        return "is no Sentinel"
    return "does not answer" if isinstance(exc, exceptions.TimeoutError) else f"cannot be used ({text})"


def listed(verbs: dict[Place, str]) -> str:
    return "; ".join(f"{shown_place(place)} {text}" for place, text in verbs.items())


def epoch_of(state: Any) -> int:
    """The epoch in the answer of SENTINEL MASTER: higher after each failover."""
    pairs = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
    return next((int(value) for name, value in pairs.items() if text_of(name) == "config-epoch"), 0)


def text_of(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
