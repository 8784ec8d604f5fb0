"""Hosts of a test's own: network namespaces around a switch. The switch is in a namespace too, so nothing is added to
the machine's own network.

Their names carry the pid of the process that made them. `close` kills what runs in them and removes them; what a killed
process has left is removed by the next one that makes a network.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.acceptance.hosts.wire import Wire
from tests.support.apt import TOOLS, find_or_install
from tests.support.redis_server import die_with_parent
from tests.support.waiting import wait_until

NAMED = Path("/run/netns")
NAME = re.compile(r"duey-(\d+)-\d+-\w+")
CLONE_NEWUTS, CLONE_NEWNET = 0x04000000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


@cache
def find_namespaces() -> tuple[bool, str]:
    """Whether namespaces can be made here, and the sentence to say where they cannot."""
    if os.geteuid() != 0:
        return False, "expected root, who may make network namespaces, found another user; run these as root."
    path, sentence = find_or_install(*TOOLS["namespaces"])
    if path is None:
        return False, sentence
    name = f"duey-{os.getpid()}-0-probe"
    made = subprocess.run([path, "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        found = made.stderr.strip()
        return False, f"expected the right to make network namespaces, found: {found}; use a privileged container."
    ip("netns", "delete", name)
    return True, ""


def ip(*words: str) -> str:
    program = shutil.which("ip", path=os.environ.get("PATH", os.defpath) + os.pathsep + "/usr/sbin")
    done = subprocess.run([str(program), *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"
    return done.stdout


def remove(name: str) -> None:
    """End what runs in a namespace, and remove it. With it go its interfaces and their other ends."""
    for pid in ip("netns", "pids", name).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: not ip("netns", "pids", name).split(), 30, f"all processes in {name} have ended")
    ip("netns", "delete", name)


def leftovers() -> list[str]:
    """The namespaces whose maker is dead."""
    return [name for name in _made() if (found := NAME.fullmatch(name)) and not Path("/proc", found[1]).exists()]


def _made() -> list[str]:
    return [each.name for each in NAMED.iterdir()] if NAMED.exists() else []


class Network:
    """The switch, and the hosts that were added to it."""

    def __init__(self) -> None:
        for name in leftovers():
            remove(name)
        self.prefix = f"duey-{os.getpid()}-{next(_numbers)}"
        self._switch = f"{self.prefix}-switch"
        self.hosts: list[Host] = []
        ip("netns", "add", self._switch)
        ip("-n", self._switch, "link", "add", "name", "switch", "type", "bridge")
        ip("-n", self._switch, "link", "set", "switch", "up")

    def add(self, name: str) -> Host:
        host = Host(name, f"{self.prefix}-{name}", self._switch, f"10.77.0.{len(self.hosts) + 1}")
        self.hosts.append(host)
        return host

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        for name in _made():
            if name.startswith(f"{self.prefix}-"):
                remove(name)


class Host:
    """A host with an address and a name of its own. Its files are in folders of the test's."""

    def __init__(self, name: str, namespace: str, switch: str, address: str) -> None:
        self.name, self.namespace, self.address, self._switch = name, namespace, address, switch
        self._wire: Wire | None = None
        self._port = name  # the interface of the switch that leads here
        ip("netns", "add", namespace)
        self._fd = os.open(NAMED / namespace, os.O_RDONLY | os.O_CLOEXEC)
        ip("-n", switch, "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("-n", switch, "link", "set", "dev", name, "master", "switch", "up")
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        for interface in ("lo", "eth0"):
            ip("-n", namespace, "link", "set", "dev", interface, "up")

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
        os.close(self._fd)

    # being there

    def inside(self) -> contextlib.AbstractContextManager[None]:
        """Sockets that this thread makes meanwhile are this host's, and stay it."""
        return _inside(self._fd)

    def become(self) -> None:
        """Let this process, which is about to become a program, run here, and end with the test (for preexec_fn)."""
        _enter(self._fd)
        if _libc.unshare(CLONE_NEWUTS):
            raise OSError(ctypes.get_errno(), "unshare")
        socket.sethostname(self.name)
        die_with_parent()

    def reaches(self, other: Host, port: int) -> bool:
        """Whether a connection from here to a port of another host (or this one) is accepted within a second."""
        with self.inside(), contextlib.suppress(OSError), socket.create_connection((other.address, port), 1):
            return True
        return False

    # harm

    def cut(self) -> None:
        """Nothing arrives and nothing leaves any more, without a word: as if a cable behind the switch were cut."""
        ip("-n", self._switch, "link", "set", "dev", self._port, "nomaster")

    def mend(self) -> None:
        ip("-n", self._switch, "link", "set", "dev", self._port, "master", "switch")

    def slow(self, delay_s: float, loss: float) -> None:
        """From here on each packet to and from this host takes `delay_s` / 2, and this share of them is lost."""
        self.cut()
        near, far = f"{self.name}-a", f"{self.name}-b"
        ip("-n", self._switch, "link", "add", "name", near, "type", "veth", "peer", "name", far)
        ip("-n", self._switch, "link", "set", "dev", near, "up")
        ip("-n", self._switch, "link", "set", "dev", far, "up")
        switch = os.open(NAMED / self._switch, os.O_RDONLY | os.O_CLOEXEC)
        with _inside(switch):
            self._wire = Wire(self.name, near, delay_s / 2, loss)
        os.close(switch)
        self._port = far
        self.mend()


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def _inside(namespace: int) -> Iterator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _enter(namespace)
    try:
        yield
    finally:
        _enter(home)
        os.close(home)
