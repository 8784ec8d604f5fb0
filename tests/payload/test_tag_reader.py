"""The tag reader: whatever stands in the store is a value or an UndecodableError, and never runs code."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duey.errors import UndecodableError
from duey.payload.decode import _READERS, from_json
from duey.payload.encode import to_json
from tests.payload.samples import Color, Order, Point, Rights, round_trip, same, text, values
from tests.support import rows

SAMPLES = Color.__module__

junk = st.binary(max_size=4) | st.sampled_from([b"[", b'"', b"1", b"null"])


@given(values, st.data())
def test_damaged_bytes_are_a_value_or_an_undecodable_error(value: Any, data: st.DataObject) -> None:
    good = to_json(value)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 5)))
    with suppress(UndecodableError):
        from_json(good[:start] + data.draw(junk) + good[end:])


TAGS = sorted(_READERS)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | text | st.just("2024-01-01"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
registered_names = st.sampled_from([f"{SAMPLES}.{cls.__qualname__}" for cls in (Color, Rights, Point, Order)])


@given(st.sampled_from(TAGS), json_values | st.tuples(registered_names, json_values).map(list))
def test_a_tag_in_the_store_is_a_value_or_undecodable_and_no_json_of_a_user_passes_for_one(tag: str, content: Any):
    with suppress(UndecodableError):
        from_json(json.dumps({"!": tag, "v": content}).encode())
    assert same(round_trip({"!": tag, "v": content}), {"!": tag, "v": content})


@rows(
    ("content", "sentence"),
    [
        (["os.system", "rm"], "the stored type 'os.system' is not registered here"),
        (["engine.no.such.module.X", {}], "is not registered here"),
        ([f"{SAMPLES}.Money", {"amount": 1, "weight": 2}], "has no field 'weight'"),
        ([f"{SAMPLES}.Money", {}], "missing a required argument: 'amount'"),
        ([f"{SAMPLES}.Order", {"items": 3}], "ValueError: items must be a dict"),
        ([f"{SAMPLES}.Color", "__class__"], "has no member '__class__'"),
        ([f"{SAMPLES}.Color", 1], "expected str, found int"),
        ([f"{SAMPLES}.Rights", "READ"], "expected int, found str"),
        ([f"{SAMPLES}.Point", [1, 2]], "expected dict, found list"),
        ([[], {}], "expected str, found list"),
        ({}, "expected list, found dict"),
    ],
)
def test_a_damaged_registered_value_is_named(content: Any, sentence: str) -> None:
    with pytest.raises(UndecodableError) as caught:
        from_json(json.dumps({"!": "o", "v": content}).encode())
    assert sentence in str(caught.value)


@rows(
    "stored",
    [
        b"", b" ", b"nul", b"[1,2", b'{"a":1', b"[1]]", b"1 ", b"\xff\xfe", b'"\xed\xa0\x80"', b'"\\ud800"',
        b'{"\\uDfff":1}', b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"[-1E400]", b"1" * 5000, b"[" * 100_000,
        b"[" * 400 + b"]" * 400, b'{"a":' * 400 + b"1" + b"}" * 400,
        b'{"!":"t","v":' * 200 + b"[]" + b"}" * 200 + b"[" * 100_000, b'{"!":"nope","v":1}', b'{"!":null,"v":1}',
        b'{"!":[],"v":1}', b'{"!":{"!":"t","v":[]},"v":1}', b'{"!":"t"}', b'{"!":"t","v":[],"w":1}',
        b'{"!":"t","v":{}}', b'{"!":"s","v":[[]]}', b'{"!":"s","v":[1,1]}', b'{"!":"d","v":[[1,2],[1,3]]}',
        b'{"!":"d","v":[[1]]}', b'{"!":"d","v":[[[],1]]}', b'{"!":"b","v":"a"}', b'{"!":"b","v":"\xc3\xa4"}',
        b'{"!":"i","v":"zz"}', b'{"!":"i","v":1}', b'{"!":"dt","v":"yesterday"}',
        b'{"!":"dt","v":["2024-01-01T00:00:00",2,null]}',
        b'{"!":"dt","v":["2024-01-01T00:00:00",0,"../../etc/passwd"]}',
        b'{"!":"dt","v":["2024-01-01T00:00:00",0,"os.path"]}', b'{"!":"dt","v":["2024-01-01T00:00:00",0,"No/Where"]}',
        b'{"!":"td","v":[1e9,0,0]}', b'{"!":"td","v":[99999999999,0,0]}', b'{"!":"dec","v":"ten"}',
        b'{"!":"uuid","v":"1"}', b'{"!":"p","v":["a"]}', b'{"!":"x","v":["a","b"]}', b'{"!":"skip","v":0}',
        b'{"!":"err","v":[]}', b'{"!":"m","v":{}}', b'{"!":"m","v":[1]}', b'{"!":"m","v":["a",2]}',
        b'{"!":"m","v":["a","b",null,0,0,null,{}]}', b'{"!":"m","v":["a","b",null,0,0,null,[],[]]}',
        b'{"!":"m","v":["a","b",null,0,0,null,[],{"!":"d","v":[[1,2]]}]}',
        b'{"!":"m","v":["a","b",null,0,0,null,[],{},"next"]}',
        b'{"!":"m","v":["a","b",null,0,0,null,[],{},null,null,null,null,null,[]]}',
        b'{"!":"m","v":[' + b"null," * 15 + b"1]}",
    ],
)  # fmt: skip
def test_hostile_bytes_are_undecodable(stored: bytes) -> None:
    with pytest.raises(UndecodableError) as caught:
        from_json(stored)
    assert len(str(caught.value)) < 500
