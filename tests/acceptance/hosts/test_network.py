"""The tests' own network: what it does to packets, and that nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.acceptance.hosts.network import Network, ip, leftovers
from tests.acceptance.processes import ROOT, is_alive
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("namespaces")
LEAVE = """
import os, signal, subprocess, sys
from tests.acceptance.hosts.network import Network
host = Network().add("left")
command = ["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!; wait"]
shell = subprocess.Popen(command, preexec_fn=host.become, stdout=subprocess.PIPE)
print(int(shell.stdout.readline()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_host_has_a_name_and_a_network_of_its_own() -> None:
    network = Network()
    try:
        near, far = network.add("near"), network.add("far")
        name = subprocess.run(["uname", "-n"], preexec_fn=near.become, capture_output=True, text=True)
        assert name.stdout == "near\n"
        command = [sys.executable, "-m", "http.server", "80"]
        server = subprocess.Popen(command, preexec_fn=far.become, stderr=subprocess.DEVNULL)
        wait_until(lambda: far.reaches(far, 80), 30, "the server listens")
        for harm, works in ((lambda: None, True), (far.cut, False), (far.mend, True)):
            harm()
            assert near.reaches(far, 80) is works
        far.slow(0.05, 0.0)
        assert near.reaches(far, 80)
    finally:
        network.close()
    assert server.wait(10) == -signal.SIGKILL
    assert not any(network.prefix in line for line in ip("netns", "list").splitlines())


def test_what_a_killed_process_has_left_is_removed() -> None:
    killed = subprocess.run([sys.executable, "-c", LEAVE], cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(leftovers()) >= 2
    assert is_alive(int(killed.stdout)), "it has outlived the program that ended with the test"
    Network().close()
    assert not leftovers() and not is_alive(int(killed.stdout))
