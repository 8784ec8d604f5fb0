"""Jobs and tasks: enqueue, retry, cancel, pause, resume."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from duey.cli.context import CliContext, Refused, cli_name, echo


def value_of(text: str) -> Any:
    """The value of an argument: parsed if it is JSON, otherwise the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def call_of(cli_context: CliContext, task: str, texts: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Split arguments into args and kwargs: `name=value` is a keyword if the task has a parameter of that name."""
    names = {p.name for p in cli_context.control.task(task).parameters}
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if sign and name in names:
            kwargs[name] = value_of(value)
        else:
            args.append(value_of(text))
    return args, kwargs


def enqueue(cli_context: CliContext, options: argparse.Namespace) -> int:
    """Enqueue one job and print its id.

    Examples: `enqueue add 1 2`, `enqueue send_email to=bob@example.org subject=Hi`. With --wait the exit status is 1 if
    the job does not end as done.
    """
    from duey.model.job import JobRequest

    args, kwargs = call_of(cli_context, options.task, options.args)
    request = JobRequest(options.task, args, kwargs, delay_s=options.delay)
    job = cli_context.control.enqueue([request], by=cli_name()).jobs[0]
    cli_context.audit("enqueue", job.id, detail=job.task)
    echo(job.id)
    if not options.wait:
        return 0
    while job.finished_at is None:
        job = cli_context.control.wait(job.id, 30)
    if job.error:
        raise Refused(f"job {job.id} {job.state}: {job.error.type}: {job.error.message}")
    echo(json.dumps(job.result))
    return 0 if job.state == "done" else 1


def explain(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Print what a task is given: its docstring, and each parameter with its type, limits and default."""
    from duey.control.schema import limits

    task = cli_context.control.task(options.task)
    places = [each.name if each.required else f"[{each.name}]" for each in task.parameters]
    echo(f"usage: duey enqueue {task.name} {' '.join(places)} [--delay S] [--wait]")
    for line in ("", *task.doc.splitlines(), ""):
        echo(line)
    stars = {"var_positional": "*", "var_keyword": "**"}
    for each in task.parameters:
        parts = [each.type, limits(each.schema), "by name" if each.kind == "keyword" else ""]
        if not each.required and each.kind not in stars:
            parts.append(f"default {json.dumps(each.default, ensure_ascii=False)}")
        echo(f"  {stars.get(each.kind, '')}{each.name}: {', '.join(filter(None, parts))}")


def verb(name: str, done: str) -> Callable[[CliContext, argparse.Namespace], None]:
    """A command that calls one method of Control on one job."""

    def run(cli_context: CliContext, options: argparse.Namespace) -> None:
        getattr(cli_context.control, name)(options.target)
        cli_context.audit(name.replace("_", " "), options.target)
        echo(f"{done} {options.target}")

    return run


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
