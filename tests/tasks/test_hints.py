"""What a value becomes under a hint, and the sentence when it cannot become it."""

# ruff: noqa: UP006, UP007, UP035, UP045 - the old spellings are hints too

import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Dict, List, Literal, Optional, Set, Tuple, Union
from uuid import UUID

from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from duey.control.call import bind, call_schema
from duey.errors import InvalidArguments
from duey.tasks.signature import Signature
from tests.support import rows
from tests.tasks import late_annotations
from tests.tasks.hint_samples import (
    UTC,
    Bound,
    Cat,
    Color,
    Custom,
    Dog,
    Even,
    Free,
    Level,
    Loose,
    Loosely,
    Model,
    Moment,
    Movie,
    Node,
    Number,
    Pair,
    PartMovie,
    Point,
    Right,
    Shaped,
    Switch,
    Unreadable,
    UserId,
    made,
    problems,
    refusal,
    signature_of,
)

ACCEPTED = [
    (int, 2, 2), (int, -(10**300), -(10**300)), (float, 2.5, 2.5), (float, 2, 2.0), (str, "", ""), (str, "é💥", "é💥"),
    (bool, True, True), (bytes, "AAE=", b"\x00\x01"), (bytes, "", b""), (bytes, b"x", b"x"), (None, None, None),
    (type(None), None, None), (list, [1, "a"], [1, "a"]), (List[int], [1, 2], [1, 2]),
    (list[float], [1, 2.5], [1.0, 2.5]), (Sequence[int], [1], [1]),
    (Iterable[date], ["2024-01-02"], [date(2024, 1, 2)]), (list[int], (1, 2), [1, 2]), (typing.List, [None], [None]),
    (tuple, [1, "a"], (1, "a")), (Tuple[int, str], [1, "a"], (1, "a")),
    (tuple[date, ...], ["2024-01-02"], (date(2024, 1, 2),)), (tuple[()], [], ()), (Tuple, [1], (1,)),
    (set, [1, 1], {1}), (Set[str], ["a"], {"a"}), (frozenset[int], [1], frozenset({1})), (set[int], {1}, {1}),
    (dict, {"a": 1}, {"a": 1}), (dict, {1: 2}, {1: 2}), (Dict[str, int], {"a": 1}, {"a": 1}),
    (dict[int, str], {"1": "a"}, {1: "a"}), (dict[float, int], {"1.5": 1, "2": 2}, {1.5: 1, 2.0: 2}),
    (Mapping[date, int], {"2024-01-02": 1}, {date(2024, 1, 2): 1}), (dict[Color, int], {"red": 1}, {Color.RED: 1}),
    (Optional[int], None, None), (Optional[int], 3, 3), (int | None, None, None), (Union[int, str], "2", "2"),
    (float | int, 3, 3), (int | float, 3.0, 3.0), (float | None, 3, 3.0), (date | str, "2024-01-02", date(2024, 1, 2)),
    (date | str, "soon", "soon"), (date | None, "2024-01-02", date(2024, 1, 2)),
    (datetime | date, "2024-01-02", date(2024, 1, 2)), (list[date] | list[str], ["soon"], ["soon"]),
    (list[float] | list[int], [1], [1]), (dict[str, float] | dict[str, int], {"a": 1}, {"a": 1}),
    (Color | str, "red", Color.RED), (Color | str, "pink", "pink"),
    (list[date] | None, ["2024-01-02"], [date(2024, 1, 2)]), (set[int] | list[int], {1}, {1}),
    (Literal["a", 1, None], 1, 1), (Literal["a", 1, None], None, None), (Literal[Color.RED], "red", Color.RED),
    (Literal[Color.RED], "RED", Color.RED), (Literal[Color.RED], Color.RED, Color.RED),
    (datetime, "2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (datetime, "2024-01-02 03:04", datetime(2024, 1, 2, 3, 4)),
    (datetime, "2024-01-02t03:04:05,5z", datetime(2024, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC)),
    (datetime, "2024-01-02T03:04:05.123456789+0000", datetime(2024, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)),
    (time, "03:04-0130", time(3, 4, tzinfo=timezone(timedelta(minutes=-90)))),
    (datetime, "2024-01-02T03:04:05-0500", datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-5)))),
    (date, "2024-02-29", date(2024, 2, 29)), (time, "10:30", time(10, 30)),
    (time, "10:30:01.5", time(10, 30, 1, 500_000)), (time, "10:30Z", time(10, 30, tzinfo=UTC)),
    (timedelta, 90, timedelta(seconds=90)), (timedelta, -1.5, timedelta(seconds=-1.5)),
    (timedelta, "P1W2DT3H4M5.5S", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5.5)),
    (timedelta, "-PT1M", timedelta(minutes=-1)), (timedelta, "P1Y", timedelta(days=365)),
    (timedelta, "P0D", timedelta()), (Decimal, "1.10", Decimal("1.10")), (Decimal, 0.1, Decimal("0.1")),
    (Decimal, 3, Decimal(3)), (Decimal, "-1e5", Decimal("-1e5")), (Decimal, "1_000", Decimal(1000)),
    (UUID, "123e4567-e89b-12d3-a456-426614174000", UUID(int=0x123E4567E89B12D3A456426614174000)),
    (UUID, "123E4567E89B12D3A456426614174000", UUID(int=0x123E4567E89B12D3A456426614174000)),
    (Path, "/tmp/x", Path("/tmp/x")), (PurePosixPath, "a/b", PurePosixPath("a/b")), (Color, "red", Color.RED),
    (Color, "GREEN", Color.GREEN), (Color, "ROUGE", Color.RED), (Color, Color.RED, Color.RED), (Level, 2, Level.HIGH),
    (Level, "LOW", Level.LOW), (Right, 3, Right.READ | Right.WRITE), (Loose, "ah", Loose.A), (Switch, True, Switch.ON),
    (Switch, [1], Switch.ONE), (Point, {"x": 1}, Point(1)),
    (Point, {"x": 1, "y": 2, "tags": ["a"]}, Point(1, 2.0, ["a"])), (Point, Point(1), Point(1)),
    (Node, {"name": "a", "children": [{"name": "b"}]}, Node("a", [Node("b")])),
    (Unreadable, {"n": 1, "engine": [2]}, {"n": 1, "engine": [2]}),  # cannot be built: accepts anything
    (Cat | Dog, {"kind": "dog", "lives": 1}, Dog("dog", 1)), (Pair, {"left": 1}, Pair(1)),
    (Pair, [1, "x"], Pair(1, "x")), (Pair, Pair(1), Pair(1)), (Loosely, {"a": 1, "b": None}, Loosely(1, None)),
    (Movie, {"title": "a", "year": 1}, {"title": "a", "year": 1}),
    (PartMovie, {"title": "a", "year": 1}, {"title": "a", "year": 1}), (Annotated[int, "seconds", []], 2, 2),
    (Annotated[Optional[date], 1], "2024-01-02", date(2024, 1, 2)), (UserId, 5, 5), (Number, "1.5", Decimal("1.5")),
    (Bound, "2024-01-02", date(2024, 1, 2)), (Free, {"any": [1]}, {"any": [1]}), (Any, {"a": [None]}, {"a": [None]}),
    (Annotated[int, Field(ge=1)], 1, 1), (Annotated[list[int], Field(max_length=1)], [1], [1]),
    (Annotated[int, Ge(1)], 1, 1), (Model, {"n": 1}, Model(n=1)),
    (Moment, {"at": "2024-01-02T03:04Z"}, Moment(datetime(2024, 1, 2, 3, 4, tzinfo=UTC))), (object, "x", "x"),
    ("NoSuchName", 5, 5), ("list[NoSuchName]", 5, 5), (5, "x", "x"), ("int", 5, 5), (Shaped, 5, 5),
    (Custom, instance := Custom(), instance), (Callable[[int], str], str, str), (type[int], int, int),
]  # fmt: skip


@rows("hint, value, expected", ACCEPTED)
def test_accepted(hint, value, expected):
    got = made(hint, value)
    assert got == expected
    assert repr(got) == repr(expected)  # 1.0 == 1 == True


NO_DURATIONS = (
    "P", "PT", "P1", "1:30", "", True, 1e300, 10**400, float("inf"), "P999999999999W",
)  # fmt: skip
NO_DECIMALS = ("NaN", "Infinity", "", "1,5", True, float("nan"))
NO_UUIDS = ("1", "1_3e4567e89b12d3a456426614174000", 5)
NO_PATHS = ("\ud800", 5, None)
NO_MOMENTS = (
    "2024-01-02", "2024-01-02T24:00", "2024-13-01T00:00", "2024-01-02T00:00+25:00", "2024-01-02T00:00:60Z", "x" * 99,
)  # fmt: skip
REFUSED = [
    (int, True, "expected an integer, found true"), (int, 3.0, "expected an integer, found the number 3.0"),
    (int, "2", 'expected an integer, found the text "2"'), (int, None, "expected an integer, found null"),
    (int, [1], "expected an integer, found a list of 1"), (int, {}, "expected an integer, found an empty object"),
    (int, {"a": 1}, "expected an integer, found an object of 1 field"),
    (int, [], "expected an integer, found an empty list"), (float, "1", 'expected a number, found the text "1"'),
    (float, False, "expected a number, found false"),
    (float, float("nan"), "expected a finite number, found nan, which JSON does not have"),
    (float, 10**400, "expected a finite number, found the number of more than 55 digits"),
    (str, 1, "expected text, found the number 1"),
    (str, "a\ud800", "expected valid Unicode, found text with half of a surrogate pair"),
    (bool, 1, "expected true or false, found the number 1"),
    (bytes, "é", 'expected bytes as base64 text, found the text "é"'),
    (bytes, "AAE", 'expected bytes as base64 text, found the text "AAE"'),
    (None, 0, "expected null, found the number 0"), (list[int], "abc", 'expected a list, found the text "abc"'),
    (Sequence[str], "abc", 'expected a list, found the text "abc"'),
    (list, {"a": 1}, "expected a list, found an object of 1 field"),
    (tuple[int, str], [1], "expected a value, found nothing: add it"),
    (tuple[()], [1], "expected at most 0 items, found a list of 1"),
    (set[int], {"a": 1}, "expected a list, found an object of 1 field"),
    (dict[str, int], [1], "expected an object, found a list of 1"),
    (Optional[int], "x", 'expected an integer, found the text "x"'),
    (int | str | None, 1.5, "expected an integer or text, found the number 1.5"),
    (Literal["a", 1], "b", 'expected "a" or 1, found the text "b"'),
    (Literal["a"], [], 'expected "a", found an empty list'),
    (datetime, "2024-1", 'expected a date and time like "2030-01-31T10:30:00Z", found the text "2024-1"'),
    (datetime, 5, 'expected a date and time like "2030-01-31T10:30:00Z", found the number 5'),
    (date, "2023-02-29", 'expected a date like "2030-01-31", found the text "2023-02-29"'),
    (date, "20230201", 'expected a date like "2030-01-31", found the text "20230201"'),
    (time, "25:00", 'expected a time of day like "10:30:00", found the text "25:00"'),
    (time, "10:30.5", 'expected a time of day like "10:30:00", found the text "10:30.5"'),
    *((timedelta, wrong, None) for wrong in NO_DURATIONS), *((Decimal, wrong, None) for wrong in NO_DECIMALS),
    *((UUID, wrong, None) for wrong in NO_UUIDS), *((Path, wrong, None) for wrong in NO_PATHS),
    *((datetime, wrong, None) for wrong in NO_MOMENTS),
    (Color, "blue", 'expected "red" or "green", found the text "blue"'),
    (Level, 3, "expected 1 or 2, found the number 3"), (Loose, "boom", "it is refused: ZeroDivisionError"),
    (Right, 8, None), (Color, ["red"], None), (Even, {"n": 3}, "it is refused: 3 is odd"),
    (Point, 5, "expected an object, found the number 5"), (Point, [1, 2.0], "expected an object, found a list of 2"),
    (Pair, [], "expected a value, found nothing: add it"), (Pair, [1, "a", 2], None),
    (Cat | Dog, {"kind": "cow", "lives": 1}, None),
    (Custom, {}, "expected a Python value of the type Custom, found an empty object"),
    (Annotated[int, Ge(1)], 0, "expected at least 1, found the number 0"),
    (Annotated[int, Field(ge=1)], 0, "expected at least 1, found the number 0"),
    (Annotated[str, Field(max_length=2)], "abc", 'expected text of at most 2 characters, found the text "abc"'),
    (Annotated[int, Field(multiple_of=2)] | None, 3, "expected a multiple of 2, found the number 3"),
    (datetime, "1893456000", None), (date, "20230102", None),
    (Any, "\ud800", "expected valid Unicode, found text with half of a surrogate pair"),
    (Any, float("-inf"), "expected a finite number, found -inf, which JSON does not have"),
]  # fmt: skip


@rows("hint, value, sentence", REFUSED)
def test_refused(hint, value, sentence):
    got = refusal(hint, value)
    if sentence is not None:
        assert got.replace("tests.tasks.", "") == sentence


@rows(
    "hint, value, paths",
    [
        (list[int], [1, "2", 3, None], ["[1]", "[3]"]),
        (tuple[int, str], ["a", 1], ["[0]", "[1]"]),
        (dict[str, list[int]], {"a b": [1, "x"], "c": 5}, ['["a b"][1]', ".c"]),
        (dict[int, int], {"x": 1, "2": 2}, [".x (a key)"]),
        (set, [1, [2]], ["[1]"]),
        (Optional[list[int]], ["x"], ["[0]"]),
        (Union[int, Point], {"x": "a"}, [".x"]),
        (Point, {"y": "a", "z": 1, "tags": [1], "length": 3}, [".x", ".y", ".tags[0]", ".z", ".length"]),
        (
            Node,
            {"name": "a", "children": [{"name": "b"}, {"nam": 1}]},
            [".children[1].name", ".children[1].nam"],
        ),
        (Movie, {"title": 1, "no te": 2}, [".title", ".year", '["no te"]']),
        (Pair, ["a", 1], ["[0]", "[1]"]),
        (
            Cat | Dog | None,
            {"kind": "dog", "lives": 1, "friend": {"kind": "cat", "lives": "9"}},
            [".friend.lives"],
        ),
        (Any, {"a": [1, {"b": float("nan")}, "\ud800"]}, [".a[1].b", ".a[2]"]),
        (Any, {"\ud800": 1}, ['["\\ud800"]']),
    ],
)
def test_nested_problems_are_all_named_by_their_path(hint, value, paths):
    assert list(problems(signature_of(hint), [value])) == ["args[0]" + path for path in paths]
    assert list(problems(signature_of(hint), [], {"value": value})) == ["kwargs.value" + path for path in paths]


def test_sentences_about_fields():
    found = problems(signature_of(Point), [{"Y": 1}])
    assert found["args[0].Y"] == "no such field: leave it out"
    assert found["args[0].x"] == "expected a value, found nothing: add it"


@rows(
    "hint, text",
    [
        (int, "int"), (None, "None"), (Any, "any"), ("Any", "any"), (object, "any"), (List[int], "list[int]"),
        (list, "list"), (Optional[date], "date | None"), (Union[int, str], "int | str"), (int | None, "int | None"),
        (dict[str, list[int]], "dict[str, list[int]]"), (tuple[int, ...], "tuple[int, ...]"),
        (Sequence[int], "Sequence[int]"), (Literal["a", 1], "Literal['a', 1]"), (Color, "Color"), (Point, "Point"),
        (Annotated[int, "s"], "int"), (UserId, "UserId"), (Callable[[int], str], "Callable[[int], str]"),
        ("NoSuchName", "NoSuchName"), ("list[NoSuchName]", "list[NoSuchName]"), (5, "5"), (Free, "Free"),
    ],
)  # fmt: skip
def test_hints_as_text(hint, text):
    assert signature_of(hint).parameters[0].type.replace("~", "") == text


def test_a_deep_union_is_walked_once():
    value: Any = {"kind": "cat", "lives": "wrong"}
    for level in range(40):
        value = {"kind": ("cat", "dog")[level % 2], "lives": 1, "friend": value}
    assert list(problems(signature_of(Cat | Dog), [value])) == ["args[0]" + ".friend" * 40 + ".lives"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["x", "y", "name", "kind"]), inner),
    max_leaves=15,
)
hints = st.sampled_from(list({id(hint): hint for hint, *_ in [*ACCEPTED, *REFUSED]}.values()))


@given(hints, json_values)
def test_whatever_comes_is_made_or_refused_in_words(hint, value):
    signature = signature_of(hint)
    try:
        bind(signature, [value], {})
    except InvalidArguments as refused:
        assert refused.errors
        for error in refused.errors:
            assert error.path.startswith("args[0]") and error.message
            error.path.encode(), error.message.encode()


@given(st.datetimes(timezones=st.none() | st.just(UTC)))
def test_times_come_back(value):
    assert made(datetime, value.isoformat()) == value
    assert made(date, value.date().isoformat()) == value.date()
    assert made(time, value.timetz().isoformat()) == value.timetz()


@given(st.timedeltas(timedelta(-36_500), timedelta(36_500)))
def test_durations_come_back(value):
    microseconds = value // timedelta(microseconds=1)
    text = f"{'-' * (microseconds < 0)}PT{Decimal(abs(microseconds)) / 10**6:f}S"
    assert made(timedelta, text) == value


def test_late_annotations():
    signature = Signature(late_annotations.task, "task")
    assert [p.type for p in signature.parameters] == ["Path", "Missing", "Ticket"]
    args, _ = bind(signature, ["/x", 5, {"due": "2024-01-02", "n": 1}], {})
    if sys.version_info < (3, 12):  # before, pydantic reads a TypedDict of typing_extensions only
        assert args == (Path("/x"), 5, {"due": "2024-01-02", "n": 1})
        assert list(call_schema(signature).unusable()) == ["missing", "ticket"]
    else:
        assert args == (Path("/x"), 5, {"due": date(2024, 1, 2), "n": 1})
        assert list(problems(signature, ["/x", 5, {"n": 1, "note": 3}])) == ["args[2].due", "args[2].note"]


if sys.version_info >= (3, 11):  # typing sees text within list[...]

    def test_text_within_a_hint():
        assert made("list['date']", ["2024-01-02"]) == [date(2024, 1, 2)]


if sys.version_info >= (3, 12):  # type statements

    def test_type_aliases_may_name_themselves():
        namespace: dict[str, Any] = {}
        exec("type Tree = int | list[Tree]\ndef task(tree: Tree): ...", namespace)
        signature = Signature(namespace["task"], "task")
        assert bind(signature, [[1, [2, [3]]]], {}) == (([1, [2, [3]]],), {})
        assert problems(signature, [[1, ["x"]]])
        assert signature.parameters[0].type == "Tree"
