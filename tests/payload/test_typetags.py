"""The JSON with type tags: what is carried comes back as it was."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from huey.registry import Message
from huey.utils import SKIPPED, Error
from hypothesis import given

from duey.payload.decode import from_json
from duey.payload.encode import to_json
from duey.payload.types import CarriedError
from tests.payload.samples import MESSAGE, Money, Order, messages, round_trip, same, values


@given(values)
def test_carried_values_come_back_as_they_were(value: Any) -> None:
    assert same(round_trip(value), value)


@given(messages)
def test_messages_come_back_as_they_were(message: Message) -> None:
    back = round_trip(message)
    assert type(back) is Message
    assert same(tuple(back), tuple(message))


def test_the_common_message_is_compact() -> None:
    assert to_json(MESSAGE) == b'{"!":"m","v":["id-1","tasks.add",null,0,0,null,[1,2],{}]}'


def test_the_stored_order_of_message_fields_is_hueys() -> None:
    # Fields are stored by position: a Huey that orders them otherwise cannot read what stands in the store.
    assert " ".join(Message._fields) == (
        "id name eta retries retry_delay priority args kwargs on_complete on_error "
        "expires expires_resolved timeout chord_config retry_backoff"
    )


def test_argument_lists_arrive_as_tuples() -> None:
    assert round_trip(MESSAGE._replace(args=[1, [2]])).args == (1, [2])
    assert round_trip(Message()) == Message()


def test_error_and_skipped_keep_their_identity() -> None:
    error = Error({"error": "ValueError('x')", "retries": 0, "traceback": "…", "task_id": None})
    back = round_trip(error)
    assert type(back) is Error and back == error
    assert round_trip([SKIPPED])[0] is SKIPPED


def test_a_failure_whose_message_is_no_unicode_can_be_recorded() -> None:
    assert round_trip(Error({"error": "no file \udcff"})).metadata == {"error": "no file \\udcff"}
    assert round_trip(OSError("no file \udcff")).message == "no file \\udcff"


def test_an_exception_comes_back_as_a_carried_error() -> None:
    try:
        raise LookupError("gone")
    except LookupError as error:
        back = round_trip({"e": error})["e"]
    assert type(back) is CarriedError
    assert (back.type, back.message, str(back)) == ("LookupError", "gone", "LookupError: gone")
    assert 'raise LookupError("gone")' in back.traceback
    again = round_trip(back)
    assert (again.type, again.message, again.traceback) == (back.type, back.message, back.traceback)


def test_an_exception_without_a_working_str_is_carried() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    back = round_trip(Broken())
    assert back.type.endswith("Broken") and back.message == "<its message could not be made>"


def test_a_stored_exception_type_is_never_made_again(tmp_path: Path) -> None:
    stored = json.dumps({"!": "x", "v": ["os.system", f"touch {tmp_path}/ran", ""]}).encode()
    assert type(from_json(stored)) is CarriedError
    assert list(tmp_path.iterdir()) == []


def test_fields_that_are_made_after_construction_are_carried() -> None:
    order = Order({"a": 1})
    order.total = 7
    assert round_trip(order).total == 7


def test_a_field_added_since_takes_its_default() -> None:
    stored = json.dumps({"!": "o", "v": [f"{Money.__module__}.Money", {"amount": "5"}]}).encode()
    assert from_json(stored) == Money("5")  # type: ignore[arg-type]


def test_large_ints_pass_the_digit_limit() -> None:
    for large in (10**4299, -(10**5000), 1 << 100_000):
        assert round_trip({"n": [large, {large: 1}]}) == {"n": [large, {large: 1}]}


def test_brackets_inside_of_strings_are_no_nesting() -> None:
    value = ["[{" * 1000, '\\"[' * 1000, {"[" * 1000: "\\"}]
    assert round_trip(value) == value
    assert round_trip([[{"a": [1]}]] * 1000) == [[{"a": [1]}]] * 1000


def test_control_characters_and_pairs_of_surrogates_are_text() -> None:
    assert round_trip("\0\x1b[31m\u2028😀\\ud800") == "\0\x1b[31m\u2028😀\\ud800"
    assert from_json(b'"\\ud83d\\ude00"') == "😀"


def test_a_zone_keeps_its_name_and_its_fold() -> None:
    late = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Zagreb"), fold=1)
    back = round_trip(late)
    assert (back.tzinfo.key, back.fold, back.utcoffset()) == ("Europe/Zagreb", 1, timedelta(hours=1))
    assert round_trip(time(2, 30, tzinfo=ZoneInfo("Europe/Zagreb"))).tzinfo.key == "Europe/Zagreb"
    assert to_json(datetime(2024, 1, 1)) == b'{"!":"dt","v":"2024-01-01T00:00:00"}'


def test_sets_dates_and_uuids_by_example() -> None:
    value = {"d": date(2024, 2, 29), "u": UUID(int=1), "s": {1, "a"}, "f": frozenset({(1, 2)}), "b": b"\0\xff"}
    assert same(round_trip(value), value)
