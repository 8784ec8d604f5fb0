"""Loads the Lua scripts, each together with the parts that its first line names.

A file `lua/NAME.lua` begins with `-- uses: PART PART`, and each PART is the file `lua/lib_PART.lua`. Redis compiles a
script once and then knows it by its SHA-1.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "lua"
USES = "-- uses: "


class Script(NamedTuple):
    """One script, ready to be sent."""

    name: str
    text: bytes
    sha: bytes


@cache
def script(name: str) -> Script:
    """The script `lua/NAME.lua`, preceded by its parts."""
    text = (FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    if not first.startswith(USES):
        raise ValueError(f"{name}.lua does not begin with {USES!r}")
    parts = [(FOLDER / f"lib_{part}.lua").read_text(encoding="utf-8") for part in first[len(USES) :].split()]
    whole = "\n".join([*parts, text]).encode()
    return Script(name, whole, hashlib.sha1(whole).hexdigest().encode())
