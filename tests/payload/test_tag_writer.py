"""The tag writer's refusals: what cannot be carried is named by its path, before anything is stored."""

from __future__ import annotations

import inspect
import socket
import sys
from collections import OrderedDict, namedtuple
from datetime import datetime, tzinfo
from enum import Enum
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from huey.utils import Error

from duey.errors import TooDeepError, UnserializableError
from duey.payload.encode import _QUICK, _encode, to_json
from duey.payload.serializer import JsonSerializer
from tests.payload.samples import MESSAGE, Order, Point, round_trip
from tests.support import rows


class Shade(Enum):  # not registered
    DARK = 1


PAIR = namedtuple("PAIR", "a b")  # not registered


class Text(str):
    pass


class Socket:
    __module__, __qualname__ = "socket", "socket"


class Lopsided(tzinfo):
    pass


REFUSED = [
    ([1, {"items": [Socket()]}], 'args[1]["items"][0]', "type socket.socket cannot be carried as JSON"),
    ([Order({"x": Socket()})], 'args[0].items["x"]', "register the type"),
    ([Point(1, {2: [Socket()]})], "args[0].y[2][0]", "socket.socket"),
    ([{(1, Socket()): 1}], "args[0] (a key)[1]", "socket.socket"),
    ([{(1, 2): Socket()}], "args[0][a tuple]", "socket.socket"), ([{"!": Socket()}], 'args[0]["!"]', "socket.socket"),
    ([{Socket()}], "args[0] (an item)", "socket.socket"),
    ([frozenset({Shade.DARK})], "args[0] (an item)", "put @register_type above its class"),
    ([Shade.DARK], "args[0]", "Shade cannot be carried as JSON; put @register_type above"),
    ([PAIR(1, 2)], "args[0]", "put @register_type above its class"), ([Text("a")], "args[0]", "pass a plain str"),
    ([[OrderedDict()]], "args[0][0]", "pass a plain dict"), ([bytearray(b"a")], "args[0]", "pass bytes(value)"),
    ([PureWindowsPath("a")], "args[0]", "pass a plain PurePath"), ([lambda: 1], "args[0]", "function"),
    ([Order], "args[0]", "a value of type type"), ([1j], "args[0]", "complex"),
    ([float("nan")], "args[0]", "JSON has no nan"),
    ([1, {"a": (1.0, float("-inf"))}], 'args[1]["a"][1]', "JSON has no -inf"),
    ([{float("inf"): 1}], "args[0] (a key)", "JSON has no inf"),
    (["ok", "a\ud800b"], "args[1]", "lone surrogate U+D800 at 1"),
    ([{"\udfff": 1}], "args[0] (a key)", "lone surrogate U+DFFF at 0"),
    ([{"k": {"\udfff": 1}}], 'args[0]["k"] (a key)', "lone surrogate"),
    ([Path("\udcff")], "args[0]", "lone surrogate U+DCFF"),
    ([datetime(2024, 1, 1, tzinfo=Lopsided())], "args[0]", "use zoneinfo.ZoneInfo(name)"),
    ([Error(3)], "args[0]", "an Error holds a dict, found 3"),
]  # fmt: skip


@rows(("args", "path", "sentence"), REFUSED)
def test_what_cannot_be_carried_is_refused_with_its_path(args: list[Any], path: str, sentence: str) -> None:
    for write in (
        lambda: to_json(args, "args"),
        lambda: to_json(tuple(args), "args"),
        lambda: JsonSerializer().check(args, "args"),
        lambda: to_json(MESSAGE._replace(args=tuple(args))),
    ):
        with pytest.raises(UnserializableError) as caught:
            write()
        assert caught.value.path == path
        assert str(caught.value).startswith(f"{path}: ") and sentence in str(caught.value)
    with pytest.raises(UnserializableError) as caught:
        to_json(MESSAGE._replace(on_complete=MESSAGE._replace(args=tuple(args))))
    assert caught.value.path == f"on_complete.{path}"


def test_a_real_socket_a_keyword_argument_and_a_lost_field_are_named() -> None:
    with socket.socket() as open_socket, pytest.raises(UnserializableError) as caught:
        to_json(MESSAGE._replace(kwargs={"to": {"x": open_socket}}))
    assert caught.value.path == 'kwargs["to"]["x"]'
    with pytest.raises(UnserializableError, match=r"^value: a value of type object"):
        to_json(object())
    with pytest.raises(UnserializableError, match=r"^chord_config\[3\]\.kwargs\[\"a\"\]: a value of type object"):
        to_json(MESSAGE._replace(chord_config=("c", 1, 0, MESSAGE._replace(kwargs={"a": object()}))))
    order = Order({})
    del order.items
    with pytest.raises(UnserializableError, match=r"args\[0\]: its fields cannot be read"):
        to_json([order], "args")


@rows(
    ("change", "path"),
    [
        ({"id": 3}, "id"), ({"name": b"x"}, "name"), ({"args": {1}}, "args"), ({"kwargs": [1]}, "kwargs"),
        ({"kwargs": {1: 2}}, "kwargs"), ({"on_complete": ("x",)}, "on_complete"),
        ({"chord_config": [1]}, "chord_config"),
    ],
)  # fmt: skip
def test_a_message_that_could_not_be_read_back_is_not_written(change: dict[str, Any], path: str) -> None:
    with pytest.raises(UnserializableError) as caught:
        to_json(MESSAGE._replace(**change))
    assert caught.value.path == path


def nested(levels: int, make: Any = lambda inner: [inner]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = make(value)
    return value


@rows("make", [lambda v: [v], lambda v: (v,), lambda v: {"a": v}, lambda v: {1: v}, lambda v: Point(1, v)])
def test_a_hundred_levels_are_carried_and_one_more_is_refused(make: Any) -> None:
    assert round_trip(nested(100, make)) == nested(100, make)
    # In a message, args count as the first level, as they do where args alone are checked.
    assert round_trip(MESSAGE._replace(args=(nested(99, make),)))
    for refused in (nested(101, make), MESSAGE._replace(args=(nested(100, make),)), (nested(100, make),)):
        with pytest.raises(TooDeepError, match=r"^args.*: is nested deeper than 100 levels"):
            to_json(refused, "args")


def test_a_value_that_contains_itself_is_refused_where_it_does() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    order = Order({})
    order.items["self"] = order
    for value, sentence in (
        (loop, r"^args\[0\]\[1\]\[\"again\"\]: the list contains itself"),
        (order, r"^args\[0\]\.items\[\"self\"\]: the .*Order contains itself"),
    ):
        with pytest.raises(TooDeepError, match=sentence):
            to_json((value,), "args")


def test_a_caller_that_is_deep_itself_gets_the_named_error() -> None:
    def descend(levels: int) -> None:
        if levels:
            return descend(levels - 1)
        with pytest.raises(TooDeepError, match="is nested too deeply"):
            to_json(nested(90))

    descend(sys.getrecursionlimit() - len(inspect.stack(0)) - 100)


@rows(
    "change",
    [
        {}, {"args": ()}, {"id": "ä\"\\"}, {"kwargs": {"a": 1, "ü": None}}, {"kwargs": {"!": 1}},
        {"kwargs": {"a": [1]}}, {"args": (1, [2])}, {"args": [1]}, {"args": (True, 1.0, 1, "x", None)},
        {"retries": True}, {"retries": 1.0}, {"priority": 5, "timeout": 2.5}, {"retry_backoff": 0},
        {"expires": 3, "retry_backoff": 2}, {"kwargs": None},
        {"args": None, "kwargs": {}}, {"eta": datetime(2026, 1, 1)}, {"expires": datetime(2026, 1, 1)},
        {"on_error": MESSAGE}, {"chord_config": ("c", 1, 0, MESSAGE)}, {"retry_delay": -1.5},
    ],
)  # fmt: skip
def test_a_message_has_one_text_whichever_way_it_is_written(change: dict[str, Any]) -> None:
    message = MESSAGE._replace(**change)
    text = to_json(message)
    assert text == _encode(_QUICK.pack(message, (None, ("",), None, -1))).encode()
    assert text == to_json(message), "the same from the cache"
