"""Move the queue to another storage: move."""

from __future__ import annotations

import argparse
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from duey import files
from duey.cli.context import CliContext, Refused, echo
from duey.cli.progress import Line

WAIT_S = 60.0


class Steps:
    """Prints what a long command does: a line for each step, and on a terminal one that shows how far it is."""

    def __init__(self) -> None:
        self._line = Line()

    def __call__(self, step: str, text: str) -> None:
        if step:
            self._line.clear()
            echo(f"{step:<9} {text}")
        else:
            self._line.draw(text)


def move(cli_context: CliContext, options: argparse.Namespace) -> None:
    """Move the whole queue to another storage, and print the lines of config.ini to change.

    URLs are redis://HOST:PORT/N and sqlite:///FILE. Jobs that run have --wait seconds to end. Then no job begins or is
    accepted any more, and everything is copied and compared. If it is cut short, the same command goes on where it was.
    The source keeps its data, and refuses to start. --undo uses it again, as long as nothing has run at the target.
    """
    from duey.moving import move as moving
    from duey.moving.places import place_of

    here = place_of(getattr(options, "from"), cli_context.settings)
    with alone(cli_context.settings.root / "data"), closing(here.opened()) as source:
        if options.undo:
            undo(cli_context, options, source)
            return
        if options.to is None:
            raise Refused("expected where to move the queue, found nothing: add --to redis://... or --to sqlite:///...")
        there, tell = place_of(options.to, cli_context.settings, options.name), Steps()
        with closing(there.opened(create=True)) as target:
            found = moving.move(source, target, tell, lambda: rescue(cli_context, here), options.wait, options.replace)
        if found is None:
            tell("moved", f"{here.label} to {there.label} before")
        else:
            tell("moved", f"{here.label} to {there.label}; nothing was switched")
            cli_context.audit("move", here.label, detail=f"to {there.label}")
    echo("stop Duey if it runs, put these lines into config.ini, and start it:")
    for line in there.lines():
        echo(line)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raise Refused if another `duey move` of this service runs: two would write the same batches."""
    files.make_folder(folder)
    fd = os.open(folder / "move.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Refused("another `duey move` of this service runs: wait for it, or end it first") from None
    finally:
        os.close(fd)


def undo(cli_context: CliContext, options: argparse.Namespace, source: Any) -> None:
    """Take a move back. The target is that of --to, or the one that the source names."""
    from duey.errors import Misconfigured
    from duey.moving import move as moving
    from duey.moving.places import place_of

    marker = source.marker()
    configured = place_of(None, cli_context.settings)
    if options.to is None and marker is not None and configured.label != marker.peer:
        url, _, name = marker.peer.removesuffix(")").partition(" (name ")
        there = place_of(url, cli_context.settings, name or None)
    else:  # with a password, which the source does not name
        there = place_of(options.to, cli_context.settings, options.name)
    with ExitStack() as stack:
        target = None
        if not options.force and marker is not None:
            with suppress(Misconfigured):  # there is no queue
                target = there.opened()
                stack.callback(target.close)
        done = moving.undo(source, target, options.force)
    cli_context.audit("undo move", source.label)
    echo(done)


def rescue(cli_context: CliContext, here: Any) -> None:
    """Release what dead workers of a queue hold."""
    from dataclasses import replace

    from duey.instance import build

    settings = cli_context.settings
    if here.storage == settings.storage:
        cli_context.control.huey.lifecycle.rescue(settings.tasks.max_crashes)
        cli_context.huey.storage.close()
    else:
        huey = build(replace(settings, storage=here.storage))
        huey.lifecycle.rescue(settings.tasks.max_crashes)
        huey.storage.close()
