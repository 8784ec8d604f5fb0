"""Ports for servers that tests start."""

import socket


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now. Start the server at once: another may take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
