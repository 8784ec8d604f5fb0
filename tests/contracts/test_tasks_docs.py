"""Every example of docs/tasks.md, queues.md and workflows.md runs as it stands and does what the page says of it; every
option has one."""

from __future__ import annotations

import logging
import re
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import duey
from duey import errors, os_process
from duey.control.service import Control
from duey.execution.body.job_log import Stdout, job_log_handler
from duey.model.job import ENDED
from duey.payload import types
from duey.tasks.options import OPTIONS
from tests.contracts.rig import look, run_all, run_next, state
from tests.support import rounds, wait_until

BACKENDS = rounds(["sqlite"], soak=["sqlite", "redis"])
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
# Those of which enough is said by what their jobs return ...
RETURNED = {
    "Define and call": ["hello Ana, hello Ana"],
    "Arguments": ["order 7 is due on 31 January"],
    "`unique`": ["rebuilt names", "rebuilt places"],
    "`unique_key`": ["pay", "pay"],
    "`current_job`": ["attempt 1, 1 left"],
    "`context`": [None, "ana", "ben"],
    "`checkpoint`": [None, 5],
    "`max_memory_mb`": ["page 7"],
}
# ... and by what is to be seen once they have run.
SEEN = {
    "Define and call": (lambda page, jobs: page.handle.get(), "hello Ana, hello Ana"),
    "Pipelines": (lambda page, jobs: page.results.get(blocking=True), [1, 11, 111]),
    "Groups": (lambda page, jobs: page.results.get(blocking=True), [0, 1, 4, 9]),
    "Maps": (lambda page, jobs: page.results.get(blocking=True), [2, 4, 12]),
    "`retry_on`, `discard_on`": (
        lambda page, jobs: (jobs[0].state, jobs[0].error.type), ("failed", "FileNotFoundError")),
    "`Retry`, `Discard`": (
        lambda page, jobs: ([job.state for job in jobs], jobs[1].retries_left), (["done", "retrying", "failed"], 5)),
    "`on_failed`": (lambda page, jobs: page.failures, ["report(5,) failed after 2 attempts: no figures"]),
    "`timeout`": (lambda page, jobs: (jobs[0].attempt, jobs[0].error.type), (3, "TaskTimeout")),
    "`aliases`": (lambda page, jobs: (jobs[0].task, jobs[0].result), ("charge", "order 7 is paid")),
    "`queue`": (lambda page, jobs: [job.queue for job in jobs], ["slow", "slower"]),
    "`progress`": (lambda page, jobs: jobs[0].progress, {"done": 3, "total": 3, "note": "counting"}),
    "`resume`": (
        lambda page, jobs: (page.stored, jobs[0].progress),
        (["a", "b", "c", "d"], {"done": 4, "total": 4, "note": ""}),
    ),
}  # fmt: skip


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
    return [row for row in rows if task is None or row.job.task == f"tasks.{task}"]


def waits(huey, clock, job_id):
    """The seconds between the attempts of a job that always fails."""
    found = []
    while True:
        run_all(huey)
        if state(huey.storage, job_id) != "retrying":
            return found
        found.append(look(huey.storage, job_id).job.eta - clock.at)
        clock.at = look(huey.storage, job_id).job.eta


def test_every_option_has_an_example_and_every_example_is_checked_here():
    named = {name for heading in SECTIONS for name in re.findall(r"`(\w+)`", heading)}
    assert set(OPTIONS) - {"timetable"} <= named  # what the decorator of a schedule hands on by itself
    source = Path(__file__).read_text(encoding="utf-8")
    unchecked = [each for each in SECTIONS if f'example("{each}")' not in source and each not in {*RETURNED, *SEEN}]
    assert unchecked == []


@pytest.mark.parametrize("heading", {**RETURNED, **SEEN})
def test_what_an_example_comes_to(example, huey, monkeypatch, heading):
    monkeypatch.setitem(sys.modules, "tasks", ModuleType("tasks"))  # dataclasses look there
    monkeypatch.delitem(types._by_name, "tasks.Order", raising=False)  # of the run on the other storage
    page = example(heading)
    returned = run_all(huey)
    assert returned == RETURNED.get(heading, returned)
    if heading in SEEN:
        look_at, expected = SEEN[heading]
        control = Control(huey)
        assert look_at(page, [control.job(each.job.id) for each in jobs_of(huey)]) == expected


def test_options_of_a_call(example, huey):
    example("Options of a call")
    first, second, third = jobs_of(huey)
    assert 55 < first.job.eta - time.time() < 65  # Huey looks at the real clock
    assert (second.job.priority, third.job.queue) == (10, "slow")
    assert run_all(huey) == ["/urgent", "/other"]


def test_results(example, huey):
    page = example("Results")
    assert page.report() == [None]
    run_all(huey)
    assert page.report() == page.report() == [0.5, "ZeroDivisionError"]
    assert huey.result(page.half.id) == 0.5 and page.half.is_ready()


def test_error_handlers(example, huey):
    page = example("Error handlers")
    run_all(huey)
    (seen,) = page.seen
    assert seen.startswith("order 7: ") and "the bank is closed" in seen


def test_chords(example, huey):
    page = example("Chords")
    run_all(huey)
    assert page.result.get(blocking=True) == "30 words on 2 of 3 pages"
    with pytest.raises(duey.TaskException, match="no such page"):
        page.result.results.get()


def test_calls_for_later(example, huey, storage, later):
    page = example("Calls for later")
    assert run_all(huey) == []
    later(61)
    assert run_all(huey) == ["tea"]
    later(10 * 366 * 86400)
    assert run_all(huey) == [None] and state(storage, page.later.id) == "canceled"


def test_locks(example, huey):
    page = example("Locks")
    with huey.lock_task("rebuild"):
        run_all(huey)
        assert page.busy == [] and jobs_of(huey)[0].state not in ENDED


def test_retries(example, huey, clock):
    example("`retries`, `retry_delay`, `retry_backoff`")
    plain, important = jobs_of(huey)
    assert waits(huey, clock, plain.job.id) == [10, 20, 40]
    assert important.job.retries == 10


def test_backoff(example, huey, clock):
    page = example("`backoff`")
    (charge,), (ask,), (deliver,) = (jobs_of(huey, name) for name in ("charge", "ask", "deliver"))
    run_all(huey)
    assert look(huey.storage, ask.job.id).job.eta == clock.at + 60
    assert clock.at + 1 <= look(huey.storage, charge.job.id).job.eta <= clock.at + 2
    assert deliver.job.retries == 25 and page.charge.task_class.policy.backoff(7, OSError()) <= 600


def test_accepts(example, huey):
    page = example("`accepts`")
    of_before = huey.new_job(page.pay.task_class((8, 5), {}), follows=True)
    huey.lifecycle.enqueue_jobs([of_before])
    assert run_all(huey) == ["500 cents for order 7", "500 cents for order 8"]


def test_retry_for(example, huey, clock):
    example("`retry_for`")
    assert waits(huey, clock, jobs_of(huey)[0].job.id) == [600] * 6


def test_on_crash(example, huey, hire):
    example("`on_crash`")
    hire().die_running()
    assert jobs_of(huey)[0].state == "failed"


def test_rate(example, huey, clock):
    example("`rate`")
    assert len(run_all(huey)) == 3
    clock.advance(20)
    assert run_all(huey) == ["called /pages/3"]


def test_unique_scope(example, huey, clock):
    page = example("`unique_scope`")
    run_all(huey)
    assert page.alert("shop").id == jobs_of(huey)[0].job.id
    clock.advance(600)
    assert page.alert("shop").id != jobs_of(huey)[0].job.id


def test_unique_conflict(example, huey, later):
    page = example("`unique_conflict`")
    assert [job.state for job in jobs_of(huey)] == ["canceled"] * 3 + ["scheduled"]
    later(3)
    assert run_all(huey) == [page.last.get()] == ["hello"]
    refusing = huey.task(unique=True, unique_conflict="raise", name="refusing")(lambda: None)
    refusing()
    with pytest.raises(errors.UniqueConflict):
        refusing()


def test_limit(example, huey, hire):
    example("`limit`")
    assert len(hire().claim(5)) == 2
    assert [job.reason for job in jobs_of(huey)[2:]] == ["limit tasks.convert"] * 3


def test_canceled(example, huey, storage):
    page = example("`canceled`, `check_canceled`")
    assert run_next(huey) == 6

    class Stopping(list):
        def __iter__(self):
            storage.lifecycle.cancel(duey.current_job().id)
            return iter([1])

    huey.task(name="stopping")(lambda: page.crunch.func(Stopping()))()
    run_all(huey)
    assert jobs_of(huey)[-1].state == "canceled"


def test_on_worker_start(example, huey, monkeypatch):
    monkeypatch.setattr(os_process, "_at_start", [])
    page = example("`on_worker_start`")
    run_all(huey)
    assert page.sent == [] and os_process.run_at_start()
    wait_until(lambda: page.sent == ["hello"], 30, "the thread of the worker has sent it")


def test_alert(example, huey):
    page = example("`alert`")
    run_all(huey)
    (failed,) = jobs_of(huey)
    assert failed.state == "failed" and page.charge.task_class.alert == "each"


def test_a_runbook_where_the_code_is(example, huey):
    example("A runbook where the code is")
    run_all(huey)
    (failed,) = jobs_of(huey)
    control = Control(huey)
    assert failed.state == "failed" and control.runbook("import_orders").startswith("1. Look whether the shop")
    assert control.task("import_orders").runbook == control.runbook("tasks.import_orders")
    assert control.runbook("none") == ""


def test_ping(example, huey):
    assert example("`ping`").nightly.task_class.ping.startswith("https://hc-ping.com/")  # test_pings sends some


def test_log_lines(example, huey, storage, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(logging.root, "handlers", [*logging.root.handlers, job_log_handler])
    monkeypatch.setattr(sys, "stdout", Stdout(sys.stdout, everywhere=False))
    example("Log lines and `capture_print`")
    run_all(huey)
    (done,) = [each.detail["logs"] for each in storage.lifecycle.read_events(10) if each.kind == "done"]
    printed = [["PRINT", "converting a.png"], ["PRINT", "converting b.png"]]
    assert [line[1:] for line in done] == [*printed, ["INFO", "2 files converted"]]


def test_keep_for(example, huey, storage, clock):
    example("`keep_for`")
    run_all(huey)
    storage.delete_events(storage.lifecycle.read_events(10))
    clock.advance(60)
    storage.lifecycle.run_maintenance()
    assert jobs_of(huey) == []
