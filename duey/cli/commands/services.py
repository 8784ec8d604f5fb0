"""Create the folder of a service, and run its processes: init, run, web, worker."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from duey.cli import completion
from duey.cli.checks.doctor import doctor
from duey.cli.context import Refused

PRINT_PASSWORD = "print the first account, password and token also into systemd's journal"
PACKAGE = Path(__file__).absolute().parents[2]
EXAMPLES = ("tasks.py", "periodic.py", "config.ini")
RUN = """Serve the web and one consumer.

Runs in the foreground until SIGINT or SIGTERM, then lets running jobs end within [consumer] shutdown_timeout_s."""
WEB = """Serve the web alone.

Runs in the foreground until SIGINT or SIGTERM. Jobs wait until a consumer runs."""
GITIGNORE = "data/\n__pycache__/\n"


def init(folder: Path) -> int:
    """Write tasks.py, periodic.py, config.ini and .gitignore into a folder.

    Existing files are never changed: if one of the four exists, nothing is written and the exit status is 1.
    """
    # A wheel holds the examples beside this package's code, a checkout at its top.
    source = PACKAGE / "examples" if (PACKAGE / "examples").is_dir() else PACKAGE.parent
    contents = {name: (source / name).read_text(encoding="utf-8") for name in EXAMPLES} | {".gitignore": GITIGNORE}
    taken = [name for name in contents if (folder / name).exists()]
    if taken:
        raise Refused(f"expected a folder without {', '.join(taken)}, found them in {folder}: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_text(text, encoding="utf-8")
        print(folder / name)
    print(f"Start the service with: cd {folder} && duey run")
    return 0


def run(web_alone: bool, print_password: bool) -> int:
    """Serve web and one consumer, or the web alone, until SIGINT or SIGTERM."""
    from duey.server.main import main

    return main(["--web"] * web_alone + ["--print-password"] * print_password)


def worker(arguments: list[str]) -> int:
    """Run one consumer: Huey's huey_consumer, with its options.

    Without -w, -k or -t the values of [consumer] in config.ini apply. The options for polling (-d, -m, -b) have no
    effect: workers are woken when a job arrives. The worker types are thread and process.
    """
    from huey.bin.huey_consumer import consumer_main

    sys.path.insert(0, os.getcwd())
    sys.argv = ["huey_consumer", "duey.consumer.huey", *arguments]
    consumer_main()
    return 0


def command_of(options: argparse.Namespace) -> int:
    """Run one of these commands and return its exit status."""
    if options.service == "init":
        return init(Path(options.folder))
    if options.service == "doctor":
        return doctor(options)
    if options.service == "worker":
        return worker(options.arguments)
    if options.service == "words":
        return completion.words(options.top, options.words)
    if options.service == "completion":
        print(completion.script(options.shell), end="")
        return 0
    return run(options.service == "web", options.print_password)
