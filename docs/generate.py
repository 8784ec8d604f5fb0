"""Writes what is generated from the code: config.ini, docs/configuration.md and docs/commands.md (`make docs`).

A test compares the files with what this module makes, so that neither can fall behind the code.
"""

from __future__ import annotations

import argparse
import inspect
import optparse
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from huey.consumer_options import OptionParserHandler

from duey.cli.context import EXIT_STATUSES
from duey.cli.parser import parser
from duey.config.table import SECTIONS, Key, table
from duey.config.values import Refused

ROOT = Path(__file__).resolve().parents[1]
UNITS = {"s": "seconds", "kb": "KB", "mb": "MB", "hours": "hours", "days": "days", "rows": "rows"}

CONFIG_INI = """\
# Every setting of Duey, at its default. Each key can also be set in the environment: DUEY_<SECTION>_<KEY>,
# for example DUEY_STORAGE_BACKEND=redis. Relative paths start at the folder of this file. Put comments on lines of
# their own. Changes take effect at the next start.
"""

CONFIGURATION = """\
# Configuration

<!-- Generated from duey/config/table.py by `make docs`. -->

Duey reads `config.ini` in the current folder, or the file that `DUEY_CONFIG` names. A key that is missing has its
default. An environment variable overrides the file. Changes take effect at the next start.

- An unknown section, an unknown key or a bad value stops the start. The message names file, section and key, says
  what was expected and what was found, and suggests the nearest valid spelling. All faults are reported at once.
- Relative paths start at the folder of `config.ini`.
- A list is separated by commas. Yes and no can also be written `true`, `on`, `1` and `false`, `off`, `0`.
- Put comments on lines of their own: a `#` after a value is part of the value.
- A secret can be in a file of its own, without a line break in it: `secret_file = /etc/duey/secret` in `[tasks]`, or
  the variable with `_FILE` after its name. A credential of systemd that is called like the variable, in lower case,
  counts as well: it overrides the file of settings, the environment overrides it.
- Variables by which Kubernetes tells of a service called `duey` or `duey-...` are ignored.
- `duey check` reads the settings and says whether a start would succeed.
"""

COMMANDS = """\
# Commands

<!-- Generated from duey/cli by `make docs`. -->

In an installation the program is `duey` (or `python -m duey`); in a checkout, `python manage.py` is the same program.
It reads `config.ini` in the current folder, or the file that `DUEY_CONFIG` names. `duey COMMAND --help` prints what
this page says about a command.

A generated password or token is printed once, alone on the last line of standard output. Each change is written to
the audit log, with the name of the operating system's user. Where that cannot be written, a warning says so: the
change is made.

## Output

All that lists or shows takes `--json` and prints one object. A list stands in it under its name, each member with the
fields that the [HTTP API](http-api.md) gives it: `duey jobs --json` prints `{"jobs": [...], "next": CURSOR}`. New
versions add fields and rename none. Lists take `--csv` as well, with the same fields: one that is a list or
an object is JSON, and of an error type and message are given.

Without either, a terminal shows a table that fits its width, and other programs get a line for each member, with tabs
between the fields. Colours are shown only on a terminal, and not where `NO_COLOR` is set. Times are those of your clock
(the zone of the system, or of the variable `TZ`), with the name of the zone; times of a schedule are those of its own
zone. What concerns progress, questions and warnings goes to standard error.

## Exit status

"""


def cell(text: str) -> str:
    """Text that can stand in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def rows(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in (head, ("---",) * len(head), *lines))


def sections() -> Iterator[tuple[str, str, list[Key]]]:
    """Name, meaning and keys of each section."""
    for section, keys in groupby(table(), key=lambda key: key.section):
        yield section, inspect.getdoc(SECTIONS[section]) or "", list(keys)


def config_ini() -> str:
    """config.ini: every key at its default, below a line that explains it."""
    parts = [CONFIG_INI]
    for section, meaning, keys in sections():
        lines = [f"# {key.help}\n{key.name} = {key.default}".rstrip() for key in keys]
        parts.append("\n".join([f"# {meaning}", f"[{section}]", *lines]) + "\n")
    return "\n".join(parts)


def accepted(key: Key) -> str:
    """What the key's parser expects, in the words of its refusal."""
    try:
        key.parse("\0", ROOT)
    except Refused as refused:
        return refused.expected
    raise AssertionError(f"[{key.section}] {key.name} accepts a control character")


def unit(key: Key) -> str:
    """The unit of the key's value, which its name ends in."""
    return UNITS.get(key.name.rpartition("_")[2], "")


def configuration() -> str:
    """docs/configuration.md."""
    parts = [CONFIGURATION]
    for section, meaning, keys in sections():
        head = ("Key", "Default", "Unit", "Meaning", "Accepts", "Environment variable")
        lines: list[tuple[str, ...]] = [
            (f"`{key.name}`", f"`{key.default}`" if key.default else "(empty)", unit(key), key.help, accepted(key),
             f"`{key.variable}`")
            for key in keys
        ]  # fmt: skip
        parts.append(f"## [{section}]\n\n{meaning}\n\n{rows(head, lines)}\n")
    return "\n".join(parts)


def commands_of(program: str, made: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command below a parser that has no commands below itself."""
    below = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield program, made
    for action in below:
        for name, child in action.choices.items():
            yield from commands_of(f"{program} {name}", child)


def named(action: argparse.Action) -> str:
    """An argument or an option with its value, as it is typed."""
    value = f"{{{','.join(map(str, action.choices))}}}" if action.choices else (action.metavar or action.dest.upper())
    return " ".join([*action.option_strings[-1:], *([] if action.nargs == 0 else [str(value)])])


def usage(program: str, made: argparse.ArgumentParser) -> str:
    """The line of usage; argparse words it differently from one Python to the next."""
    exclusive = {id(each): group for group in made._mutually_exclusive_groups for each in group._group_actions}
    words, seen = [program], set()
    for action in sorted(arguments(made), key=lambda each: not each.option_strings):
        group = exclusive.get(id(action))
        if group is not None:
            if id(group) not in seen:
                words.append("(" + " | ".join(named(each) for each in group._group_actions) + ")")
            seen.add(id(group))
        elif action.option_strings:
            words.append(named(action) if action.required else f"[{named(action)}]")
        else:
            words.append(f"[{named(action)} ...]" if action.nargs in ("*", argparse.REMAINDER) else named(action))
    return " ".join(words)


def arguments(made: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a person types, without --help."""
    return [action for action in made._actions if not isinstance(action, argparse._HelpAction)]


def meaning(action: argparse.Action) -> str:
    """The help of an argument or option, with its default."""
    default = action.default if action.option_strings and action.nargs != 0 else None
    return (action.help or "") + (f" (default: {default})" if default is not None else "")


def worker_options() -> list[tuple[str, str]]:
    """The options of `duey worker`, which are those of huey_consumer, and what Huey says of them."""
    made = OptionParserHandler().get_option_parser()
    options = [option for group in made.option_groups for option in group.option_list]
    return [(", ".join(f"`{text}`" for text in _shown(option)), (option.help or "").strip()) for option in options]


def _shown(option: optparse.Option) -> list[str]:
    value = f" {option.metavar or (option.dest or '').upper()}" if option.takes_value() else ""
    return [f"{text}{value}" for text in [*option._short_opts, *option._long_opts]]


def commands() -> str:
    """docs/commands.md."""
    statuses: list[tuple[str, ...]] = [(str(status), text) for status, text in EXIT_STATUSES.items()]
    parts = [f"{COMMANDS}{rows(('Status', 'Meaning'), statuses)}\n"]
    for program, made in commands_of("duey", parser()):
        text = made.description or ""
        lines: list[tuple[str, ...]] = [(f"`{named(each)}`", meaning(each)) for each in arguments(made)]
        line = usage(program, made)
        if program == "duey worker":
            line, lines = f"{program} [OPTION ...]", list(worker_options())
        options = f"\n{rows(('Argument', 'Meaning'), lines)}\n" if lines else ""
        parts.append(f"## {program}\n\n{text}\n\n```\n{line}\n```\n{options}")
    return "\n".join(parts)


def generated() -> dict[Path, str]:
    """Every generated file with its text."""
    made: dict[str, Any] = {
        "config.ini": config_ini,
        "docs/configuration.md": configuration,
        "docs/commands.md": commands,
    }
    return {ROOT / name: make() for name, make in made.items()}


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
