"""The pages for users, taken apart: code blocks, commands, headings; and what the texts of the code are made of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "llms.txt")] + sorted(DOCS.glob("*.md"))
FENCE = re.compile(r"^```(\w*) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One code block of a page: ```kind note."""

    kind: str
    note: str
    text: str


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    return [Block(*each) for each in FENCE.findall(text_of(page))]


def commands(page: str) -> Iterator[str]:
    """The lines of the page's shell blocks, without comments, those that go on joined."""
    for block in blocks(page):
        if block.kind == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.partition("#")[0].strip():
                    yield line.partition(" #")[0].strip()


def anchors(page: Path) -> set[str]:
    """Those of its headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def fragments() -> set[str]:
    """What stands in the texts of the code between what they fill in."""
    found: set[str] = set()
    for file in [*(ROOT / "duey").rglob("*.py"), *(ROOT / "monitor").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {part for part in re.split(r"%[sdr]|\{\w*\}", node.value) if 5 <= len(part) < 200}
    return found
