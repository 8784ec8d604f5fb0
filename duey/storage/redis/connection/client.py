"""The client of one process: connections to the Redis server, scripts and errors.

Before the first use of the keys it checks the server (`preflight`). Scripts are sent by their SHA-1. Every error of the
library becomes a subclass of StorageUnavailable, whose `stored` is None if the command may have been executed. With
`again` a command is sent a second time if its answer was lost. With `durable` its answer is returned once `replicas`
replicas have what it changed, and everything before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from redis import exceptions
from redis.connection import Connection, ConnectionPool

from duey import clock, errors
from duey.storage.redis.connection import address, preflight
from duey.storage.redis.connection.connections import Connections
from duey.storage.redis.connection.failures import Demoted, NotReplicated, RedisAway, explain, is_demoted
from duey.storage.redis.connection.read_ahead import ReadAhead
from duey.storage.redis.connection.resp import command_of, packed, read_all, read_with_count, short_answer
from duey.storage.redis.connection.scripts import script

BLOCK_S = 5.0  # longest blocking wait at a list; below ANSWER_S, so that it does not look like a dead server
WAIT_S = 1.0  # longest wait for replicas
COMPARE_S = 10.0  # how often this host's clock is compared with the server's
LONGER = 1.5  # by how much a round trip may seem to grow from one comparison to the next


Reading = Callable[[Any], Any]  # reads what a connection answers


class Server:
    """The keys of one service on one server. All of them begin with `prefix`."""

    def __init__(self, url: str, prefix: str, replicas: int = 0) -> None:
        self.prefix, self.replicas = prefix, replicas
        self.url = url
        self.connections = Connections(url, self._left)
        self._starts: dict[str, bytes] = {}  # how a command begins that runs a script, by its name
        self._opened: preflight.Opened | None = None
        self._compare_at = 0.0  # monotonic
        self.round_trip_s = 0.0  # the shortest that was measured lately
        self.ahead = ReadAhead(self._ask_all)

    @property
    def pool(self) -> ConnectionPool:
        """The connections of this process. Raises as Connections.pool."""
        return self.connections.pool

    @property
    def address(self) -> str:
        """The address of the server, without user and password."""
        return self.connections.address

    def close(self) -> None:
        """Close the connections of this process. New ones are opened when needed."""
        self.connections.close()

    # commands

    def command(self, *words: Any, again: bool = True, durable: bool = False) -> Any:
        """Send one command and return its answer. `again`: it may be sent twice."""
        command = command_of(words)
        return self._replicated(command, again) if durable and self.replicas else self._send(command, again)

    def _send(self, command: bytes, again: bool) -> Any:
        if self.ahead.answers is not None:
            with suppress(KeyError):
                return self.ahead.answer(command)
        return self._ask(command, again)

    def _ask(self, command: bytes, again: bool, read: Reading = Connection.read_response) -> Any:
        try:
            return self._exchange(command, read=read)
        except RedisAway as exc:
            if not isinstance(exc, Demoted) and (not again or exc.stored is False):
                raise
            return self._exchange(command, read=read)

    def _ask_all(self, commands: Sequence[bytes]) -> list[Any]:
        """The answers of commands that change nothing, each of them or its error, in one round trip."""
        try:
            return self.explained(self._ask(b"".join(commands), True, partial(read_all, len(commands))))
        except errors.StorageUnavailable as exc:
            return [exc] * len(commands)

    def explained(self, answers: Sequence[Any]) -> list[Any]:
        """Answers with the errors of the library explained."""
        found = list(answers)
        for i, answer in enumerate(found):
            if isinstance(answer, exceptions.RedisError):
                found[i] = self.explain(answer, sent=True)
                found[i].__cause__ = answer
        return found

    def _exchange(self, command: bytes, short: bool = False, read: Reading = Connection.read_response) -> Any:
        pool, usable = self.connections.pool, False
        try:
            connection, fresh = self.connections.borrow(pool)
        except exceptions.RedisError as exc:
            raise self.lost(pool, exc, sent=False) from exc
        try:
            if short and fresh:
                answer = short_answer(connection, command)
            else:
                connection.send_packed_command([command])
                answer = read(connection)
            usable = True
            return answer
        except exceptions.ResponseError as exc:
            usable = True
            if self.connections.follow and is_demoted(exc):
                self.connections.leave(pool)
                raise Demoted(f"Redis at {address.shown(pool)} has become a replica: try again in a moment") from exc
            raise self.explain(exc, sent=True) from exc
        except exceptions.RedisError as exc:
            raise self.lost(pool, exc, sent=True) from exc
        finally:  # after a time-out or a signal the answer would be read by the next command
            self.connections.put_back(pool, connection, usable)

    def lost(self, pool: ConnectionPool, exc: exceptions.RedisError, sent: bool) -> errors.StorageUnavailable:
        """The error that says so. Other connections may be lost too."""
        error = self.explain(exc, sent)
        self.connections.lost(pool)
        return error

    def _left(self) -> None:
        """Whatever server is used next is checked as at the start."""
        self._opened = None

    def _replicated(self, command: bytes, again: bool) -> Any:
        """Send a command, and return its answer once the replicas have what it changed. Raises NotReplicated if too
        few of them have it within WAIT_S."""
        # WAIT concerns what was done before the last change of its own connection (of older servers: before the last
        # command), and the command changes nothing if an earlier attempt has done so.
        change = b"*3\r\n%b" % packed((b"SET", self.key("replicated"), 1))
        wait = change + b"*3\r\n%b" % packed((b"WAIT", self.replicas, int(WAIT_S * 1000)))
        answer, reached = self._ask(command + wait, again, read_with_count)
        if reached < self.replicas:
            self.connections.look()  # it may be a former primary
            raise NotReplicated(
                f"Redis at {self.address} has it, but only {reached} of the {self.replicas} replicas that [storage] "
                "replicas asks for, so it may run or be lost: see whether they run"
            )
        return answer

    def run(self, name: str, *arguments: Any, again: bool = False, durable: bool = False) -> Any:
        """Run the script `name` and return its answer. `again`: it may be sent twice."""
        send = self._replicated if durable and self.replicas else self._send
        return self._run(name, len(arguments), packed(arguments), lambda command: send(command, again))

    def run_short(self, name: str, count: int, arguments: bytes) -> Any:
        """The same for packed arguments, and a durable script whose answer is a number or nothing."""
        if self.replicas:
            return self._run(name, count, arguments, lambda command: self._replicated(command, False))
        return self._run(name, count, arguments, lambda command: self._exchange(command, True))

    def _run(self, name: str, count: int, arguments: bytes, send: Callable[[bytes], Any]) -> Any:
        now = time.monotonic()
        if now >= self.connections.look_at:
            self.connections.look()
        if self._opened is None:
            self.open()
        start = self._starts.get(name)
        if start is None:
            start = self._starts[name] = packed((b"EVALSHA", script(name).sha, 1, self.prefix))
        try:
            answer = send(b"*%d\r\n%b%b" % (4 + count, start, arguments))
            if now >= self._compare_at and not self.ahead.finding_out:
                with suppress(errors.StorageUnavailable):
                    self.compare_clocks()
            return answer
        except errors.StorageUnavailable as exc:
            if not isinstance(exc.__cause__, exceptions.NoScriptError):
                raise
        return send(b"*%d\r\n%b%b" % (4 + count, packed((b"EVAL", script(name).text, 1, self.prefix)), arguments))

    def key(self, name: str) -> str:
        """The full key for a KEY of duey.storage.redis.keys."""
        return f"{self.prefix}:{name}"

    def wait_at(self, name: str, timeout_s: float) -> bool:
        """Wait for an entry in a list and remove it. False if there was none within `timeout_s`, at most BLOCK_S. On
        Redis 5 it may last up to a second longer."""
        timeout_s = max(0.01, min(timeout_s, BLOCK_S))
        fractions = self.opened.version >= (6,)
        return (
            self.command(b"BLPOP", self.key(name), timeout_s if fractions else math.ceil(timeout_s), again=False)
            is not None
        )

    def compare_clocks(self) -> None:
        """Let this process go by the server's clock (duey.clock)."""
        self._compare_at = time.monotonic() + COMPARE_S

        def ask() -> float:
            began = time.monotonic()
            seconds, micros = self._exchange(b"*1\r\n$4\r\nTIME\r\n")
            took_s = time.monotonic() - began  # more where this process waits for its turn: so the shortest one counts
            self.round_trip_s = min(took_s, self.round_trip_s * LONGER or took_s)
            return int(seconds) + int(micros) / 1e6

        clock.compare(ask)

    # opening

    @property
    def opened(self) -> preflight.Opened:
        """The instance and the server's version."""
        return self._opened or self.open()

    def open(self) -> preflight.Opened:
        """Check that this server can be used, and create what must exist. Raises Misconfigured, SchemaMismatch."""
        with self.connections.lock:
            if self._opened is None:
                with self.connections.checking():
                    opened = preflight.open_keys(self)
                    if self.replicas:
                        self.command(b"WAIT", 0, 1)  # whether this user may
                self.compare_clocks()
                self._opened, self.connections.was_open = opened, True
            return self._opened

    def facts(self) -> preflight.Facts | None:
        """The server's INFO, None if this user has no permission to ask."""
        try:
            answer = self.command(b"INFO")
        except errors.StorageUnavailable as exc:
            if "NOPERM" in str(exc) or isinstance(exc.__cause__, exceptions.NoPermissionError):
                return None
            raise
        text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
        return preflight.Facts(dict(line.split(":", 1) for line in text.splitlines() if ":" in line))

    def open_script(self, *arguments: Any) -> Any:
        """Run open.lua, the only script that runs before the keys are open."""
        return self.command(b"EVAL", script("open").text, 1, self.prefix, *arguments)

    def explain(self, exc: exceptions.RedisError, sent: bool) -> errors.StorageUnavailable:
        """The error that says what happened and what to do. `sent`: the command may have been executed."""
        return explain(exc, self.address, self.prefix, sent)
