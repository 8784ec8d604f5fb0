"""Tasks, queues and consumers: list, pause, resume, quiet, stop."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from duey import clock
from duey.cli import output
from duey.cli.context import CliContext, Refused, echo
from duey.cli.output import Column, when_short
from duey.model.job import QueueInfo, TaskInfo, WorkerInfo

TASKS = (Column("TASK"), Column("STATE"), Column("PARAMETERS", cut=True), Column("ABOUT", cut=True, drop=1))
QUEUES = (Column("QUEUE"), Column("WAITING"), Column("OLDEST"), Column("STATE"))
WORKERS = (
    Column("ID"), Column("STATE"), Column("HOST", cut=True), Column("PID"), Column("WORKERS"),
    Column("QUEUES", cut=True), Column("STARTED", drop=1), Column("RUNNING", cut=True),
)  # fmt: skip


def tasks(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the tasks that are registered. With --json: `tasks`, each as in `GET /api/tasks`."""
    from duey.api.views import TASK

    def row(task: TaskInfo) -> tuple[object, ...]:
        parameters = " ".join(each.name if each.required else f"[{each.name}]" for each in task.parameters)
        state = "paused" if task.paused else "periodic" if task.periodic else ""
        return task.name, state, parameters, task.doc.partition("\n")[0]

    found = cli_context.control.tasks(schemas=options.json or options.csv)
    output.show(options, "tasks", found, TASK.of, TASKS, row)


def queues(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the queues that have waiting jobs or are paused. With --json: `queues`, each as in `GET /api/queues`."""
    from duey.api.views import QUEUE
    from duey.monitor.web.display.formats import span

    def row(queue: QueueInfo) -> tuple[object, ...]:
        oldest = "" if queue.oldest_age_s is None else span(queue.oldest_age_s)
        return queue.name, queue.waiting, oldest, "paused" if queue.paused else ""

    output.show(options, "queues", cli_context.control.queues(), QUEUE.of, QUEUES, row)


def workers(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the worker processes of all consumers, or ask one to take no more jobs (--quiet) or its consumer to stop.

    Stopping is graceful: running jobs have [consumer] shutdown_timeout_s to end. With --json: `workers`, each as in
    `GET /api/workers`.
    """
    for verb, asked in (("quiet", options.quiet), ("stop", options.stop)):
        if asked is not None:
            if verb == "stop" and not output.confirmed(f"Stop the consumer of worker {asked}?", options.yes):
                raise Refused("nothing was changed")
            getattr(cli_context.control, verb)(asked)
            cli_context.audit(f"{verb} consumer", asked)
            echo(f"asked worker {asked} to {'take no more jobs' if verb == 'quiet' else 'stop'}")
            return
    from duey.cli.commands.jobs import views

    def row(worker: WorkerInfo) -> tuple[object, ...]:
        state = "dead" if not worker.alive else "quiet" if worker.quiet else "alive"
        running = ", ".join(each.task.rpartition(".")[2] for each in worker.running) or "idle"
        started = when_short(worker.started_at, clock.now())
        threads = f"{worker.workers} x {worker.worker_type}"
        return worker.id, state, worker.host, worker.pid, threads, ",".join(worker.queues), started, running

    output.show(options, "workers", cli_context.control.workers(), views(cli_context).worker, WORKERS, row)


def steer(name: str) -> Callable[[CliContext, argparse.Namespace], None]:
    """The command `pause` or `resume`, for a task or a queue."""

    def run(cli_context: CliContext, options: argparse.Namespace) -> None:
        from duey.tasks.options import is_name

        if options.queue is None:
            getattr(cli_context.control, f"{name}_task")(options.target)
        elif not is_name(options.queue):
            raise Refused(f"expected the name of a queue, up to 64 letters, digits, _ . or -, found {options.queue!r}")
        else:
            getattr(cli_context.control, f"{name}_queue")(options.queue)
        kind, target = ("task", options.target) if options.queue is None else ("queue", options.queue)
        cli_context.audit(f"{name} {kind}", target)
        echo(f"{name}d the {kind} {target}")

    return run
