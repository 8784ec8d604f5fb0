"""What is shown of a stored value is what is shown of the value, and no code of an author runs for it."""

from __future__ import annotations

import enum
import os
from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from huey.registry import Message
from huey.utils import Error

from duey.payload.serializer import make_serializer, register_type, to_plain

RAN: list[str] = []


@register_type
@dataclass(frozen=True)
class Point:
    x: int
    y: Any = None

    def __post_init__(self) -> None:
        RAN.append("constructor")


@register_type
@dataclass
class Late:
    cls: int
    total: int = field(init=False, default_factory=lambda: 7)


@register_type
@dataclass
class Empty:
    pass


@register_type
@dataclass(frozen=True, slots=True)
class Slim:
    a: int
    b: str


@register_type
class Pair(NamedTuple):
    left: Any
    right: Any


@register_type
class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@register_type
class Right(enum.Flag):
    READ = 1
    WRITE = 2


Old = namedtuple("Old", "a b")


class Shelf(list):
    """A collection of an author's own, which only a pickle can hold."""


class Plain:
    def __init__(self) -> None:
        self.a, self.b = 1, Point(2)


class Harmful:
    def __reduce__(self) -> Any:
        return os.system, ("touch harm",)


class Made:
    def __reduce__(self) -> Any:
        return Made.of, (1, Point(2))

    @classmethod
    def of(cls, a: int, b: Point) -> Made:
        RAN.append("class method")
        return cls()


class Loud:
    def __setstate__(self, state: Any) -> None:
        RAN.append("setstate")

    def __init__(self) -> None:
        self.password = "secret"


BOTH = (
    Point(1), [Point(1, Point(2))], Late(3), Empty(), Slim(1, "b"), Pair(Point(1), [2]), Color.RED,
    {"k": Color.BLUE}, Right.READ | Right.WRITE, {Color.RED: 1}, (Color.RED, Point(3)), {"a": {Point(1)}},
    Message("id", "task", None, 0, 0, None, (Point(1),), {"a": Color.RED}), Error({"type": "E", "message": "m"}),
    datetime(2030, 1, 1, tzinfo=ZoneInfo("Europe/Zagreb")), datetime(2030, 1, 1, tzinfo=timezone.utc), date(2030, 1, 1),
    timedelta(seconds=5), Decimal("1.50"), UUID(int=5), Path("/a/b"), {1, 2}, frozenset({"a"}), b"bytes", None, 1.5,
)  # fmt: skip
PICKLED = (OrderedDict(a=1), deque([1, Point(2)]), defaultdict(list, a=[1]), Old(1, Point(2)))


@pytest.mark.parametrize("kind", ["json", "pickle"])
def test_a_stored_value_is_shown_like_the_value(kind):
    serializer = make_serializer(kind)
    for value in (*BOTH, *(PICKLED if kind == "pickle" else ())):
        data = serializer.serialize(value)
        RAN.clear()
        shown = to_plain(serializer.stored(data))
        assert RAN == [], value
        if not isinstance(value, deque):
            assert shown == to_plain(value), value


def test_no_pickle_runs_what_it_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    serializer = make_serializer("pickle")
    shown = {
        "a function": (Harmful(), "touch harm"),
        "an object": (Plain(), {"a": 1, "b": {"x": 2, "y": None}}),
        "a list of its own": (Shelf([1, Point(2)]), [1, {"x": 2, "y": None}]),
        "a class method": (Made(), [1, {"x": 2, "y": None}]),
        "its __setstate__": (Loud(), {"password": "secret"}),
    }
    stored = {name: (serializer.serialize(value), expected) for name, (value, expected) in shown.items()}
    RAN.clear()
    for name, (data, expected) in stored.items():
        assert to_plain(serializer.stored(data)) == expected, name
    assert RAN == [] and not (tmp_path / "harm").exists()
    assert to_plain({serializer.stored(serializer.serialize(Point(1))): 1}) == {"Point(x=1, y=None)": 1}
