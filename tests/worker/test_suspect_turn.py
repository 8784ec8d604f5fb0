"""The turn of a poison suspect: one at a time in a consumer, whatever dies; the others wait only while it begins."""

from __future__ import annotations

import os
import subprocess

import pytest

from duey.storage.presence import Presence
from duey.worker import suspect_turn
from duey.worker.suspect_turn import ALONE_S, MOST_S, SuspectTurn, siblings_are_idle

HERE, THERE = os.getpid(), os.getppid()  # two processes that live


class Times:
    """Which process acts, and when."""

    def __init__(self, monkeypatch):
        self.now, self.pid = 1000.0, HERE
        monkeypatch.setattr(suspect_turn.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(suspect_turn.os, "getpid", lambda: self.pid)


@pytest.fixture
def times(monkeypatch):
    return Times(monkeypatch)


def taken(turn):
    """Take the turn as a process does that asks again and again."""
    turn.take()
    return turn.take()


def test_one_has_it_and_the_others_wait_only_while_it_begins(times):
    turn = SuspectTurn()
    assert taken(turn) == times.now
    assert not turn.holds_up(), "not itself"
    times.pid = THERE
    assert turn.holds_up() and taken(turn) is None
    times.pid = HERE
    turn.begin(5)
    times.pid = THERE
    assert turn.holds_up()
    times.now += ALONE_S
    assert not turn.holds_up() and taken(turn) is None, "other jobs begin, another suspect does not"
    turn.end()
    assert taken(turn) is None, "it is not its own"
    times.pid = HERE
    turn.end()
    times.pid = THERE
    assert taken(turn) is not None


@pytest.mark.parametrize(("deaths", "lasts_s"), [(2, 1.0), (3, 2.0), (7, 32.0), (29, MOST_S), (5000, MOST_S)])
def test_it_lasts_longer_with_each_death_and_then_another_one_begins(times, deaths, lasts_s):
    turn = SuspectTurn()
    assert taken(turn) is not None
    assert turn.begin(deaths) == times.now + lasts_s
    times.pid = THERE
    times.now += lasts_s - 0.1
    assert taken(turn) is None
    times.now += 0.2
    assert taken(turn) is not None


def test_it_ends_with_its_process_and_with_one_that_does_not_ask_any_more(times):
    turn = SuspectTurn()
    child = subprocess.Popen(["true"])
    child.wait()
    times.pid = child.pid
    assert taken(turn) is not None
    turn.begin(20)
    times.pid = HERE
    assert taken(turn) is not None, "its process has ended"
    times.pid = THERE
    times.now += 1.0
    assert not turn.holds_up() and taken(turn) is not None, "its process did not ask again"


def test_of_two_that_take_it_at_the_same_moment_one_has_it(times):
    turn = SuspectTurn()
    free = bytes(turn._state)
    turn.take()
    times.pid, turn._state[:] = THERE, free  # it had looked before
    turn.take()
    times.pid = HERE
    assert turn.take() is None
    times.pid = THERE
    assert turn.take() is not None


def test_a_sibling_is_a_process_of_the_same_parent_that_handles_a_job(tmp_path, monkeypatch):
    own, sibling = Presence(tmp_path, 1), Presence(tmp_path, 2)
    own.take(1 << 32)
    assert siblings_are_idle(tmp_path, 1)
    sibling.take(2 << 32)
    assert not siblings_are_idle(tmp_path, 1)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert siblings_are_idle(tmp_path, 1), "that of another consumer"
    own.close()
    sibling.close()
