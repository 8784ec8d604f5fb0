"""A call held against what the task takes: every way to be wrong, and what people are told."""

import inspect
import itertools
import json
from datetime import date
from typing import Any

import pytest

from duey.control.call import bind
from duey.errors import InvalidArguments
from duey.model.job import Parameter
from duey.tasks.signature import Arity, Signature
from tests.support import rows
from tests.tasks.hint_samples import (
    Color,
    Node,
    Point,
    problems,
    refusal,
    signature_of,
)


def add(a: int, b: int = 2, *, note: str = "", to: "str | None" = None):
    """Add two numbers.

    Carefully.
    """


def spread(first: int, *rest: date, **options: bool): ...


def placed(a: int, /, b: int): ...


def contextual(a: int, task=None, b: int = 1): ...


def contextual_rest(a: int, *rest, task, **options): ...


ADD = Signature(add, "add")


def test_what_is_given_is_split_as_it_was_given():
    assert bind(ADD, [1], {}) == ((1,), {})
    assert bind(ADD, [1, 2], {"note": "x"}) == ((1, 2), {"note": "x"})
    assert bind(ADD, (), {"b": 1, "a": 2}) == ((), {"b": 1, "a": 2})
    args, kwargs = bind(Signature(spread, "spread"), [1, "2024-01-02", "2024-01-03"], {"x": True})
    assert (args, kwargs) == ((1, date(2024, 1, 2), date(2024, 1, 3)), {"x": True})


def test_every_problem_of_a_call_is_named_at_once():
    assert problems(ADD, ["1", 2, 3], {"a": 5, "noet": "x", "to": 7}) == {
        "args[2]": "expected at most 2 values by position, found 3",
        "args[0]": 'expected an integer, found the text "1"',
        "kwargs.a": "expected a once, found it also as args[0]: leave one out",
        "kwargs.noet": "add has no such parameter; did you mean note?",
        "kwargs.to": "expected text, found the number 7",
    }


def test_what_is_missing_says_where_it_goes():
    def task(a: int, /, b, *, c: date): ...

    assert problems(Signature(task, "task")) == {
        "args[0]": "expected a (int), found nothing: give it as args[0]",
        "kwargs.b": "expected b (any), found nothing: give it as args[1] or kwargs.b",
        "kwargs.c": "expected c (date), found nothing: give it as kwargs.c",
    }


def test_required_by_name_is_missed_however_many_values_come_by_place():
    def task(*rest, key): ...

    assert list(problems(Signature(task, "task"), [1, 2, 3])) == ["kwargs.key"]


def test_no_parameters():
    signature = Signature(lambda: None, "task")
    assert bind(signature, [], {}) == ((), {})
    assert problems(signature, [1], {"a": 2}) == {
        "args[0]": "expected no value by position, found 1",
        "kwargs.a": "task has no such parameter: leave it out",
    }


def test_positional_only():
    signature = Signature(placed, "placed")
    assert bind(signature, [1], {"b": 2}) == ((1,), {"b": 2})
    assert problems(signature, [], {"a": 1, "b": 2}) == {
        "kwargs.a": "expected by position, found by name: give it as args[0]",
        "args[0]": "expected a (int), found nothing: give it as args[0]",
    }

    def task(a, /, **options): ...

    assert bind(Signature(task, "task"), [1], {"a": 2}) == ((1,), {"a": 2})


def test_var_parameters_are_checked():
    found = problems(Signature(spread, "spread"), [1, "2024-01-02", "x"], {"on": 1, "a b": 2, "\ud800": True, 5: True})
    assert list(found) == [
        "args[2]", "kwargs.on", 'kwargs["a b"]', 'kwargs["\\ud800"]', "kwargs[the number 5]",
    ]  # fmt: skip
    assert found['kwargs["\\ud800"]'] == "expected the name of a parameter, found text with half of a surrogate pair"


def test_context_is_hidden():
    signature = Signature(contextual, "task", context=True)
    assert [p.name for p in signature.parameters] == ["a", "b"]
    assert [p.kind for p in signature.parameters] == ["positional", "keyword"]
    assert bind(signature, [1], {"b": 2}) == ((1,), {"b": 2})
    assert problems(signature, [1, 2], {"task": 3}) == {
        "args[1]": "expected at most 1 value by position, found 2",
        "kwargs.task": "the service gives this parameter itself: leave it out",
    }
    signature = Signature(contextual_rest, "task", context=True)
    assert bind(signature, [1, 2], {"x": 3}) == ((1, 2), {"x": 3})
    assert list(problems(signature, [1], {"task": 3})) == ["kwargs.task"]
    assert bind(Signature(contextual, "task"), [1, 2, 3], {}) == ((1, 2, 3), {})

    def first(task, *rest, a=1): ...

    assert list(problems(Signature(first, "task", context=True), [1], {})) == ["args[0]"]
    assert bind(Signature(first, "task", context=True), [], {"a": 1}) == ((), {"a": 1})


def test_a_default_of_none_takes_null():
    def task(a: int = None): ...  # noqa: RUF013 - many write it so

    assert bind(Signature(task, "task"), [None], {}) == ((None,), {})
    assert Signature(task, "task").parameters[0].type == "int | None"


def test_names_of_positional_values():
    assert Signature(add, "add").names_of(4) == ["a", "b", "", ""]
    assert Signature(spread, "spread").names_of(3) == ["first", "rest", "rest"]
    assert Signature(contextual, "task", context=True).names_of(2) == ["a", ""]
    assert ADD.names_of(0) == [] and ADD.names_of(1) == ["a"]


# What people are told.


def test_doc_and_parameters():
    assert ADD.doc == "Add two numbers.\n\nCarefully."
    assert ADD.parameters == (
        Parameter("a", "int", True),
        Parameter("b", "int", False, 2),
        Parameter("note", "str", False, "", "keyword"),
        Parameter("to", "str | None", False, None, "keyword"),
    )
    assert Signature(spread, "spread").parameters[1:] == (
        Parameter("rest", "date", False, None, "var_positional"),
        Parameter("options", "bool", False, None, "var_keyword"),
    )
    assert Signature(lambda x: x, "task").doc == ""


@rows(
    "default, plain",
    [
        (date(2024, 1, 2), "2024-01-02"), (Color.RED, "red"), ((1, 2), [1, 2]), (float("inf"), "inf"),
        (Point(1), None),
    ],
)  # fmt: skip
def test_defaults_are_plain(default, plain):
    def task(a=default): ...

    shown = Signature(task, "task").parameters[0].default
    assert shown == (plain or {"x": 1, "y": 0.0, "tags": [], "length": 0})
    json.dumps(shown, allow_nan=False)


def test_a_function_that_cannot_tell_takes_anything():
    assert Signature(dict.fromkeys, "task").task_name == "task"
    assert bind(Signature(max, "task"), [1, "a"], {"key": None}) == ((1, "a"), {"key": None})


# Bounds.


def test_values_are_shown_bounded_and_inert():
    for hostile in ("x" * 10**6, "\u202e<script>\x1b[31m" * 100, "\ud800", '"' * 99, "\U000e0001" * 70):
        sentence = refusal(int, hostile)
        assert len(sentence) < 120 and sentence.isprintable()
    (path,) = problems(Signature(spread, "spread"), [1], {"\u202e\x00" * 1000: 1})
    assert len(path) < 100 and path.isprintable()


def test_problems_are_bounded():
    with pytest.raises(InvalidArguments) as caught:
        bind(signature_of(list[list[int]]), [[["x"] * 50] * 20], {})
    assert len(caught.value.errors) == 50
    assert "more problems" in caught.value.errors[-1].message
    (problem,) = problems(signature_of(list[list[int]]), [[["x"] * 50] * 2_000]).values()
    assert "100,000 values" in problem
    with pytest.raises(InvalidArguments) as caught:
        bind(ADD, [1], {f"x{i}": 1 for i in range(50_000)})
    assert len(caught.value.errors) == 50


def test_depth_is_bounded():
    value: list = []
    value.append(value)
    assert "deeper than 100 levels" in next(iter(problems(signature_of(Any), [value]).values()))
    deep: dict = {"name": "x"}
    deep["children"] = [deep]
    assert "nested deeper than" in next(iter(problems(signature_of(Node), [deep]).values()))


def test_a_call_holds_a_bounded_number_of_converted_values():
    def store(days: list[date], *more: Any) -> None: ...

    days = ["2030-01-31"] * 20_000
    (bound, *_), _ = bind(Signature(store, "store"), [days], {})
    assert bound == [date(2030, 1, 31)] * 20_000
    with pytest.raises(InvalidArguments, match="at most 20000 dates"):
        bind(Signature(store, "store"), [[*days, "2030-01-31"]], {})
    assert len(bind(Signature(store, "store"), [[], *range(30_000)], {})[0]) == 30_001


def test_a_call_from_python_is_refused_where_the_function_would_refuse_it():
    """Like Python itself, for each of these functions and calls; what Huey passes is not asked for."""
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (args, dict(named))
        for args in ((), (1,), (1, 2), (1, 2, 3))
        for count in range(3)
        for named in itertools.combinations({"a": 1, "b": 1, "note": 1, "first": 1, "z": 1}.items(), count)
    ]
    for function in (add, spread, placed, lambda: None, lambda *, note: None, lambda a, **others: None):
        arity = Arity(function)
        for args, kwargs in calls:
            expected = actual = ""
            try:
                inspect.signature(function).bind(*args, **kwargs)
            except TypeError as exc:
                expected = f"task t: {exc}"
            try:
                arity.check("t", args, kwargs)
            except TypeError as exc:
                actual = str(exc)
            assert actual == expected, (function, args, kwargs)
    arity = Arity(contextual, context=True)
    arity.check("t", (1,), {"b": 2})
    for args in ((), (1, 2)):
        with pytest.raises(TypeError):
            arity.check("t", args, {})
