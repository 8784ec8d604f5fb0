"""The JSON with type tags: what is carried comes back as it was."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from huey.registry import Message
from huey.utils import SKIPPED, Error
from hypothesis import given

from duey.payload.decode import from_json
from duey.payload.encode import to_json
from duey.payload.types import CarriedError
from tests.payload.samples import MESSAGE, Color, Level, Money, Order, Point, Rights, messages, round_trip, same


@given(messages)
def test_messages_and_the_values_in_them_come_back_as_they_were(message: Message) -> None:
    back = round_trip(message)
    assert type(back) is Message
    assert same(tuple(back), tuple(message))


def test_the_stored_form_of_a_message() -> None:
    assert to_json(MESSAGE) == b'{"!":"m","v":["id-1","tasks.add",null,0,0,null,[1,2],{}]}'
    # Fields are stored by position: a Huey that orders them otherwise cannot read what stands in the store.
    assert " ".join(Message._fields) == (
        "id name eta retries retry_delay priority args kwargs on_complete on_error "
        "expires expires_resolved timeout chord_config retry_backoff"
    )
    assert round_trip(MESSAGE._replace(args=[1, [2]])).args == (1, [2])
    assert round_trip(Message()) == Message()


def test_errors_and_skipped_keep_their_identity() -> None:
    error = Error({"error": "ValueError('x')", "retries": 0, "traceback": "…", "task_id": None})
    back = round_trip(error)
    assert type(back) is Error and back == error
    assert round_trip([SKIPPED])[0] is SKIPPED
    assert round_trip(Error({"error": "no file \udcff"})).metadata == {"error": "no file \\udcff"}
    assert round_trip(OSError("no file \udcff")).message == "no file \\udcff"


def test_an_exception_comes_back_as_a_carried_error(tmp_path: Path) -> None:
    try:
        raise LookupError("gone")
    except LookupError as error:
        back = round_trip({"e": error})["e"]
    assert type(back) is CarriedError
    assert (back.type, back.message, str(back)) == ("LookupError", "gone", "LookupError: gone")
    assert 'raise LookupError("gone")' in back.traceback
    again = round_trip(back)
    assert (again.type, again.message, again.traceback) == (back.type, back.message, back.traceback)

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    back = round_trip(Broken())
    assert back.type.endswith("Broken") and back.message == "<its message could not be made>"
    stored = json.dumps({"!": "x", "v": ["os.system", f"touch {tmp_path}/ran", ""]}).encode()
    assert type(from_json(stored)) is CarriedError, "a stored type is never made again"
    assert list(tmp_path.iterdir()) == []


def test_fields_that_are_made_after_construction_and_fields_added_since() -> None:
    order = Order({"a": 1})
    order.total = 7
    assert round_trip(order).total == 7
    stored = json.dumps({"!": "o", "v": [f"{Money.__module__}.Money", {"amount": "5"}]}).encode()
    assert from_json(stored) == Money("5")  # type: ignore[arg-type]


def test_values_by_example() -> None:
    late = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Zagreb"), fold=1)
    for value in (
        {"n": [10**4299, {-(10**5000): 1 << 100_000}]},  # past the limit of digits
        ["[{" * 1000, '\\"[' * 1000, {"[" * 1000: "\\"}], [[{"a": [1]}]] * 1000,  # no nesting
        "\0\x1b[31m\u2028😀\\ud800", late, time(2, 30, tzinfo=ZoneInfo("Europe/Zagreb")),
        [Color.RED, {Color.TEAL: Level.LOW}, Rights.READ | Rights.WRITE, Point(1, Money("2"))],  # type: ignore[arg-type]
        {"d": date(2024, 2, 29), "u": UUID(int=1), "s": {1, "a"}, "f": frozenset({(1, 2)}), "b": b"\0\xff"},
    ):  # fmt: skip
        assert same(round_trip(value), value), repr(value)[:99]
    assert (round_trip(late).fold, round_trip(late).utcoffset()) == (1, timedelta(hours=1))
    assert from_json(b'"\\ud83d\\ude00"') == "😀"
    assert to_json(datetime(2024, 1, 1)) == b'{"!":"dt","v":"2024-01-01T00:00:00"}'
