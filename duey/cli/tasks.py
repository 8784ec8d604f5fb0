"""Tasks, queues and consumers: list, pause, resume, quiet, stop."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from duey import clock
from duey.cli import output
from duey.cli.context import CliContext, Refused, echo
from duey.cli.output import Column, when_short

TASKS = (Column("TASK"), Column("STATE"), Column("PARAMETERS", cut=True), Column("ABOUT", cut=True, drop=1))
QUEUES = (Column("QUEUE"), Column("WAITING"), Column("OLDEST"), Column("STATE"))
WORKERS = (
    Column("ID"), Column("STATE"), Column("HOST", cut=True), Column("PID"), Column("WORKERS"),
    Column("QUEUES", cut=True), Column("STARTED", drop=1), Column("RUNNING", cut=True),
)  # fmt: skip


def tasks(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the tasks that are registered. With --json: `tasks`, each as in `GET /api/tasks`."""
    found = cli_context.control.tasks(schemas=options.json)
    if options.json:
        from duey.api.views import TASK

        output.print_json({"tasks": [TASK.of(each) for each in found]})
        return
    output.table(TASKS, [
        (
            each.name, "paused" if each.paused else "periodic" if each.periodic else "",
            " ".join(p.name if p.required else f"[{p.name}]" for p in each.parameters), each.doc.partition("\n")[0],
        )
        for each in found
    ])  # fmt: skip


def queues(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the queues that have waiting jobs or are paused. With --json: `queues`, each as in `GET /api/queues`."""
    found = cli_context.control.queues()
    if options.json:
        from duey.api.views import QUEUE

        output.print_json({"queues": [QUEUE.of(each) for each in found]})
        return
    from duey.monitor.web.display.formats import span

    output.table(QUEUES, [
        (each.name, each.waiting, "" if each.oldest_age_s is None else span(each.oldest_age_s),
         "paused" if each.paused else "")
        for each in found
    ])  # fmt: skip


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
    found = cli_context.control.workers()
    if options.json:
        from duey.cli.jobs import views

        output.print_json({"workers": [views(cli_context).worker(each) for each in found]})
        return
    now = clock.now()
    output.table(WORKERS, [
        (
            each.id, "dead" if not each.alive else "quiet" if each.quiet else "alive", each.host, each.pid,
            f"{each.workers} x {each.worker_type}", ",".join(each.queues), when_short(each.started_at, now),
            ", ".join(run.task.rpartition(".")[2] for run in each.running) or "idle",
        )
        for each in found
    ])  # fmt: skip


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
