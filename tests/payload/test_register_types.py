"""Registration: which classes may travel through the store, and which are refused at once."""

from __future__ import annotations

import pickle
from collections import namedtuple
from dataclasses import InitVar, dataclass
from typing import Any

import pytest

from duey.payload.types import CarriedError, register_type
from tests.support import rows


def test_a_class_may_be_registered_again_and_another_one_of_its_name_may_not() -> None:
    def make() -> Any:
        @dataclass
        class Twin:
            x: int

        return Twin

    twin = make()
    assert register_type(twin) is register_type(twin) is twin
    with pytest.raises(ValueError, match=r"another class is already registered as .*Twin"):
        register_type(make())


class Bare: ...


def not_classes() -> list[Any]:
    @dataclass
    class Listing(list):  # type: ignore[type-arg]
        x: int

    @dataclass
    class WithInitVar:
        x: int
        y: InitVar[int]

    @dataclass(init=False)
    class OwnInit:
        x: int

        def __init__(self, other: int) -> None:
            self.x = other

    class OwnNew(namedtuple("Base", "a b")):
        def __new__(cls, only: int) -> OwnNew:
            return super().__new__(cls, only, only)

    return [Listing, WithInitVar, OwnInit, OwnNew, Bare, int, 3, "Enum", Bare()]


@rows("cls", not_classes())
def test_what_cannot_be_made_again_is_refused(cls: Any) -> None:
    with pytest.raises(TypeError, match=r"register_type expects|cannot be rebuilt|also a collection"):
        register_type(cls)


def test_a_carried_error_can_be_pickled() -> None:
    back = pickle.loads(pickle.dumps(CarriedError("ValueError", "x", "trace")))
    assert (back.type, back.message, back.traceback) == ("ValueError", "x", "trace")
    assert str(CarriedError("KeyboardInterrupt", "")) == "KeyboardInterrupt"
