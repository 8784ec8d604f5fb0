"""Two hosts on one Redis, each with a web and a history of its own: one of them is recorded, the other one says so."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from duey import config
from duey.model.job import ENDED
from duey.monitor.history import History, JobFilter
from tests.acceptance.conftest import Make
from tests.acceptance.deployment import Deployment
from tests.acceptance.harm import SEED
from tests.acceptance.variants import redis_only
from tests.support import rounds, wait_until

pytestmark = redis_only
COUNT = 40


def recorded(host: Deployment) -> set[str]:
    """The ids of the jobs whose end is in the history of a host."""
    settings = config.load(host.config, environ={})
    history = History(settings.monitor.database, settings.monitor)
    found, cursor = set(), ""
    while cursor is not None:
        page = history.job_rows(JobFilter(), 500, cursor or None)
        found |= {row.job.id for row in page.rows if row.job.state in ENDED}
        cursor = page.next
    history.close()
    return found


def two_hosts(make: Make) -> tuple[Deployment, Deployment]:
    first, second = make(), make()
    second.configure({"storage": {"name": first._settings["storage"]["name"]}})
    return first, second


def run(host: Deployment, numbers: range) -> set[str]:
    """Run some jobs; their ids, once all of them are recorded somewhere."""
    jobs: list[Any] = [host.tasks.note(n) for n in numbers]
    ids = {job.id for job in host.wait_ended(jobs)}
    wait_until(lambda: host.control.counts().events == 0, 30, "nothing waits for a history")
    return ids


def test_one_host_records_and_the_other_one_says_so(make: Make) -> None:
    first, second = two_hosts(make)
    web = first.app("--web")
    first.consumer(1)
    wait_until(lambda: first.control.storage.outbox_owner() is not None, 30, "the first history is recorded")
    other = second.app("--web")
    other.says("nothing is recorded here: the history of this queue is recorded at")
    mine = run(first, range(COUNT))
    assert (recorded(first), recorded(second)) == (mine, set())
    assert len(first.ledger.runs()) == COUNT

    answer = second.client().get("/readyz")
    assert answer.status == 503 and str(first.folder / "data" / "monitor.db") in str(answer.body)
    assert first.client().get("/readyz").status == 200
    _, sentence = second.manage("record", code=1)
    assert str(first.folder) in sentence and "duey record --take-over" in sentence and "\n" not in sentence.strip()
    for command in ("jobs", "errors"):
        assert "warning: the history of this queue is recorded at" in second.manage(command)[1]
        assert "warning" not in first.manage(command)[1]
    out, _ = second.manage("status")
    assert "warning: the history of this queue is recorded at" in out

    os.kill(web.pid, signal.SIGSTOP)  # wherever it is
    out, _ = second.manage("record", "--take-over")
    assert f"{first.folder}/data/monitor.db holds until now stays there" in out
    other.says("what happens to jobs is recorded from now on, here at")
    more = run(first, range(COUNT, 2 * COUNT))
    os.kill(web.pid, signal.SIGCONT)
    web.says("nothing is recorded here: the history of this queue is recorded at")
    last = run(first, range(2 * COUNT, 3 * COUNT))
    assert recorded(second) == more | last
    assert recorded(first) == mine, "what was recorded before stays where it is"
    assert len(first.ledger.runs()) == 3 * COUNT
    assert web.err.count("nothing is recorded here") == other.err.count("nothing is recorded here") == 1
    for host, status in ((first, 503), (second, 200)):
        wait_until(lambda host=host, status=status: host.client().get("/readyz").status == status, 30, "/readyz knows")


def test_a_history_stays_the_owner_through_a_kill_and_through_the_loss_of_its_file(make: Make) -> None:
    first, second = two_hosts(make)
    web = first.app("--web")
    first.consumer(1)
    before = run(first, range(COUNT))
    web.kill_tree()
    other = second.app("--web")
    other.says("nothing is recorded here")
    jobs = [first.tasks.note(n) for n in range(COUNT, 2 * COUNT)]
    after = {job.id for job in first.wait_ended(jobs)}
    for file in Path(first.folder, "data").glob("monitor.db"):
        file.unlink()
    web = first.app("--web")
    wait_until(lambda: first.control.counts().events == 0, 30, "nothing waits for a history")
    assert (recorded(first), recorded(second)) == (after, set())
    assert "nothing is recorded here" not in web.err and before


@pytest.mark.soak
def test_whoever_takes_over_misses_nothing_whatever_the_former_owner_does(make: Make) -> None:
    """The web that records is killed or stopped at any moment, and the other host takes over; then it comes back."""
    hosts, rng, count = two_hosts(make), random.Random(SEED), rounds(1, soak=25)
    webs = {host: host.app("--web") for host in hosts}
    hosts[0].consumer(2)
    tasks, jobs, over = hosts[0].tasks, [], threading.Event()

    def produce() -> None:
        while not over.wait(rng.uniform(0, 0.02)):
            jobs.append(tasks.note(len(jobs)))

    def hand_over(owner: Deployment, other: Deployment, number: int) -> None:
        before, is_killed = len(jobs), rng.random() < 0.5
        wait_until(lambda: len(jobs) > before + 20, 30, "it records while jobs come")
        if is_killed:
            webs[owner].kill()
        else:
            os.kill(webs[owner].pid, signal.SIGSTOP)
        other.manage("record", "--take-over")
        first = tasks.note(number)  # from here on the other one has everything
        hosts[0].wait_ended([first])
        wait_until(lambda: first.id in recorded(other), 30, "the other host records")
        if is_killed:
            webs[owner] = owner.app("--web")
        else:
            os.kill(webs[owner].pid, signal.SIGCONT)
        assert first.id not in recorded(owner)

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        for number in range(count):
            hand_over(hosts[number % 2], hosts[1 - number % 2], 1_000_000 + number)
    finally:
        over.set()
        producer.join()
    ended = {job.id for job in hosts[0].wait_ended(jobs)}
    wait_until(lambda: hosts[0].control.counts().events == 0, 30, "nothing waits for a history")
    assert ended <= recorded(hosts[0]) | recorded(hosts[1]), f"seed {SEED}"
    assert len(hosts[0].ledger.runs()) == len(ended) + count
