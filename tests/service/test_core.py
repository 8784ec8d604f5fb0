"""The threads of the web keep to one core; what else the process starts has all of them."""

import os
import subprocess
import sys
import threading

import pytest

from service.core import one_core

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads keep to cores on Linux only")


def cores_of_a_new_thread() -> set[int]:
    found: set[int] = set()
    thread = threading.Thread(target=lambda: found.update(os.sched_getaffinity(0)))
    thread.start()
    thread.join()
    return found


def test_threads_started_within_keep_to_one_core_which_is_the_same_for_all():
    allowed = os.sched_getaffinity(0)
    with one_core():
        first, second = cores_of_a_new_thread(), cores_of_a_new_thread()
    assert first == second and len(first) == 1 and first <= allowed


def test_all_cores_are_back_afterwards_also_for_programs():
    allowed = os.sched_getaffinity(0)
    with pytest.raises(ValueError), one_core():
        raise ValueError
    assert os.sched_getaffinity(0) == cores_of_a_new_thread() == allowed
    said = subprocess.run([sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"], capture_output=True)
    assert int(said.stdout) == len(allowed)


def test_where_cores_cannot_be_chosen_threads_start_all_the_same(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    allowed = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with one_core():
        assert cores_of_a_new_thread() == allowed
