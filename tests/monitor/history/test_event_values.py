"""Whatever comes with an event can be stored, in bounds, and nothing raises."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from duey.monitor.history import plain
from tests.support import rows


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just(Broken()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


@given(ANYTHING, st.integers(20, 200))
def test_json_of_anything_is_stored_and_bounded(value: Any, max_chars: int) -> None:
    for encode, kind in ((plain.encode, object), (plain.encode_list, list), (plain.encode_dict, dict)):
        made = encode(value, max_chars)
        assert isinstance(json.loads(made), kind)
        assert len(made) <= 2 * max_chars + 60
        assert sqlite3.connect(":memory:").execute("SELECT ?", (made,)).fetchone() == (made,)


@given(st.lists(st.integers() | st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_fits_comes_back_as_it_was(value: list[Any]) -> None:
    assert plain.decode(plain.encode_list(value, 10**6)) == value


@given(ANYTHING)
def test_text_and_numbers_of_anything_are_stored(value: Any) -> None:
    found = (plain.text(value), plain.number(value), plain.whole(value), plain.number_or_none(value))
    row = sqlite3.connect(":memory:").execute("SELECT ?, ?, ?, ?", found).fetchone()
    assert row == found


def test_long_text_keeps_both_ends() -> None:
    cut = plain.text("begin" + "x" * 10_000 + "end", 100)
    assert cut.startswith("begin")
    assert cut.endswith("end")
    assert "9908 characters left out" in cut
    assert len(cut) < 150


@rows(("value", "found"), [(2**63 - 1, 2**63 - 1), (2**63, 0), (1.9, 1), ("7", 0), (None, 0)])
def test_whole_numbers_fit_the_database(value: Any, found: int) -> None:
    assert plain.whole(value) == found


@rows("value", [float("nan"), float("inf"), "x", None, 10**400])
def test_numbers_are_finite(value: Any) -> None:
    assert plain.number(value, 5.0) == 5.0
    assert plain.number_or_none(value) is None


def test_lone_surrogates_are_written_out() -> None:
    assert plain.text("a\ud800b") == "a\\ud800b"


def test_what_is_no_json_reads_as_nothing() -> None:
    assert plain.decode("{", "nothing") == "nothing"
    assert plain.decode(None, []) == []
