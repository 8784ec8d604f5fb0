"""Two histories of one queue: what the one that lost the events does afterwards harms nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from duey import clock as engine_clock
from duey.model.event import Event
from duey.monitor.history import History, JobFilter, ownership
from duey.monitor.history.recording import recorder as recorder_module
from duey.monitor.history.recording.recorder import Recorder
from tests.contracts.rig import jobs
from tests.monitor.history.conftest import Settings


class Slow:
    """Does something between the commit of a batch and its deletion."""

    def __init__(self, lifecycle: Any, meanwhile: Callable[[], object]) -> None:
        self._lifecycle, self._meanwhile = lifecycle, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lifecycle, name)

    def delete_events(self, events: Sequence[Event], term: int = 0) -> None:
        self._meanwhile()
        self._lifecycle.delete_events(events, term)


@pytest.fixture
def open_history(tmp_path: Path) -> Iterator[Callable[[str], History]]:
    made: list[History] = []

    def open_it(name: str) -> History:
        made.append(History(f"sqlite:///{tmp_path / name / 'monitor.db'}", Settings(), engine_clock.now))
        return made[-1]

    yield open_it
    for each in made:
        each.close()


def take_over(storage: Any, history: History) -> None:
    storage.own_outbox(ownership.identity(history.database), history.database.where(), take_over=True)


def recorded(history: History) -> set[str]:
    return {row.job.id for row in history.job_rows(JobFilter(), 100).rows}


def test_of_two_histories_the_first_is_recorded(storage, open_history, monkeypatch):
    monkeypatch.setattr(recorder_module, "ELSEWHERE_S", 0.0)
    here, there = open_history("here"), open_history("there")
    first, second = (each.recorder(storage.lifecycle) for each in (here, there))
    storage.enqueue_jobs(jobs("ab"))
    first.turn()
    storage.enqueue_jobs(jobs("cd"))
    second.turn()
    assert not second.status.leading and second.status.problem is None and storage.counts().events == 2
    first.turn()
    assert (recorded(here), recorded(there)) == (set("abcd"), set())
    take_over(storage, there)
    storage.enqueue_jobs(jobs("ef"))
    for recorder in (first, second):
        recorder.turn()
    assert (recorded(here), recorded(there), storage.counts().events) == (set("abcd"), set("ef"), 0)


@pytest.mark.parametrize("dies", [False, True])
def test_what_was_committed_and_not_deleted_is_in_the_history_that_took_over(storage, open_history, dies):
    """The process stands still, or dies, between the commit and the deletion. Nothing is missing in the new owner."""
    here, there = open_history("here"), open_history("there")
    new: list[Recorder] = []

    def meanwhile() -> None:
        assert recorded(here) == set("ab"), "it is committed"
        take_over(storage, there)
        new.append(there.recorder(storage.lifecycle))
        new[0].turn()
        storage.enqueue_jobs(jobs("c"))
        if dies:
            raise SystemExit

    old = here.recorder(Slow(storage.lifecycle, meanwhile))
    storage.enqueue_jobs(jobs("ab"))
    if dies:
        with pytest.raises(SystemExit):
            old.turn()
        old = here.recorder(storage.lifecycle)
    for _ in range(3):
        old.turn()
    assert storage.counts().events == 1, "it deleted nothing"
    new[0].turn()
    assert (recorded(here), recorded(there), storage.counts().events) == (set("ab"), set("abc"), 0)


def test_a_file_that_is_made_anew_keeps_the_identity_and_a_second_history_has_another(open_history):
    here = open_history("here").database
    identity = ownership.identity(here)
    assert identity != ownership.identity(open_history("there").database) and len(identity) == 13
    here.path.unlink()
    assert ownership.identity(here) == identity
    here._set_aside()
    assert ownership.identity(open_history("here").database) == identity
    here.lease_path.unlink()
    assert ownership.identity(here) == identity, "the database has it"
    here.path.unlink()
    here.lease_path.unlink()
    assert ownership.identity(here) != identity


def test_a_history_that_is_removed_while_it_is_recorded_begins_anew(storage, open_history, monkeypatch):
    monkeypatch.setattr(recorder_module, "ASKING_S", 0.0)
    here, there = open_history("here"), open_history("there")
    first, second = here.recorder(storage.lifecycle), there.recorder(storage.lifecycle)
    first.turn()
    for file in here.database.path.parent.glob("monitor.db*"):
        file.unlink()
    for _ in range(2):  # the lock is gone, too
        first.turn()
    storage.enqueue_jobs(jobs("a"))
    second.turn()
    first.turn()
    assert (recorded(here), recorded(there)) == (set("a"), set())


def test_a_copy_of_a_history_says_so_and_records_nothing(storage, open_history):
    here = open_history("here")
    here.recorder(storage.lifecycle).turn()
    copy = open_history("copy").database
    copy.lease_path.parent.mkdir()
    copy.lease_path.write_bytes(here.database.lease_path.read_bytes())
    assert ownership.identity(copy) == ownership.identity(here.database)
    assert ownership.elsewhere(copy, storage.outbox_owner()).startswith("a copy of this history is recorded at ")
    assert ownership.elsewhere(here.database, storage.outbox_owner()) == ""
    storage.leave_outbox(storage.outbox_owner().term)
    assert ownership.elsewhere(copy, storage.outbox_owner()) == "", "it was moved there"
