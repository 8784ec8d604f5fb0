"""Alerts: list incidents, acknowledge one, test a channel."""

from __future__ import annotations

import argparse
from typing import Any

from duey.cli import output
from duey.cli.context import CliContext, Refused, cli_name, echo, operator_name
from duey.cli.output import Column, when

INCIDENTS = (
    Column("ID"), Column("STATE"), Column("RULE", drop=2), Column("OPENED", drop=1), Column("COUNT"),
    Column("WHAT", cut=True),
)  # fmt: skip


def service_of(cli_context: CliContext) -> Any:
    """The alerts of this service."""
    from duey.alerts.service import AlertService

    return AlertService(cli_context.history, cli_context.settings)


def show_state(cli_context: CliContext) -> None:
    """Print what `duey status` says of alerts: open incidents, and channels that do not take messages."""
    from duey.monitor.history import HistoryUnavailable

    try:
        alerts = service_of(cli_context)
        if titles := alerts.open_titles():
            echo(f"open incidents: {len(titles)}, the newest: {titles[0]}")
        for channel in alerts.channel_views():
            if channel.is_failing:
                echo(f"channel {channel.name}: failed last: {channel.error}; {channel.waiting} messages wait")
    except HistoryUnavailable as exc:
        echo(f"warning: {exc}")


def alerts_list(cli_context: CliContext, options: argparse.Namespace) -> None:
    """List the open incidents and the channels; with --all also the newest incidents that are over.

    An incident: id, state, rule, when it opened, how often it happened, title. A channel: name, kind, how its last
    message fared. With --json: `incidents`, `next` and `channels`, as in `GET /api/alerts`.
    """
    alerts = service_of(cli_context)
    page = alerts.incidents(None if options.all else "open", 200)
    from duey.api.views import CHANNEL, INCIDENT

    def row(shown: Any) -> tuple[object, ...]:
        incident = shown.incident
        state = "acknowledged" if incident.state == "open" and incident.acked_at else incident.state
        return incident.id, state, incident.rule, when(incident.opened_at), incident.count, incident.title

    channels = [CHANNEL.of(each) for each in alerts.channel_views()]
    output.show(options, "incidents", page.rows, INCIDENT.of, INCIDENTS, row, next=page.next, channels=channels)
    if options.json or options.csv:
        return
    for channel in alerts.channel_views():
        fared = f"failed at {when(channel.error_at)}: {channel.error}" if channel.is_failing else "nothing was sent yet"
        if channel.sent_at and not channel.is_failing:
            fared = f"took a message at {when(channel.sent_at)}"
        echo("channel", channel.name, channel.kind, fared)
    if not alerts.channels:
        echo("no channel is configured: nobody is told ([alerts] in config.ini)", err=True)


def alerts_ack(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Acknowledge an open incident: it is not told again while it is open."""
    service_of(cli_context).ack(options.id, operator_name())
    cli_context.audit("acknowledge alert", options.id)
    echo(options.id, "acknowledged")


def drill(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Prove that failures are told: a job fails on purpose.

    It is followed through worker, recorder and rule to each channel, which gets a message marked DRILL. Prints how many
    seconds each hop took. Exit status 1 if one failed.
    """
    from duey.alerts.drill import Drill

    made = Drill(cli_context.control, cli_context.history, service_of(cli_context))
    job_id = made.start(cli_name())
    cli_context.audit("fire drill", job_id)
    failed = []
    for hop, seconds in made.follow(job_id):
        if hop.done:
            echo(f"{hop.name}: {seconds:.1f} s{f', {hop.answer}' if hop.answer else ''}")
        else:
            failed.append(f"{hop.name} failed after {seconds:.1f} s: {hop.answer or 'no answer'}")
    if failed:
        raise Refused(f"the drill failed: {'; '.join(failed)}")
    echo("alerts are proven")


def alerts_test(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Send a message through a channel now, and print what it answered. Exit status 1 if it did not take it."""
    result = service_of(cli_context).test(options.channel)
    cli_context.audit("test alert channel", options.channel, detail=result.state)
    if result.state != "sent":
        raise Refused(f"the channel {result.channel} did not take the message: {result.answer}")
    echo(result.channel, "sent", result.answer)
