"""Signals: handlers take no lock, a repetition is the same request, and a closed terminal is no reload."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest

from duey.os_process import PARENT_STOPS, SAME_REQUEST_S, Requests, StopFlag
from tests.support import rounds, wait_until

ROUNDS = rounds(5_000, soak=200_000)
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
# The main thread is inside of the flag almost always, and a lock there would not be free when a signal comes.
STORM = """
import os, signal, sys
from duey.os_process import StopFlag
flag = StopFlag()
flag.set_by(signal.SIGTERM)
print("ready", flush=True)
for _ in range(int(sys.argv[1])):
    flag.set()
    flag.wait(0.001)
    flag.clear()
os._exit(0)  # in its last moments Python has taken the handlers away
"""


@pytest.mark.soak
def test_a_storm_of_signals_does_not_lock_up_who_waits_for_them():
    process = subprocess.Popen([sys.executable, "-c", STORM, str(ROUNDS)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(TERM)
            time.sleep(0.0001)
        assert process.poll() == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


# A thread is amid a print that nobody reads when another one forks.
PRINTS = """
import fcntl, os, struct, sys, termios, threading, time
from duey.worker import stdio
stdio.install()
threading.Thread(target=lambda: print("x" * 200_000), daemon=True).start()
while struct.unpack("i", fcntl.ioctl(1, termios.FIONREAD, b"1234"))[0] < 65536:
    time.sleep(0.001)
pid = os.fork()
if not pid:
    sys.stdout.flush()
    os._exit(5)
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_forked_process_does_not_wait_for_what_another_thread_prints():
    process = subprocess.Popen([sys.executable, "-c", PRINTS], stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.wait(30) == 5
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_a_flag_wakes_all_who_wait_and_can_be_taken_back():
    flag = StopFlag()
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(flag.wait(60))) for _ in range(5)]
    for thread in threads:
        thread.start()
    flag.set()
    for thread in threads:
        thread.join(30)
    assert seen == [True] * 5
    assert flag.is_set() and flag.wait() and flag.wait(0)
    flag.clear()
    assert not flag.is_set() and not flag.wait(0.01)


def test_what_signals_ask():
    """(signals, of which "later" lets so much time pass that the next is no repetition) -> stop, reload, now."""
    table = {
        (TERM,): (True, False, False),
        (INT,): (True, False, False),
        (PARENT_STOPS,): (True, False, False),
        (HUP,): (False, True, False),
        (TERM, TERM): (True, False, False),
        (TERM, INT, TERM): (True, False, False),
        (HUP, HUP): (False, True, False),
        (HUP, TERM): (True, True, False),
        (TERM, HUP): (True, True, False),
        (TERM, "later", TERM): (True, False, True),
        (INT, "later", TERM): (True, False, True),
        (PARENT_STOPS, "later", TERM): (True, False, True),
        (TERM, "later", PARENT_STOPS): (True, False, False),
        (TERM, "later", HUP): (True, True, False),
        (HUP, "later", TERM): (True, True, False),
        (HUP, "later", TERM, "later", TERM): (True, True, True),
    }
    for signals, expected in table.items():
        requests = Requests()
        for signum in signals:
            if signum != "later":
                requests.note(signum)
            elif requests.stop_at is not None:
                requests.stop_at -= SAME_REQUEST_S + 0.1
        assert (requests.stop_at is not None, requests.reload, requests.now) == expected, signals


HUNG_UP = """
import signal, sys, time
from duey.os_process import Requests, StopFlag
requests, flag = Requests(), StopFlag()
flag.set_by(signal.SIGHUP, note=requests.note)
open(sys.argv[1], "w").write("ready")
flag.wait(60)
open(sys.argv[1], "w").write(f"stop {requests.stop_at is not None}, reload {requests.reload}")
"""


def test_a_hup_reloads_but_not_where_the_terminal_was_closed(tmp_path):
    said = tmp_path / "said"
    for close, expected in ((False, "stop False, reload True"), (True, "stop True, reload False")):
        said.unlink(missing_ok=True)
        pid, terminal = pty.fork()
        if pid == 0:
            os.execl(sys.executable, sys.executable, "-c", HUNG_UP, str(said))
        wait_until(lambda: said.exists() and said.read_text() == "ready", 30, "it listens")
        if close:
            os.close(terminal)
        else:
            os.kill(pid, HUP)
        wait_until(lambda want=expected: said.read_text() == want, 30, expected)
        os.waitpid(pid, 0)
        if not close:
            os.close(terminal)
