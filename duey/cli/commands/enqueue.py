"""Enqueue a job from words of the command line, explain a task, and wait for the end of a job."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from duey.cli.context import DONE, UNFINISHED, USAGE, CliContext, Refused, cli_name, echo

NAMED = re.compile(r"([^\W\d]\w*)=(.*)", re.DOTALL)
LOOK_S = 2.0  # how long it takes to notice that the last consumer has left
LONGEST_S = 1e9


def seconds(text: str) -> float:
    """A number of seconds from 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"expected a number of seconds from 0, found {text!r}")
    return value


def value_of(text: str, schema: Mapping[str, Any]) -> Any:
    """The value of an argument whose parameter has this JSON schema.

    Where only text fits, and for a decimal, it is the text itself, also where it looks like a number; text in double
    quotes is JSON, and `null` is None where the parameter accepts that. Elsewhere it is JSON, or the text itself where
    it is no JSON.
    """
    from duey.control.schema import choices, is_typed_as_text, takes_null

    options = choices(schema)
    only_text = is_typed_as_text(schema) or (options and all(isinstance(each, str) for each in options))
    if only_text and not text.startswith('"') and not (text == "null" and takes_null(schema)):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def call_of(cli_context: CliContext, name: str, texts: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Split words into args and kwargs. `name=value` is a keyword, and refused if no parameter has that name. Raises
    Refused."""
    task = cli_context.control.task(name)
    of_kind = {each.kind: each for each in task.parameters}
    by_name = {each.name: each for each in task.parameters if not each.kind.startswith("var_")}
    places = [each for each in task.parameters if each.kind == "positional"]
    rest, others = of_kind.get("var_positional"), of_kind.get("var_keyword")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        named = NAMED.fullmatch(text)
        if named is None:
            parameter = places[len(args)] if len(args) < len(places) else rest
            args.append(value_of(text, parameter.schema if parameter else {}))
            continue
        parameter = by_name.get(named[1], others)
        if parameter is None:
            raise Refused(f"{task.name}: {unknown(named[1], text, by_name)}")
        kwargs[named[1]] = value_of(named[2], parameter.schema)
    return args, kwargs


def unknown(name: str, text: str, known: Mapping[str, Any]) -> str:
    """What to do about `name=value` where no parameter has that name."""
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}=? " if near else f"it has {', '.join(known)}. " if known else "it has none. "
    return f"there is no parameter {name}: {hint}To give text that holds =, write '{json.dumps(text)}'"


def enqueue(cli_context: CliContext, options: argparse.Namespace) -> int:
    """Enqueue one job and print its id.

    Examples: `enqueue add 1 2`, `enqueue send_email to=bob@example.org subject=Hi`. A value is read as the parameter's
    type hint says: where only text fits, it is the text itself, otherwise JSON, or the text if it is no JSON. A text
    that looks like `name=value` stands in double quotes within single ones: '"name=value"'.

    With --wait the result is printed as JSON when the job has ended. Exit status 1 if it did not end as done; 4 if
    nobody serves its queue, or if it has not ended within --timeout: it is still there then. With --timeout it waits
    on while nobody serves the queue, because a consumer may be starting.
    """
    from duey.model.job import JobRequest

    if options.timeout is not None and not options.wait:
        raise Refused("expected --wait beside --timeout: add it, or leave --timeout out", USAGE)
    args, kwargs = call_of(cli_context, options.task, options.args)
    request = JobRequest(options.task, args, kwargs, delay_s=options.delay)
    job = cli_context.control.enqueue([request], by=cli_name()).jobs[0]
    cli_context.audit("enqueue", job.id, detail=job.task)
    echo(job.id)
    if not options.wait:
        return DONE
    job = ended(cli_context, job, options.timeout)
    if job.error:
        raise Refused(f"job {job.id} {job.state}: {job.error.type}: {job.error.message}")
    if job.state != "done":
        raise Refused(f"job {job.id} {job.state}")
    print(json.dumps(job.result))
    return DONE


def ended(cli_context: CliContext, job: Any, timeout_s: float | None) -> Any:
    """The job once it has ended. Raises Refused where that cannot be expected, or when the time is over."""
    until = time.monotonic() + (LONGEST_S if timeout_s is None else timeout_s)
    shown = ""
    while job.finished_at is None:
        vain, left_s = in_vain(cli_context, job), until - time.monotonic()
        if vain and timeout_s is None:
            raise Refused(f"job {job.id} waits in the queue {job.queue}: {vain}", UNFINISHED)
        note = vain or held(job)
        if left_s <= 0:
            why = f" ({note})" if note else ""
            raise Refused(f"job {job.id} has not ended within {timeout_s:g} s: it is {job.state}{why}", UNFINISHED)
        if note and note != shown:
            echo(f"job {job.id} waits: {note}", err=True)
        shown = note
        job = cli_context.control.wait(job.id, min(left_s, LOOK_S))
    return job


def in_vain(cli_context: CliContext, job: Any) -> str:
    """Why no consumer that runs now will run the job; empty if one will."""
    from duey.model.queues import serves

    consumers = [each for each in cli_context.control.workers() if each.alive and each.worker_type != "alone"]
    if not consumers:
        return "no consumer is running: start one with `duey worker`"
    if job.state == "running" or any(serves(each.queues, job.queue) and not each.quiet for each in consumers):
        return ""
    if any(serves(each.queues, job.queue) for each in consumers):
        return "all consumers that serve it are quiet and take no jobs"
    return "no consumer serves it: add it to [consumer] queues of one"


def held(job: Any) -> str:
    """What keeps the job from running although a consumer serves its queue, as far as the storage knows."""
    if not job.reason:
        return ""
    from duey.monitor.web.display.why import held as reason

    return reason(job.reason)


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
