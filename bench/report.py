"""bench/RESULTS.md: one part for each measurement, each with its own date, so that one can be measured anew alone."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine

HEAD = """# How fast

Written by `make bench`; each part says when and how it was measured. Rates are jobs a second, medians of interleaved
runs (each round runs every system once, in turn), with the lowest and the highest in brackets. Ratios are medians of
the ratios within a round, because both saw the same machine then. Every job is a no-op that leaves a mark in shared
memory (0.3 µs), the same in every system; results are stored. What a system was set to and what it promises stands
in the last table: a number without its promise says nothing.
"""


@dataclass
class Section:
    """One part. `reach` holds what issue 5 asks for: what, wanted, found, whether it is met."""

    name: str
    title: str
    lines: list[str] = field(default_factory=list)
    reach: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        self.lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]

    def say(self, text: str) -> None:
        self.lines += ["", text]

    def text(self, how: str) -> str:
        """As it stands in the file."""
        today = datetime.datetime.now(datetime.timezone.utc)
        lines = [f"## {self.title}", "", f"*{today:%Y-%m-%d %H:%M} UTC, {how}; {machine.name()}*", *self.lines]
        if self.reach:
            lines += ["", "| to reach | wanted | found | |", "|---|---|---|---|"]
            lines += [
                f"| {what} | {wanted} | {found} | {'yes' if met else '**no**'} |"
                for what, wanted, found, met in self.reach
            ]
        return "\n".join(lines) + "\n"


def write(path: Path, sections: Sequence[Section], order: Sequence[str], how: str) -> None:
    """Put the sections into the file, in order; parts that were not measured now stay as they are."""
    parts = read(path)
    for section in sections:
        parts[section.name] = section.text(how)
    known = [name for name in order if name in parts] + [name for name in parts if name not in order]
    text = HEAD + "".join(f"\n<!-- {name} -->\n{parts[name]}<!-- end -->\n" for name in known)
    path.write_text(text, encoding="utf-8")


def read(path: Path) -> dict[str, str]:
    """The parts that the file holds."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return {match[1]: match[2] for match in re.finditer(r"<!-- (\w+) -->\n(.*?)<!-- end -->", text, re.DOTALL)}
