"""The log lines of a job."""

from __future__ import annotations

import argparse
import json
import time

from duey import clock
from duey.cli.context import CliContext, Refused, echo
from duey.cli.output import when

FOLLOW_S = 0.5
RECORDED_S = 15.0  # how long --follow waits for the history after the end of a job


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
