"""The plain form: valid JSON for any value at all."""

from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from huey.utils import SKIPPED, Error
from hypothesis import given
from hypothesis import strategies as st

from duey.payload.plain import MAX_DEPTH, Bounds, is_cut, is_plain, plain_call, to_plain
from duey.payload.types import CarriedError
from tests.support import rows


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Shout(str):
    def __str__(self) -> str:
        raise RuntimeError


@dataclass
class Order:
    items: list[Any]
    total: Decimal = Decimal(1)
    late: int = field(init=False)


class Hostile:
    """Fails wherever it is touched."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


class HostileDict(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError

    def __repr__(self) -> str:
        return "x" * 10_000


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


Pair = namedtuple("Pair", "a b")


@rows(
    ("value", "plain"),
    [
        (None, None), (True, True), (3, 3), (0.5, 0.5), ("ä", "ä"),
        (datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc), "2024-01-02T03:04:05Z"),
        (datetime(2024, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))), "2024-01-02T01:00:00Z"),
        (datetime(2024, 1, 2, 3, 4, 5, 600), "2024-01-02T03:04:05.000600"), (date(2024, 1, 2), "2024-01-02"),
        (time(3, 4), "03:04:00"), (timedelta(days=1, milliseconds=500), "PT86400.5S"),
        (timedelta(seconds=-90), "-PT90S"), (timedelta(0), "PT0S"), (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"), (Path("a/b"), "a/b"), (Path("\udcff"), "\\udcff"),
        (b"\0" * 100, {"bytes": "A" * 86 + "==", "size": 100}), (bytearray(b"a"), {"bytes": "YQ==", "size": 1}),
        ((1, (2,)), [1, [2]]), ({3, 20, 1}, [1, 3, 20]), (frozenset({"b", "a"}), ["a", "b"]),
        ({1, "a", None}, [None, 1, "a"]),
        ({1: "x", (2, 3): None, None: 1, Path("p"): 2}, {"1": "x", "(2, 3)": None, "None": 1, "p": 2}),
        (Color.RED, "red"), (Level.LOW, 1), (Order([Color.RED]), {"items": ["red"], "total": "1"}),
        (Pair(1, {2}), {"a": 1, "b": [2]}), (OrderedDict(a=1), {"a": 1}),
        (ValueError("bad"), {"type": "ValueError", "message": "bad"}),
        (CarriedError("x.Y", "bad"), {"type": "x.Y", "message": "bad"}),
        (HostileError(), {"type": f"{__name__}.HostileError", "message": "<its message could not be made>"}),
        (Error({"error": "x"}), {"error": "x"}), (SKIPPED, "SKIPPED"), (float("nan"), "nan"),
        ([float("-inf")], ["-inf"]), ("a\ud800", "a\\ud800"), (Shout("quiet"), "quiet"),
        (10**5000, "<int of 16610 bits>"), (Hostile(), "<Hostile without a working repr>"),
        (HostileDict(a=1), "x" * 199 + "…"), (Order, repr(Order)),
    ],
)  # fmt: skip
def test_plain_form(value: Any, plain: Any) -> None:
    found = to_plain(value)
    assert found == plain and type(found) is type(plain)
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()


def test_depth_is_bounded_also_for_loops() -> None:
    loop: list[Any] = []
    loop.append(loop)
    found = to_plain({"loop": loop})
    levels = 0
    while not isinstance(found, str):
        found = found["loop"] if isinstance(found, dict) else found[0]
        levels += 1
    assert levels == MAX_DEPTH + 1
    assert found == "<list: too deep to show>"


def test_what_is_beyond_the_bounds_is_not_looked_at() -> None:
    bounds = Bounds(10, 2000)
    assert to_plain(list(range(8)), bounds) == list(range(8))
    for value, shown in (
        (list(range(50)), [*range(9), "… 41 more"]),
        ({str(n): n for n in range(50)}, {**{str(n): n for n in range(9)}, "…": "41 more"}),
        ([[0] * 50, [0] * 50], [[0] * 8 + ["… 42 more"], "… 1 more"]),
        ("x" * 5000, "x" * 1500 + "… (3500 characters left out)"),
        ("x " * 2500, "x " * 999 + "x… (3001 characters left out)"),
    ):
        assert to_plain(value, bounds) == shown and is_cut(shown)
        assert not is_cut(to_plain(value))
    assert len(to_plain(set(range(50)), bounds)) == 10


def test_half_of_a_secret_does_not_stand_where_a_text_is_cut() -> None:
    url = "https://ana:hunter2@example.org/ "
    for before in range(900, 1100):
        text = to_plain("x" * before + " " + url + "y" * 2000, Bounds(10, 1000))
        assert "hunter2@" in text or "hunter" not in text


def test_the_arguments_of_a_call_share_the_bounds() -> None:
    bounds = Bounds(100, 1000)
    assert plain_call([[0] * 500, 1], {"a": [0] * 10}, bounds) == ([[0] * 32 + ["… 468 more"], 1], {"a": [0] * 10})
    args, kwargs = plain_call([0] * 50, {str(n): n for n in range(50)}, bounds)
    assert (args, kwargs) == ([0] * 5 + ["… 45 more"], {**{str(n): n for n in range(5)}, "…": "45 more"})


def test_shared_references_cannot_make_it_endless() -> None:
    value: list[Any] = [1]
    for _ in range(40):
        value = [value, value]
    assert len(json.dumps(to_plain(value, Bounds(1000, 1000)))) < 100_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
        lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    )
)
def test_the_plain_form_is_always_valid_json(value: Any) -> None:
    assert json.loads(json.dumps(to_plain(value), allow_nan=False)) == to_plain(value)


def test_what_is_plain_already_is_found_so_whatever_its_numbers():
    for value in ([1], [-1], [0, 2**2000 - 1], {"a": [1 - 2**2000]}):
        assert is_plain(value) and to_plain(value) is value
    assert not is_plain([2**2000]) and not is_plain([-(2**2000)])
