"""The keys of unique jobs: equal for equal calls, in any process, and for no others."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from duey import errors
from duey.model.job import FREED_AT_START, FREED_BY_TIME, REFUSES, REPLACES
from duey.tasks import options as task_options
from duey.tasks import unique
from duey.tasks.unique import digest, uniqueness_of
from tests.support import rows


def sample(a, b=2, *rest, c=3, **more):
    pass


def key(*args, **kwargs):
    return uniqueness_of("t", sample, {"unique": True}).key_of("m.t", args, kwargs)


@rows("same", [((1,), {"b": 2}), ((), {"a": 1}), ((1, 2), {}), ((1,), {"c": 3}), ((), {"b": 2, "a": 1})])
def test_the_same_call_has_the_same_key_however_it_is_written(same):
    assert key(*same[0], **same[1]) == key(1)


@rows("other", [((2,), {}), (("1",), {}), ((1.0,), {}), ((1, 2, 3), {}), ((1,), {"d": 1}), ((True,), {})])
def test_another_call_has_another_key(other):
    assert key(*other[0], **other[1]) != key(1)
    narrow = uniqueness_of("t", lambda: None, {"unique": True})  # which the function does not take
    assert narrow.key_of("m.t", *other) != narrow.key_of("m.t", (1,), {})


def test_digests(monkeypatch):
    monkeypatch.setattr(unique, "_MOST", 10_000)
    left = {"x": {"b": 1, "a": {3, 1, 2}}, "y": [1, 2]}
    right = {"y": [1, 2], "x": {"a": {1, 2, 3}, "b": 1}}
    assert digest(left) == digest(right) != digest({**right, "y": [2, 1]})
    assert digest(b"x" * 10_000 + b"a") != digest(b"x" * 10_000 + b"b")
    alike = [1, "1", 1.0, True, None, "None", Decimal(1), date(2026, 1, 1), "2026-01-01", [], {}, (), {"m": []}]
    assert len({digest(value) for value in alike}) == len(alike) - 1  # a tuple is a list to most callers
    assert digest(type("Rows", (list,), {})([1])) == digest([1])
    # They are stored, so they stay as they are, in any process.
    hard = ["\u00e9\n", (), {"b": [{}], "a": {2: "x"}}, {3, 1}, date(2030, 1, 2), Decimal("1.50")]
    assert digest([1, 10**30, 1.5, None, True, *hard]) == "637a4a1d7fad33e3c4a39f780d5b5875"
    assert digest([1.5, -0.0]) == "4a7f754956a88b3cc8922fa9df551b6a"
    assert digest(["a", "b"]) == "deedf2289a6b11c2a839bafb40554fa8"
    mixed = [[1, "x", {}, [], None], {"a": [], "b": {"c": (2, 1.5)}}, [[1], True, {"a": "x"}]]
    assert digest(mixed) == "0e5a93cfd07d31fe9f26a57f398dcaa9"
    endless: list[object] = []
    endless += [endless, endless]
    with pytest.raises(errors.TooDeepError, match="holds itself"):
        digest(endless)


def test_a_key_of_one_s_own():
    for made, found in (("user-7", "m.t:user-7"), (7, f"m.t#{digest(7)}"), ((1, "a"), f"m.t#{digest((1, 'a'))}")):
        own = uniqueness_of("t", sample, {"unique": 60, "unique_key": lambda a, made=made: made})
        assert own.key_of("m.t", (1,), {}) == found
    unique = uniqueness_of("t", sample, {"unique": True, "unique_key": lambda a: a["id"]})
    with pytest.raises(errors.BadRequest, match=r"unique_key of task t failed on these arguments \(TypeError"):
        unique.key_of("m.t", (1,), {})


@rows(
    ("options", "sentence"),
    [
        ({"unique": 0}, "unique is True, or seconds"),
        ({"unique": "yes"}, "unique is True, or seconds"),
        ({"unique": True, "unique_scope": "forever"}, "unique_scope is 'end' or 'start' or 'time', not 'forever'"),
        ({"unique": True, "unique_conflict": "drop"}, "unique_conflict is 'return' or 'replace' or 'raise'"),
        ({"unique_key": repr}, "unique_key needs unique=True or unique=seconds beside it"),
        ({"unique": True, "unique_scope": "time"}, "unique_scope='time' needs the seconds"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(errors.Misconfigured, match="task t: ") as refused:
        uniqueness_of("t", sample, task_options.read("t", options))
    assert sentence in str(refused.value)


def test_what_travels_with_a_job():
    flags = task_options.flags_of
    assert flags({"unique": True}) == 0
    assert flags({"unique": True, "unique_scope": "start", "unique_conflict": "replace"}) == FREED_AT_START | REPLACES
    assert flags({"unique": 5, "unique_scope": "time", "unique_conflict": "raise"}) == FREED_BY_TIME | REFUSES
    assert uniqueness_of("t", sample, {"unique": False}) is None
