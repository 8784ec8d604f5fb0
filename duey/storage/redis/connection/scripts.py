"""The scripts in Lua: where each is, and what it is made of."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent.parent / "lua"
USES = "-- uses:"


class Script(NamedTuple):
    """One script, ready to be sent."""

    name: str
    text: bytes
    sha: bytes


@cache
def scripts() -> dict[str, str]:
    """Every script without its parts, by name: each in `lua/NAME.lua`, the short ones in `lua/short.lua`."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.lua")}
    for each in found.pop("short").split("-- script: ")[1:]:
        name, _, text = each.partition("\n")
        found[name] = text
    return found


@cache
def script(name: str) -> Script:
    """The script of this name, after `lua/lib_base.lua` and the parts that its first line names: PART is
    `lua/lib_PART.lua`. A line `-- here: PART` stands for that part: its functions are made only if they are needed."""
    text = scripts()[name]
    first = text.partition("\n")[0]
    if not first.startswith(USES):
        raise ValueError(f"the script {name} does not begin with {USES!r}")
    parts = [scripts()[f"lib_{part}"] for part in ("base", *first[len(USES) :].split())]
    text = re.sub(r"^ *-- here: (\w+)$", lambda line: scripts()[f"lib_{line[1]}"], text, flags=re.MULTILINE)
    whole = "\n".join([*parts, text]).encode()
    return Script(name, whole, hashlib.sha1(whole).hexdigest().encode())
