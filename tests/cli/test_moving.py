"""What `duey move` refuses before it looks at a queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from duey.cli.commands.moving import alone
from duey.cli.context import Refused
from duey.config import Settings, load
from duey.moving.places import place_of
from duey.storage.transfer import MoveRefused
from tests.support import rows


def settings(folder: Path) -> Settings:
    (folder / "config.ini").touch()
    return load(folder / "config.ini", {})


def test_two_movers_of_one_service(tmp_path: Path) -> None:
    with alone(tmp_path / "data"), pytest.raises(Refused, match="another `duey move`"), alone(tmp_path / "data"):
        pass
    with alone(tmp_path / "data"):
        pass


@rows("url, name, words", [
    ("mysql://user:hunter2@host/db", None, "found 'mysql://user:***@host/db'"),
    ("queue.db", None, "expected redis://HOST"),
    ("redis://me:hunter/2@host:1/0", None, "found 'redis://me:***@host:1/0': correct the URL (in a password, / is %2F"),
    ("sqlite:///", None, "expected redis://HOST"),
    ("redis://h:1/0", "a b", "correct --name"),
])  # fmt: skip
def test_places_that_are_none(url, name, words, tmp_path):
    with pytest.raises(MoveRefused) as refused:
        place_of(url, settings(tmp_path), name)
    assert words in str(refused.value)


def test_a_place_hides_its_password(tmp_path):
    place = place_of("redis://me:hunter2@host:1/0", settings(tmp_path), "shop")
    assert place.label == "redis://host:1/0 (name shop)"
    assert place.lines()[2] == "url = redis://USER:PASSWORD@host:1/0"
    for given, shown in (
        ("host:1?ssl_password=x&db=3", "host:1?db=3"), ("host:1/0?password=a@b", "host:1/0"),
        ("host:1/0?", "host:1/0?"),
        ("host:1?db=3&username=me&password=hunter2", "host:1?db=3"), ("host:1/0?db=3", "host:1/0?db=3"),
    ):  # fmt: skip
        place = place_of(f"redis://{given}", settings(tmp_path), "shop")
        assert place.label == f"redis://{shown} (name shop)", given
        assert place.lines()[2].replace("USER:PASSWORD@", "") == f"url = redis://{shown}", given
    relative = place_of("sqlite:///data/x.db", settings(tmp_path))
    assert relative.label == f"sqlite:///{tmp_path}/data/x.db"


def test_the_password_of_the_settings_need_not_be_repeated(tmp_path):
    config = tmp_path / "config.ini"
    config.write_text("[storage]\nurl = redis://me:hunter2@host:1/0\n")
    for url, found in (("host:1/0", "me:hunter2@host:1/0"), ("you@host:1/0", "you@host:1/0"), ("host:2/0", "host:2/0")):
        assert place_of(f"redis://{url}", load(config, {})).storage.url == f"redis://{found}"
