"""What the tests of the serializer carry: registered types, generated values, a strict equality."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from huey.registry import Message
from huey.utils import SKIPPED
from hypothesis import strategies as st

from duey.payload.decode import from_json
from duey.payload.encode import to_json
from duey.payload.types import register_type

MESSAGE = Message("id-1", "tasks.add", None, 0, 0, None, (1, 2), {})


@register_type
class Color(Enum):
    RED = "red"
    TEAL = object()  # a value that JSON could not hold: members travel by name


@register_type
class Level(IntEnum):
    LOW = 1


@register_type
class Rights(Flag):
    READ = 1
    WRITE = 2


@register_type
class Point(NamedTuple):
    x: int
    y: Any = 0


@register_type
@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str = "EUR"


@register_type
@dataclass
class Order:
    items: dict[str, Any]
    money: Money | None = None
    total: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if not isinstance(self.items, dict):
            raise ValueError("items must be a dict")


def round_trip(value: Any) -> Any:
    return from_json(to_json(value))


def same(a: Any, b: Any) -> bool:
    """Equality that also compares types, folds, zones, signs and the order of dicts, all the way down."""
    return picture(a) == picture(b)


def picture(value: Any) -> str:
    """All of a value that may be compared, as text."""
    parts: Any = value
    if isinstance(value, (set, frozenset)):
        parts = sorted(map(picture, value))
    elif isinstance(value, (list, tuple)):
        parts = list(map(picture, value))
    elif isinstance(value, dict):
        parts = [(picture(key), picture(item)) for key, item in value.items()]
    elif isinstance(value, (Order, Money)):
        parts = [picture(getattr(value, f.name)) for f in fields(value)]
    elif isinstance(value, (datetime, time)):
        parts = value.replace(tzinfo=None), value.fold, str(value.tzinfo)
    elif type(value) is int:
        parts = hex(value)  # repr has a limit
    return f"{type(value)} {parts!r}"


ZONES = ["Europe/Zagreb", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["!", "v", "", "\0"])
# Python writes an offset of less than a second and reads it back as UTC (its isoformat and fromisoformat do).
readable = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).filter(
    lambda off: not off or abs(off) >= timedelta(seconds=1)
)
offsets = readable.map(timezone)
zones = st.none() | offsets | st.sampled_from(ZONES).map(ZoneInfo)
folds = st.sampled_from([0, 1])
hashable_leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), text,
    st.binary(max_size=8), st.dates(), st.timedeltas(), st.decimals(allow_nan=False), st.uuids(),
    st.builds(lambda d, z, f: d.replace(tzinfo=z, fold=f), st.datetimes(), zones, folds),
    st.builds(lambda t, z, f: t.replace(tzinfo=z, fold=f), st.times(), zones, folds),
    text.map(PurePosixPath), text.map(Path), st.builds(Money, st.decimals(allow_nan=False), text),
    st.sampled_from([Color.RED, Color.TEAL, Level.LOW, Rights.READ | Rights.WRITE, Rights(0)]),
)  # fmt: skip
hashables = st.recursive(
    st.deferred(lambda: hashable_leaves),  # deferred: its repr would fill pages
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    st.deferred(lambda: hashables)
    | st.sampled_from([SKIPPED, Decimal("NaN"), Decimal("-sNaN12")])
    | st.integers(14_000, 17_000).map(lambda bits: 1 << bits),  # around the limit of int's digits
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple), st.dictionaries(text, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=3), st.sets(hashables, max_size=3),
        st.builds(Point, st.integers(), inner), st.dictionaries(text, inner, max_size=3).map(Order),
    ),
    max_leaves=12,
)  # fmt: skip

messages = st.builds(
    lambda args, kwargs, eta, inner: MESSAGE._replace(
        args=tuple(args), kwargs=kwargs, eta=eta, on_complete=inner, on_error=inner,
        chord_config=None if inner is None else ("cid", 3, 1, inner),
    ),
    st.lists(values, max_size=3),
    st.dictionaries(text, values, max_size=3),
    st.none() | st.datetimes(),
    st.none() | st.just(MESSAGE._replace(timeout=3)),
)  # fmt: skip
