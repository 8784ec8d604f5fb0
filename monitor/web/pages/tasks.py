"""The tasks: every registered one and every one with recent jobs, with figures, the largest total run time first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from duey.model.job import RUNNING, Job, TaskInfo
from duey.monitor.history import TaskFigures
from duey.monitor.web.display import charts, healthy
from duey.monitor.web.display.formats import DAY_S, HOUR_S, number
from duey.monitor.web.listing import MOST_RUNNING
from duey.monitor.web.request import Request
from duey.monitor.web.route import Route, View, get, unchanged
from duey.monitor.web.services import Recent, Services, history_etag
from duey.monitor.web.situation import asked

WINDOWS: dict[str, float] = {"1h": HOUR_S, "24h": DAY_S, "7d": 7 * DAY_S, "30d": 30 * DAY_S}
DEFAULT_WINDOW, DEFAULT_SORT = "24h", "total"
Key = Callable[[TaskFigures], Any]
SORTS: dict[str, Key] = {
    "task": lambda each: each.task.lower(),
    "done": lambda each: -each.outcomes.done,
    "failed": lambda each: -each.outcomes.failed,
    "share": lambda each: -_share(each),
    "rate": lambda each: -each.rate_per_s,
    "p50": lambda each: -(each.run.p50_ms or 0),
    "p95": lambda each: -(each.run.p95_ms or 0),
    "max": lambda each: -each.run.max_ms,
    "wait": lambda each: -(each.wait.p95_ms or 0),
    "total": lambda each: -each.total_run_ms,
}
# (sort, heading, shown on a phone)
COLUMNS = (
    ("task", "Task", True),
    ("waiting", "Waiting", False),
    ("running", "Running", False),
    ("done", "Done", True),
    ("failed", "Failed", True),
    ("share", "Failing", False),
    ("rate", "Rate", False),
    ("p50", "p50", False),
    ("p95", "p95", True),
    ("max", "Max", False),
    ("wait", "Wait p95", False),
    ("total", "Total time", False),
)
MEMORY = ("memory", "Memory", False)  # where that of any task is known
COLUMNS_BY_SORT = [(sort, heading) for sort, heading, _ in (*COLUMNS, MEMORY)]
KEPT_S = 10.0


class TasksPage:
    """GET /tasks."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting = Recent(services.history.waiting_by_task, KEPT_S, services.clock)

    def routes(self) -> list[Route]:
        control = self._services.control
        return [get("/tasks", self.show, reads=(control.storage.pauses, control.workers, self._at_work))]

    def show(self, request: Request) -> View:
        known = self._services.control.tasks()
        paused = [(each.qualname, each.paused) for each in known]
        workers = [each for each in asked(self._services.control.workers) or () if each.alive]
        running = Counter(job.qualname for job in self._at_work())
        etag = history_etag(self._services, request, paused, running) if request.fragment else ""
        if request.knows(etag):
            return unchanged("tasks", etag)
        window = request.query.get("window") if request.query.get("window") in WINDOWS else DEFAULT_WINDOW
        sort = request.query.get("sort") if request.query.get("sort") in dict(COLUMNS_BY_SORT) else DEFAULT_SORT
        text = request.query.get("q")[:200].lower()
        registered = {task.qualname: task for task in known}
        figures = [each for each in self._services.history.tasks(WINDOWS[window]) if text in each.qualname.lower()]
        peaks = self._services.history.peaks(each.qualname for each in figures)
        counted, blocked = asked(self._waiting.get) or ({}, {})
        queued = {name: max(0, many - running[name]) for name, many in counted.items()}
        waiting = Counter(queued) + Counter(blocked)
        by_name = {"memory": peaks, "waiting": waiting, "running": running}.get(sort, {})
        figures.sort(key=SORTS.get(sort, lambda each: -by_name.get(each.qualname, 0)))
        idle = [
            task
            for name, task in sorted(registered.items())
            if name not in {each.qualname for each in figures} and text in name.lower()
        ]
        data: dict[str, Any] = {"window": window, "sort": sort, "tasks": figures, "registered": list(known)}
        data["peak_bytes"], data["waiting"], data["running"] = peaks, dict(waiting), dict(running)
        data["blocked"] = blocked
        total_ms, hands = sum(each.total_run_ms for each in figures), healthy.hands(workers)
        data["utilization"] = total_ms / (1000 * WINDOWS[window] * hands) if hands else None
        links = self._services.links
        more = {
            "rows": [_row(each, registered.get(each.qualname), peaks) for each in figures],
            "total": {
                "done": sum(each.outcomes.done for each in figures),
                "failed": sum(each.outcomes.failed for each in figures),
                "waiting": sum(waiting[each.qualname] for each in figures),
                "running": sum(running[each.qualname] for each in figures),
                "run_ms": total_ms,
            },
            "hands": hands,
            "queued": queued,
            "has_memory": bool(peaks),
            "idle": idle,
            "text": text,
            "windows": [(name, links.to("/tasks", window=name, sort=sort, q=text), name == window) for name in WINDOWS],
            "columns": [
                (heading, links.to("/tasks", window=window, sort=name, q=text), name == sort, phone, name != "task")
                for name, heading, phone in (*COLUMNS, *([MEMORY] if peaks else []))
            ],
        }
        return View("tasks", "Tasks", data, more, "tasks", ("list",), etag=etag)

    def _at_work(self) -> Sequence[Job]:
        """Return the jobs that count as running, as in the list of jobs."""
        page = asked(lambda: self._services.control.jobs(RUNNING, None, None, MOST_RUNNING, None))
        return page.jobs if page else ()


def _share(figures: TaskFigures) -> float:
    """Return the share of ended jobs that failed."""
    ended = figures.outcomes.done + figures.outcomes.failed
    return figures.outcomes.failed / ended if ended else 0.0


def _row(each: TaskFigures, task: TaskInfo | None, peaks: dict[str, int]) -> dict[str, Any]:
    label = f"{number(sum(each.sparkline))} attempts, {number(sum(each.sparkline_failed))} failed"
    return {
        "each": each,
        "paused": bool(task and task.paused),
        "known": task is not None,
        "rate": rate(each.rate_per_s),
        "peak": peaks.get(each.qualname),
        "spark": charts.spark(each.sparkline, each.sparkline_failed, label, 84),
    }


def rate(per_s: float) -> str:
    """Return a rate in the unit that gives a readable number: 3.2/s, 12/min, 4/h, 2/d."""
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
        if per_s * seconds >= 1:
            return f"{_figure(per_s * seconds)}/{unit}"
    return f"{_figure(per_s * 86400)}/d" if per_s else "–"


def _figure(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 10 else number(round(value))
