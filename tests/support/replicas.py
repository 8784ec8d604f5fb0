"""A primary of Redis, its replicas and the Sentinels that watch them: servers of the tests' own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import redis

from tests.support.redis_server import RedisServer
from tests.support.rounds import rounds
from tests.support.waiting import wait_until

NAME = "mymaster"
DOWN_MS = rounds(200, soak=1000)  # after which a Sentinel takes a server for dead


class Sentinel(RedisServer):
    """One Sentinel that watches the server at a port. Its file of settings is its own: it writes down there what it has
    learned."""

    def __init__(self, binary: str, folder: Path, port: int, quorum: int) -> None:
        super().__init__(binary, folder, [])
        self.before = [str(folder / "sentinel.conf"), "--sentinel"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sentinel.conf").write_text(
            f"sentinel monitor {NAME} 127.0.0.1 {port} {quorum}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}\n"
            f"sentinel failover-timeout {NAME} 2000\n"
        )


class Replicated:
    """`servers`: the first one is the primary at the start."""

    def __init__(self, servers: list[RedisServer], sentinels: list[Sentinel]) -> None:
        self.servers, self.sentinels = servers, sentinels

    @property
    def hosts(self) -> str:
        """The URL that names all servers."""
        return f"redis://{','.join(f'127.0.0.1:{each.port}' for each in self.servers)}/0"

    @property
    def url(self) -> str:
        """The URL that names all Sentinels."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.sentinels)}/{NAME}"

    def primary(self) -> RedisServer:
        """The server that all Sentinels name."""
        found = set()
        for sentinel in self.sentinels:
            with redis.Redis(port=sentinel.port, decode_responses=True) as client:
                found.add(int(client.sentinel_get_master_addr_by_name(NAME)[1]))
        (server,) = (each for each in self.servers if {each.port} == found)
        return server

    def in_order(self) -> bool:
        """Whether there is one primary, all others follow it, and the Sentinels know all of that."""
        with contextlib.suppress(redis.RedisError, ValueError):
            with redis.Redis(port=self.primary().port) as client:
                linked = client.info("replication")["connected_slaves"]
            for sentinel in self.sentinels:
                with redis.Redis(port=sentinel.port, decode_responses=True) as client:
                    (state,) = client.sentinel_masters().values()
                    known = state["num-slaves"], state["num-other-sentinels"]
                    down = [
                        each for each in client.sentinel_slaves(NAME) if each["is_sdown"] or each["is_disconnected"]
                    ]
                if known != (len(self.servers) - 1, len(self.sentinels) - 1) or down:
                    return False
            return bool(linked == len(self.servers) - 1)
        return False

    def fail_over(self) -> None:
        """Let the Sentinels make another server the primary, and return as soon as all of them say so."""
        former = self.primary()
        with redis.Redis(port=self.sentinels[0].port) as client, contextlib.suppress(redis.ResponseError):
            client.execute_command("SENTINEL", "FAILOVER", NAME)  # refused if one is under way: the machine is busy
        self.wait_for_another(former)

    def wait_for_another(self, former: RedisServer) -> None:
        def others() -> bool:
            with contextlib.suppress(ValueError, redis.RedisError):
                return self.primary() is not former
            return False

        wait_until(others, 30, "the Sentinels name another primary")


@contextlib.contextmanager
def replicated(
    binary: str, folder: Path, replicas: int = 1, sentinels: int = 3, options: Sequence[str] = ("--save", "")
) -> Iterator[Replicated]:
    """Start all of them. They end with the block. By default nothing is saved: then none may be started
    again, because Sentinels may make it the primary before it has got anything."""
    options = [*options, "--repl-diskless-sync-delay", "0"]
    with ExitStack() as running:
        primary = running.enter_context(RedisServer(binary, folder / "0", options))
        servers = [primary]
        for n in range(1, replicas + 1):
            follows = [*options, "--replicaof", f"127.0.0.1 {primary.port}"]
            servers.append(running.enter_context(RedisServer(binary, folder / str(n), follows)))
        watching = [
            running.enter_context(Sentinel(binary, folder / f"s{n}", primary.port, sentinels // 2 + 1))
            for n in range(sentinels)
        ]
        found = Replicated(servers, watching)
        wait_until(found.in_order if sentinels else lambda: linked(primary) == replicas, 30, "all servers are linked")
        yield found


def linked(server: RedisServer) -> int:
    with redis.Redis(port=server.port) as client:
        return sum(client.info("replication").get(f"slave{n}", {}).get("state") == "online" for n in range(9))
