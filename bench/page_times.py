"""Times every page of the monitor over a history that holds many jobs, as a browser with a session asks for it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from duey.control.schedules import ScheduleRequest
from duey.monitor.history import History, JobFilter
from duey.monitor.history.database import Server
from tests.monitor.web.world import World, make_world

ROUNDS = 11
NAME_CHARS = 40


def addresses(world: World, task: str) -> dict[str, str]:
    """Return the pages by what the table calls them."""
    history = world.history
    failed, done = (history.job_rows(JobFilter(state=state), 1).rows[0].job.id for state in ("failed", "done"))
    group = history.error_groups(limit=1).groups[0].fingerprint
    names = [
        "/", "/changes", "/changes?window=7d", "/jobs", "/jobs?state=failed", "/jobs?state=done",
        "/jobs?state=done&q=since:24h", "/jobs?state=failed&q=since:24h", "/jobs?q=bob@example", "/jobs?q=zebra",
        "/jobs?q=args.to:zebra", "/jobs?q=error:KeyError", "/jobs?q=queue:mail", "/jobs?q=by:ana", "/errors",
        "/errors?q=zebra", "/tasks", "/tasks?window=1h", "/tasks?window=30d", "/alerts", "/schedules",
        "/schedules/mail", "/schedules/mail/edit", "/workers", "/audit", "/account", "/access",
    ]  # fmt: skip
    named = {
        "/jobs?task=TASK": f"/jobs?task={task}", "/jobs?task=TASK&q=zebra": f"/jobs?task={task}&q=zebra",
        "/jobs?q=group:FP": f"/jobs?q=group:{group}", "/jobs/ID, failed": f"/jobs/{failed}",
        "/jobs/ID, done": f"/jobs/{done}", "/errors/FP": f"/errors/{group}", "/tasks/TASK": f"/tasks/{task}",
        "/tasks/TASK?window=30d": f"/tasks/{task}?window=30d",
    }  # fmt: skip
    return {**{name: name for name in names}, **named}


def processor_of(history: History) -> Callable[[], float]:
    """Return what tells the milliseconds of processor time of this thread and, of a history on a PostgreSQL server of
    this machine, of the process that answers it."""
    with history.database.reading() as db:
        is_served = isinstance(history.database, Server)
        pid = db.execute_sql("SELECT pg_backend_pid()").fetchone()[0] if is_served else None

    def spent_ms() -> float:
        served = 0 if pid is None else int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
        return time.thread_time() * 1000 + served / 1e6

    return spent_ms


def measure_pages(history_url: str, task: str) -> float:
    """Print the times of all pages; the worst median of processor time in milliseconds."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder), time.time, periodic=True, history_url=history_url)
        world.control.schedules.make("mail", ScheduleRequest("add", (1, 2), {}, cron="@daily"))
        browser, spent_ms = world.browser("ana"), processor_of(world.history)
        for name, address in addresses(world, task).items():
            times, cpu_times = [], []
            for _ in range(ROUNDS):
                began, cpu_began = time.perf_counter(), spent_ms()
                answer = browser.get(f"/monitor{address}")
                times.append((time.perf_counter() - began) * 1000)
                cpu_times.append(spent_ms() - cpu_began)
                assert answer.status == 200, f"{address} answered {answer.status}"
            median, cpu = statistics.median(times), statistics.median(cpu_times)
            worst = max(worst, cpu)
            print(f"{f'page: {name}':{NAME_CHARS}} {median:10.2f} {cpu:10.2f} {max(times):10.2f}")
        world.close()
    return worst
