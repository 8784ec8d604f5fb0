"""docs/monitor.md and docs/access.md tell people what there is, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

from duey.monitor.access import ROLES
from duey.monitor.web.forms.filters import KEYS
from duey.monitor.web.pages import NAVIGATION
from duey.monitor.web.pages.errors import MARKS
from duey.monitor.web.verbs import VERBS

DOC = Path(__file__).parents[3] / "docs" / "monitor.md"
TEXT = DOC.read_text(encoding="utf-8")
ACCESS = DOC.with_name("access.md").read_text(encoding="utf-8")


def test_every_page_and_its_key_is_told() -> None:
    rows = re.findall(r"^\| [^|]+\? \| ([^|]+) \|", TEXT, re.MULTILINE)
    told = {name.strip().capitalize() for row in rows for name in row.split(",")}
    assert told >= {label for _, _, label, _ in NAVIGATION}
    keys = re.search(r"`g` then `([a-z ]+)`", TEXT)
    assert keys and keys[1].split() == [key for _, _, _, key in NAVIGATION]


def test_every_key_of_the_filter_is_told() -> None:
    sentence = TEXT[TEXT.index("The filter of Jobs takes") :].partition("It stands in the address")[0]
    assert set(re.findall(r"`(\w+)[:.]", sentence)) == {*KEYS, "args"}


def test_every_verb_and_role_is_told() -> None:
    table = TEXT[TEXT.index("## Which verb does what") :].partition("Each verb counts")[0].lower()
    for word in (
        *VERBS, "run again", "edit arguments and retry", "ask to stop", "pause", "quiet", "stop", "run it now",
    ):  # fmt: skip
        assert word in table
    assert all(mark in table for mark in MARKS if mark != "fix") and "mark fixed" in table
    assert all(f"**{role}**" in ACCESS for role in ROLES)


def test_every_picture_is_there() -> None:
    for file in (DOC, DOC.parents[1] / "README.md"):
        for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", file.read_text(encoding="utf-8")):
            assert (file.parent / picture).stat().st_size < 200_000, picture
