"""Jobs: list them, show one in full, and its log."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

from duey import clock
from duey.cli import output
from duey.cli.context import CliContext, Refused, echo
from duey.cli.output import Column, when, when_short

LOG_LINES, TRACE_LINES, STEPS = 20, 40, 20
LATE_S = 10.0  # a recorder takes about a second
FOLLOW_S = 0.5
RECORDED_S = 15.0  # how long --follow waits for the history after the end of a job
COLUMNS = (
    Column("ID"), Column("STATE"), Column("ENQUEUED"), Column("TASK", cut=True), Column("QUEUE", drop=2),
    Column("RAN", drop=3), Column("CALL, OR ERROR", cut=True, drop=1),
)  # fmt: skip


def wanted(options: argparse.Namespace) -> Any:
    """The filter of the options, as the page of the jobs reads it. Raises Refused."""
    from duey.monitor.web.forms.fields import Fields
    from duey.monitor.web.forms.filters import as_word, read_filter

    keys = {"queue": options.queue, "since": options.since, "group": options.error, "by": options.by}
    words = [*(options.search or ()), *(as_word(key, value) for key, value in keys.items() if value)]
    pairs = [("q", " ".join(words)), ("state", options.state or ""), ("task", options.task or "")]
    found = read_filter(Fields(pairs), clock.now())
    if found.problems:
        raise Refused(found.problems[0])
    return found


def jobs(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List jobs, the newest first.

    Words for --search are those of the box on the page Jobs: text in ids, names, arguments and messages, or
    `args.to:bob@`, `error:KeyError`, `until:2h`, `parent:ID`. Example: `jobs --state failed --since 2h --search bob@`.

    With --json: `jobs`, each as in `GET /api/jobs`, and `next`, the value of --cursor for the jobs after these.
    """
    from duey.monitor.web.listing import Listing

    asked, control = wanted(options), cli_context.control
    listing = Listing(control, cli_context.history)
    with control.storage.read_ahead(*listing.reads, control.unrecorded_since, control.storage.outbox_owner):
        elsewhere = cli_context.elsewhere()
        page = listing.newest(asked.wanted, options.limit, options.cursor)
        since = control.unrecorded_since()
    found = [each.job for each in page.rows]
    output.show(options, "jobs", found, views(cli_context).job, COLUMNS, row_of, next=page.next)
    if options.json:
        return
    if page.next:
        back = f"searched back to {when(page.searched_back_to)}; " if page.searched_back_to and not page.rows else ""
        echo(f"{back}for older jobs add: --cursor {page.next}", err=True)
    if elsewhere:
        echo(f"warning: {elsewhere}", err=True)
    elif since is not None and clock.now() - since > LATE_S:
        echo(
            f"what happened since {when(since)} is not in the list: a web process or `duey record` records it", err=True
        )


def views(cli_context: CliContext) -> Any:
    """The JSON of the API, with the addresses of this service."""
    from duey.api.views import Views

    web = cli_context.settings.web
    return Views(web.public_url, web.url_prefix)


def row_of(job: Any) -> tuple[object, ...]:
    """A job as a line of the list."""
    from duey.monitor.web.display.calls import preview
    from duey.monitor.web.display.formats import duration

    failed = job.error is not None and job.state in ("failed", "retrying")
    what = f"{job.error.type}: {job.error.message}" if failed else preview(job.args, job.kwargs)
    ran = "" if job.run_ms is None else duration(job.run_ms)
    return job.id, job.state, when_short(job.enqueued_at, clock.now()), job.task, job.queue, ran, what


def job(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Show one job: state, why it waits, call, times, attempts with errors and the ends of their logs.

    Arguments are redacted as on its page. With --json: the job as in `GET /api/jobs/ID`, and `why`, `attempts`,
    `timeline` and `children`.
    """
    from duey import errors
    from duey.monitor.web.pages.job_pages.job_view import JobView, sentence_of
    from duey.monitor.web.services import Services

    services = Services(cli_context.control, cli_context.access, cli_context.history, cli_context.settings, clock.now)
    look = JobView(services)
    live, past = look.look_up(options.id)
    found = live or (past.row.job.unknown_to_queue() if past else None)
    if found is None:
        raise errors.UnknownJob(options.id)
    why = sentence_of(look.because(found), clock.now())
    if options.json:
        output.print_json(as_json(views(cli_context), found, past, why))
        return
    task = look.task(found)
    for line in lines_of(found, past, why, task.runbook if task and found.error else ""):
        echo(line)


def as_json(made: Any, found: Any, past: Any, why: str | None) -> dict[str, Any]:
    """A job with all that is known of it."""
    from duey.api.views import ATTEMPT

    steps = [
        {"at": clock.rfc3339(each.at), "kind": each.kind, "worker": each.worker, "reason": each.reason}
        for each in (past.timeline if past else ())
    ]
    attempts = [ATTEMPT.of(each) for each in (past.attempts if past else ())]
    children = [row.job.id for row in past.children] if past else []
    return {**made.job(found), "why": why, "attempts": attempts, "timeline": steps, "children": children}


def lines_of(found: Any, past: Any, why: str | None, runbook: str) -> Iterator[str]:
    """A job as text."""
    from duey.monitor.web.display.calls import preview
    from duey.monitor.web.display.formats import duration
    from duey.monitor.web.pages.job_pages.job_view import KINDS, resources

    facts: dict[str, Any] = {
        "job": found.id, "state": found.state, "why": why,
        "task": f"{found.task} ({found.qualname}), queue {found.queue}, priority {found.priority:g}",
        "call": preview(found.args, found.kwargs, 2_000), "by": found.by,
        "context": found.context and json.dumps(found.context), "enqueued": when(found.enqueued_at),
        "due": found.eta and when(found.eta), "expires": found.expires_at and when(found.expires_at),
        "started": found.started_at and f"{when(found.started_at)}, waited {duration(found.wait_ms)}",
        "finished": found.finished_at and f"{when(found.finished_at)}, ran {duration(found.run_ms)}",
        "attempts": f"{found.attempt}, {found.retries_left} retries left, {found.crashes} crashes",
        "worker": found.worker, "parent": found.parent,
        "children": past and ", ".join(f"{row.job.id} ({row.job.state})" for row in past.children),
        "progress": found.progress and progress_of(found.progress),
        "result": json.dumps(found.result, ensure_ascii=False, default=str) if found.state == "done" else None,
        "error": found.error and f"{found.error.type}: {found.error.message}", "what to do": runbook,
    }  # fmt: skip
    yield from output.facts(facts)
    for each in past.attempts if past else ():
        ran = "" if each.run_ms is None else f", ran {duration(each.run_ms)}"
        ran += "".join(f", {used}" for used, _ in [resources(each, None)] if used)
        yield ""
        yield f"attempt {each.number}: {each.outcome} {when(each.finished_at)}{ran}, worker {each.worker or 'unknown'}"
        if each.error:
            yield f"  {each.error.type}: {each.error.message}"
            yield from last(each.error.traceback.splitlines(), TRACE_LINES)
        yield from last([f"{when(line.at)} {line.level} {line.text}" for line in each.logs], LOG_LINES)
    if past:
        yield ""
        yield f"timeline, newest first{f' ({STEPS} of {len(past.timeline)})' if len(past.timeline) > STEPS else ''}:"
    for step in past.timeline[:STEPS] if past else ():
        reason = f": {step.reason}" if step.reason else ""
        yield f"  {when(step.at)}  {KINDS.get(step.kind, step.kind)}{reason}"


def last(lines: list[str], most: int) -> Iterator[str]:
    """The last lines, and how many are left out."""
    if len(lines) > most:
        yield f"  … {len(lines) - most} lines before: --json shows all, and `duey logs` those of the log"
    yield from (f"  {line}" for line in lines[-most:])


def progress_of(progress: dict[str, Any]) -> str:
    """Progress as text."""
    done, total, note = (progress.get(name) for name in ("done", "total", "note"))
    return " ".join(str(each) for each in (done, f"of {total}" if total else "", note) if each not in (None, ""))


def logs(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Print the log lines of a job: of its ended attempts, and of the running one as of about a second ago.

    A line is time, level and text, separated by tabs. The level PRINT stands for what the task has printed. With --json
    each line is an object as in `GET /api/jobs/ID/log`.
    """
    from duey.api.views import LINE
    from duey.control.job_log import read_log

    position, recorded_by = 0, None
    while True:
        page = read_log(cli_context.control, cli_context.history, options.id, position)
        for line in page.lines:
            if options.json:
                print(json.dumps(LINE.of(line)), flush=True)
            else:
                echo(when(line.at), line.level or "-", line.text)
        if page.complete or not (options.follow or page.more):
            return
        position = page.next
        if page.ended and not page.lines:
            recorded_by = recorded_by or clock.now() + RECORDED_S
            if clock.now() > recorded_by:
                raise Refused("the job has ended, but its last lines are not in the history: does a web process run?")
        if not page.more:
            time.sleep(FOLLOW_S)
