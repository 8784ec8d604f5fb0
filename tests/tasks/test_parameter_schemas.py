"""What the JSON schema of a parameter tells a form and the help of the command line."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from duey.control import schema
from duey.control.call import call_schema
from tests.support import rows
from tests.tasks.hint_samples import Color, Custom, Level, Node, signature_of

ANNOTATED = Annotated[int, Field(ge=1, le=9)]


@rows(
    "hint, choices, only_text, text, collection, limits",
    [
        (int, [], False, False, False, ""), (ANNOTATED, [], False, False, False, "at least 1, at most 9"),
        (Annotated[float, Field(ge=0, lt=0.5)], [], False, False, False, "at least 0, below 0.5"),
        (ANNOTATED | None, [], False, False, False, "at least 1, at most 9"),
        (bool, [False, True], False, False, False, ""),
        (Color, ["red", "green"], False, True, False, 'one of "red", "green"'),
        (Level | None, [1, 2], False, False, False, "one of 1, 2"),
        (Literal["x", 1], ["x", 1], False, True, True, 'one of "x", 1'),
        (Literal["x"] | str, [], True, True, False, ""), (str, [], True, True, False, ""),
        (date | None, [], True, True, False, ""), (timedelta, [], False, True, False, "such as PT1H30M, or seconds"),
        (datetime | None, [], True, True, False, "such as 2030-01-31T14:00:00Z"),
        (date | str, [], True, True, False, ""),
        (Annotated[str, Field(max_length=3)], [], True, True, False, "at most 3 characters"),
        (str | int, [], False, True, False, ""), (list[int], [], False, False, True, ""),
        (Node, [], False, False, True, ""), (Any, [], False, True, True, ""), (Custom, [], False, True, True, ""),
    ],
)  # fmt: skip
def test_what_a_schema_says(hint, choices, only_text, text, collection, limits):
    (parameter,) = call_schema(signature_of(hint)).parameters
    of = parameter.schema
    assert schema.choices(of) == choices
    assert (schema.takes_only_text(of), schema.takes_text(of)) == (only_text, text)
    assert (schema.takes_collection(of), schema.limits(of)) == (collection, limits)


def test_a_day_is_known_as_one():
    for hint, day in ((date, True), (date | None, True), (date | str, False), (datetime, False), (Any, False)):
        (parameter,) = call_schema(signature_of(hint)).parameters
        assert schema.is_date(parameter.schema) == day, hint


def test_a_decimal_is_typed_as_text_and_a_number_or_text_is_not():
    for hint, as_text in ((Decimal, True), (Decimal | None, True), (str, True), (float | str, False), (int, False)):
        (parameter,) = call_schema(signature_of(hint)).parameters
        assert schema.is_typed_as_text(parameter.schema) == as_text, hint


def test_a_schema_that_leads_back_to_itself_ends():
    again = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "string"}]}}}
    assert schema.takes_text(again)
