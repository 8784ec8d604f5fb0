"""How one key of the table of settings is written down: type, default, parser, help, and whether it is a secret."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NamedTuple

from duey.config.values import Parser


class Key(NamedTuple):
    """One key of the table. `default` is text, as in the file. A secret is never shown."""

    section: str
    name: str
    default: str
    parse: Parser
    help: str
    secret: bool

    @property
    def variable(self) -> str:
        return f"DUEY_{self.section}_{self.name}".upper()


def key(default: str, parse: Parser, help: str, secret: bool = False) -> Any:
    return field(repr=not secret, metadata={"default": default, "parse": parse, "help": help, "secret": secret})
