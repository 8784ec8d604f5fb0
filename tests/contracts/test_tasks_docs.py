"""Every example of docs/tasks.md, queues.md and workflows.md runs as it stands and does what the page says of it; every
option has one."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import duey
from duey import errors, os_process
from duey.control.service import Control
from duey.model.job import ENDED
from duey.payload import types
from duey.tasks.options import OPTIONS
from tests.contracts.rig import look, run_all, run_next, state
from tests.support import wait_until

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("tasks.md", "queues.md", "workflows.md")


def sections():
    """Heading to the code blocks below it."""
    found, heading = {}, ""
    text = "\n".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    for part in re.split(r"^(#+ .*)$", text, flags=re.M):
        if part.startswith("#"):
            heading = part.lstrip("# ")
        blocks = re.findall(r"^```python\n(.*?)^```$", part, flags=re.M | re.S)
        if blocks:
            found[heading] = blocks
    return found


SECTIONS = sections()


@pytest.fixture
def example(huey, monkeypatch):
    """Runs the examples of a section; what they defined."""
    monkeypatch.setattr(duey, "huey", huey)

    def run(heading):
        names = {"__name__": "tasks"}
        for block in SECTIONS[heading]:
            exec(compile(block, f"the docs, {heading}", "exec"), names)
        return SimpleNamespace(**names)

    return run


def jobs_of(huey, task=None):
    """The jobs, oldest first, of one task (its short name) or of all."""
    rows = huey.storage.list_jobs(None, None, None, 100, None)[::-1]
    return [row for row in rows if task is None or row.task == f"tasks.{task}"]


def waits(huey, clock, job_id):
    """The seconds between the attempts of a job that always fails."""
    found = []
    while True:
        run_all(huey)
        if state(huey.storage, job_id) != "retrying":
            return found
        found.append(look(huey.storage, job_id).eta - clock.at)
        clock.at = look(huey.storage, job_id).eta


def test_every_option_has_an_example():
    named = {name for heading in SECTIONS for name in re.findall(r"`(\w+)`", heading)}
    assert set(OPTIONS) - {"timetable"} <= named  # what the decorator of a schedule hands on by itself


def test_every_example_is_checked_here():
    source = Path(__file__).read_text(encoding="utf-8")
    unchecked = [heading for heading in SECTIONS if f'example("{heading}")' not in source]
    assert unchecked == []


def test_define_and_call(example, huey):
    page = example("Define and call")
    assert run_all(huey) == ["hello Ana, hello Ana"]
    assert page.handle.get() == "hello Ana, hello Ana"


def test_arguments(example, huey, monkeypatch):
    monkeypatch.setitem(sys.modules, "tasks", ModuleType("tasks"))  # dataclasses look there
    monkeypatch.delitem(types._by_name, "tasks.Order", raising=False)  # of the run on the other storage
    example("Arguments")
    assert run_all(huey) == ["order 7 is due on 31 January"]


def test_options_of_a_call(example, huey):
    example("Options of a call")
    first, second, third = jobs_of(huey)
    assert 55 < first.eta - time.time() < 65  # Huey looks at the real clock
    assert (second.priority, third.queue) == (10, "slow")
    assert run_all(huey) == ["/urgent", "/other"]


def test_results(example, huey):
    page = example("Results")
    assert page.report() == [None]
    run_all(huey)
    assert page.report() == page.report() == [0.5, "ZeroDivisionError"]
    assert huey.result(page.half.id) == 0.5 and page.half.is_ready()


def test_pipelines(example, huey):
    page = example("Pipelines")
    run_all(huey)
    assert page.results.get(blocking=True) == [1, 11, 111]


def test_error_handlers(example, huey):
    page = example("Error handlers")
    run_all(huey)
    (seen,) = page.seen
    assert seen.startswith("order 7: ") and "the bank is closed" in seen


def test_groups(example, huey):
    page = example("Groups")
    run_all(huey)
    assert page.results.get(blocking=True) == [0, 1, 4, 9]


def test_chords(example, huey):
    page = example("Chords")
    run_all(huey)
    assert page.result.get(blocking=True) == "30 words on 2 of 3 pages"
    with pytest.raises(duey.TaskException, match="no such page"):
        page.result.results.get()


def test_maps(example, huey):
    page = example("Maps")
    run_all(huey)
    assert page.results.get(blocking=True) == [2, 4, 12]


def test_calls_for_later(example, huey, storage, later):
    page = example("Calls for later")
    assert run_all(huey) == []
    later(61)
    assert run_all(huey) == ["tea"]
    later(10 * 366 * 86400)
    assert run_all(huey) == [None]
    assert state(storage, page.later.id) == "canceled"


def test_locks(example, huey):
    page = example("Locks")
    with huey.lock_task("rebuild"):
        run_all(huey)
        assert page.busy == [] and jobs_of(huey)[0].state not in ENDED


def test_retries(example, huey, clock):
    example("`retries`, `retry_delay`, `retry_backoff`")
    plain, important = jobs_of(huey)
    assert waits(huey, clock, plain.id) == [10, 20, 40]
    assert important.retries == 10


def test_backoff(example, huey, clock):
    page = example("`backoff`")
    (charge,), (ask,), (deliver,) = (jobs_of(huey, name) for name in ("charge", "ask", "deliver"))
    run_all(huey)
    assert look(huey.storage, ask.id).eta == clock.at + 60
    assert clock.at + 1 <= look(huey.storage, charge.id).eta <= clock.at + 2
    assert deliver.retries == 25
    assert page.charge.task_class.policy.backoff(7, OSError()) <= 600


def test_retry_on(example, huey, storage):
    example("`retry_on`, `discard_on`")
    run_all(huey)
    assert state(storage, jobs_of(huey)[0].id) == "failed"
    assert storage.read_events(10)[-1].detail["reason"] == "discarded: discard_on names FileNotFoundError"


def test_retry_for(example, huey, clock):
    example("`retry_for`")
    assert waits(huey, clock, jobs_of(huey)[0].id) == [600] * 6


def test_retry_and_discard(example, huey, storage):
    example("`Retry`, `Discard`")
    run_all(huey)
    assert [state(storage, job.id) for job in jobs_of(huey)] == ["done", "retrying", "failed"]
    assert jobs_of(huey)[1].retries == 5


def test_on_failed(example, huey):
    page = example("`on_failed`")
    run_all(huey)
    assert page.told == ["report(5,) failed after 2 attempts: no figures"]


def test_on_crash(example, huey, hire):
    example("`on_crash`")
    hand = hire()
    hand.begin(hand.claim_one())
    hand.die()
    huey.storage.reap(hand.dead(), 3)
    assert jobs_of(huey)[0].state == "failed"


def test_timeout(example, huey, storage):
    example("`timeout`")
    run_all(huey)
    assert [(job.state, job.attempt) for job in jobs_of(huey)] == [("failed", 3)]
    assert storage.read_events(10)[-1].detail["type"] == "TaskTimeout"


def test_unique(example, huey):
    example("`unique`")
    assert run_all(huey) == ["rebuilt names", "rebuilt places"]


def test_unique_key(example, huey):
    example("`unique_key`")
    assert run_all(huey) == ["pay", "pay"]


def test_unique_scope(example, huey, clock):
    page = example("`unique_scope`")
    run_all(huey)
    assert page.alert("shop").id == jobs_of(huey)[0].id
    clock.advance(600)
    assert page.alert("shop").id != jobs_of(huey)[0].id


def test_unique_conflict(example, huey, storage, later):
    page = example("`unique_conflict`")
    assert [job.state for job in jobs_of(huey)] == ["canceled"] * 3 + ["scheduled"]
    later(3)
    assert run_all(huey) == ["hello"]
    assert page.last.get() == "hello"
    refusing = huey.task(unique=True, unique_conflict="raise", name="refusing")(lambda: None)
    refusing()
    with pytest.raises(errors.UniqueConflict):
        refusing()


def test_limit(example, huey, hire):
    example("`limit`")
    assert len(hire().claim(5)) == 2
    assert [job.reason for job in jobs_of(huey)[2:]] == ["limit tasks.convert"] * 3


def test_rate(example, huey, clock):
    example("`rate`")
    assert len(run_all(huey)) == 3
    clock.advance(20)
    assert run_all(huey) == ["called /pages/3"]


def test_queue(example, huey):
    example("`queue`")
    assert [job.queue for job in jobs_of(huey)] == ["slow", "slower"]


def test_current_job(example, huey):
    example("`current_job`")
    assert run_all(huey) == ["attempt 1, 1 left"]


def test_context(example, huey):
    example("`context`")
    assert run_all(huey) == [None, "ana", "ben"]


def test_progress(example, huey):
    example("`progress`")
    run_all(huey)
    progress = Control(huey).jobs().jobs[0].progress
    assert progress == {"done": 3, "total": 3, "note": "counting"}


def test_canceled(example, huey, storage):
    page = example("`canceled`, `check_canceled`")
    assert run_next(huey) == 6

    class Stopping(list):
        def __iter__(self):
            storage.cancel(duey.current_job().id)
            return iter([1])

    huey.task(name="stopping")(lambda: page.crunch.func(Stopping()))()
    run_all(huey)
    assert jobs_of(huey)[-1].state == "canceled"


def test_checkpoint(example, huey):
    example("`checkpoint`")
    assert run_all(huey) == [None, 5]


def test_resume(example, huey):
    page = example("`resume`")
    run_all(huey)
    assert page.stored == ["a", "b", "c", "d"]
    assert Control(huey).jobs().jobs[0].progress == {"done": 4, "total": 4, "note": ""}


def test_on_worker_start(example, huey, monkeypatch):
    monkeypatch.setattr(os_process, "_at_start", [])
    page = example("`on_worker_start`")
    run_all(huey)
    assert page.sent == []
    assert os_process.run_at_start()
    wait_until(lambda: page.sent == ["hello"], 30, "the thread of the worker has sent it")


def test_keep_for(example, huey, storage, clock):
    example("`keep_for`")
    run_all(huey)
    storage.delete_events(storage.read_events(10))
    clock.advance(60)
    storage.run_maintenance()
    assert jobs_of(huey) == []
