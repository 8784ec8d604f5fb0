"""The command `duey`: create, run, inspect and change a service. Most commands do not need the web process.

duey.cli.context lists the exit statuses. A generated secret is printed once, alone on the last line of standard output.
Every change is written to the audit log.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from duey import config
from duey.cli.commands import enqueue, services
from duey.cli.context import DONE, FAILED, INTERRUPTED, PIPE_CLOSED, CliContext, Refused, echo
from duey.cli.parser import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        try:
            return run(parsed(argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # as in `duey jobs | head`
        with suppress(OSError), open(os.devnull, "w") as nowhere:  # the interpreter flushes once more at its end
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed. Errors become one sentence on standard error."""
    if hasattr(options, "service"):
        try:
            return services.command_of(options)
        except BrokenPipeError:
            raise
        except (Refused, OSError) as exc:
            print(exc, file=sys.stderr)
            return FAILED
    from duey.errors import DueyError
    from duey.monitor.access import AccessError

    try:
        return int(options.run(CliContext(**getattr(options, "context", {})), options) or DONE)
    except config.ConfigError as exc:
        print(exc, file=sys.stderr)  # a line for each fault
    except Refused as exc:
        echo(exc, err=True)
        return exc.status
    except (DueyError, AccessError) as exc:
        echo(exc, err=True)
    except BrokenPipeError:
        raise
    except OSError as exc:
        echo(f"{exc.filename or 'a file'} cannot be used: {exc.strerror}", err=True)
    return FAILED


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line. Arguments of a task may follow the options, where argparse would refuse them."""
    top = parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["worker"]:  # its options are huey_consumer's
        return argparse.Namespace(service="worker", arguments=words[1:])
    if words[:3] == ["completion", "words", "--"]:  # from the script of a shell
        return argparse.Namespace(service="words", top=top, words=words[3:])
    if words[:1] == ["enqueue"] and {"-h", "--help"} & {*words} and words[1:2] and not words[1].startswith("-"):
        return argparse.Namespace(run=enqueue.explain, task=words[1])
    options, rest = top.parse_known_args(words)
    if rest and (not hasattr(options, "args") or any(word.startswith("--") for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.args = [*options.args, *rest]
    return options
