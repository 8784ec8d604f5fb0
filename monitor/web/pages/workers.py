"""The workers: running consumers with what each worker does, and those that ended in the last day.

A running job is compared with the usual duration of its task (the p95 of a week). The one that exceeds it most is
first. Below are the queues that a worker serves, that have jobs, or that are paused, with actions to pause and
resume.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from duey import clock
from duey.control.health import stranded_reads
from duey.errors import StorageUnavailable, UnknownWorker
from duey.model.job import QueueInfo, WorkerInfo
from duey.monitor.history import SeenWorker
from duey.monitor.web.display import healthy
from duey.monitor.web.display.formats import DAY_S, number, plural, times_usual
from duey.monitor.web.refusal import Refusal
from duey.monitor.web.request import Request
from duey.monitor.web.route import NOTE, Done, Route, View, get, post, question
from duey.monitor.web.services import Recent, Services

FIGURES_KEPT_S = 30.0


class WorkersPage:
    """GET /workers, POST /workers/quiet, /workers/ID/quiet, /stop, /queues/NAME/pause, /resume."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._figures = Recent(lambda: services.history.tasks(7 * DAY_S), FIGURES_KEPT_S, services.clock)

    def routes(self) -> list[Route]:
        return [
            get("/workers", self.show, reads=stranded_reads(self._services.control.storage)),
            post("/workers/quiet", self.quiet_all),
            post("/workers/<worker_id>/<verb>", self.post),
            post("/queues/<name>/<verb>", self.steer),
        ]

    def show(self, request: Request) -> View:
        workers = [each for each in self._services.control.workers() if each.alive]
        usual, gone, problem = self._from_history({each.id for each in workers})
        queues = self._queues(workers)
        usual_ms = {name: usual[name] for name in sorted(usual)}
        data = {"workers": workers, "queues": queues, "gone": gone, "usual_p95_ms": usual_ms}
        more = {
            "consumers": [self._consumer(request, each, usual) for each in by_consumer(workers)],
            "problem": problem,
            "hands": healthy.hands(workers),
            "busy": healthy.busy(workers),
            "quiet": sum(each.workers for each in workers if each.quiet),
            "queues": queues,
            "stranded": [f"{each}." for each in self._services.control.stranded(workers, queues)],
            "newest": max((each.started_at, each.code) for each in workers)[1] if workers else "",
        }
        return View("workers", "Workers", data, more, "workers", ("list",))

    def _queues(self, workers: list[WorkerInfo]) -> list[QueueInfo]:
        served = {name for each in workers for name in each.queues if name != "*"}
        known = {name: QueueInfo(name, 0, None, False) for name in served}
        known |= {each.name: each for each in self._services.control.queues()}
        return [known[name] for name in sorted(known)]

    def _from_history(self, alive: set[str]) -> tuple[dict[str, float], list[SeenWorker], bool]:
        try:
            figures = self._figures.get()
            gone = [each for each in self._services.history.seen_workers() if each.id not in alive]
        except StorageUnavailable:
            return {}, [], True
        return {each.qualname: each.run.p95_ms for each in figures if each.run.p95_ms}, gone, False

    def _consumer(self, request: Request, processes: list[WorkerInfo], usual: dict[str, float]) -> dict[str, Any]:
        running: list[dict[str, Any]] = []
        for worker in processes:
            for each in worker.running:
                p95 = usual.get(each.task)
                elapsed_ms = (request.now - each.started_at) * 1000 if each.started_at else 0.0
                ratio, times = elapsed_ms / p95 if p95 else 0.0, times_usual(elapsed_ms, p95)
                running.append({"run": each, "worker": worker.id, "p95": p95, "ratio": ratio, "times": times})
        running.sort(key=lambda one: -one["ratio"])
        first = min(processes, key=lambda each: each.started_at)
        silent_s = self._services.settings.consumer.silent_s
        return {
            "first": first,
            "processes": processes,
            "hands": sum(each.workers for each in processes),
            "queues": sorted({name for each in processes if each.workers for name in each.queues}),
            "heartbeat_at": min(each.heartbeat_at for each in processes),
            "rss_bytes": sum(each.rss_bytes for each in processes if each.rss_bytes) or None,
            "quiet": all(each.quiet for each in processes if each.workers),
            "codes": {each.code for each in processes},
            "running": running,
            "clock_off": clock.off_in_words(max((each.clock_ahead_s for each in processes), key=abs)),
            "silent": any(request.now - each.heartbeat_at > silent_s for each in processes),
        }

    def quiet_all(self, request: Request) -> View | Done:
        control, links = self._services.control, self._services.links
        workers = [each for each in control.workers() if each.alive and not each.quiet]
        consumers = plural(len(by_consumer(workers)), "consumer")
        if not workers:
            return Done(links.to("/workers"), "All consumers are quiet already: nothing was changed.", NOTE)
        if "sure" not in request.form:
            sentence = (
                "They take no more jobs and finish what they run; jobs wait until a consumer is started again. Do this "
                "before a deploy or a move."
            )
            action, keep = links.to("/workers/quiet"), ("Let them work", links.to("/workers"))
            return question(f"Quiet {consumers}?", [sentence], action, "Quiet all", keep, "workers", danger=False)
        for each in workers:
            with contextlib.suppress(UnknownWorker):  # it has stopped meanwhile
                control.quiet(each.id)
        self._services.record(request, "quiet all consumers", "", len(by_consumer(workers)))
        return Done(links.to("/workers"), f"{consumers} asked to take no more jobs.")

    def post(self, request: Request, worker_id: str, verb: str) -> View | Done:
        control, back = self._services.control, self._services.links.to("/workers")
        alive = [each for each in control.workers() if each.alive]
        whole = next((each for each in by_consumer(alive) if worker_id in {one.id for one in each}), None)
        if whole is None:
            return Done(back, "This consumer has already stopped: nothing was changed.", NOTE)
        name = f"{whole[0].host} {whole[0].pid}"
        try:
            if verb == "quiet":
                if all(each.quiet for each in whole):
                    return Done(back, f"{name} is quiet already: nothing was changed.", NOTE)
                for each in whole:
                    control.quiet(each.id)
                message = f"{name} was asked to take no more jobs; it finishes what it runs."
            elif verb == "stop":
                if "sure" not in request.form:
                    return self._ask(whole, name)
                control.stop(worker_id)
                message = f"{name} was asked to stop."
            else:
                raise Refusal(404, f"expected quiet or stop, found {verb[:50]!r}")
        except UnknownWorker:
            return Done(back, "This consumer has already stopped: nothing was changed.", NOTE)
        self._services.record(request, f"{verb} consumer", name)
        return Done(back, message)

    def steer(self, request: Request, name: str, verb: str) -> Done:
        control, back = self._services.control, self._services.links.to("/workers")
        if verb not in ("pause", "resume"):
            raise Refusal(404, f"expected pause or resume, found {verb[:50]!r}")
        found = next((each for each in self._queues(control.workers()) if each.name == name), None)
        if found is None:
            return Done(
                back, f"No worker serves a queue {name[:80]!r}, and it holds no job: nothing was changed.", NOTE
            )
        if found.paused == (verb == "pause"):
            state = "paused already" if found.paused else "not paused"
            return Done(back, f"The queue {name} is {state}: nothing was changed.", NOTE)
        (control.pause_queue if verb == "pause" else control.resume_queue)(name)
        self._services.record(request, f"{verb} queue", name)
        outcome = "is paused: waiting jobs stay queued, running ones finish." if verb == "pause" else "is resumed."
        undo = self._services.links.queue(name, "resume") if verb == "pause" else ""
        return Done(back, f"The queue {name} {outcome}", undo=undo)

    def _ask(self, whole: list[WorkerInfo], name: str) -> View:
        timeout_s = self._services.settings.consumer.shutdown_timeout_s
        running, links = plural(sum(len(each.running) for each in whole), "job"), self._services.links
        return question(
            f"Stop {name}?",
            [
                f"The whole consumer stops: it takes no more jobs, and what it runs ({running}) may end within "
                f"{number(timeout_s)} s. The rest returns to the queue untouched.",
                "A consumer that Duey or systemd supervises is started again. Waiting jobs wait for another one.",
            ],
            links.worker(whole[0].id, "stop"), "Stop it", ("Let it run", links.to("/workers")), "workers",
        )  # fmt: skip


def by_consumer(workers: Sequence[WorkerInfo]) -> list[list[WorkerInfo]]:
    """Return the worker processes of each consumer, in their order."""
    found: dict[str, list[WorkerInfo]] = {}
    for each in workers:
        found.setdefault(each.consumer or each.id, []).append(each)
    return list(found.values())
