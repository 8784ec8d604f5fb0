"""Registration: which classes may travel through the store, and which are refused at once."""

from __future__ import annotations

import pickle
from collections import namedtuple
from dataclasses import InitVar, dataclass
from enum import Enum
from typing import Any

import pytest

from duey.payload.types import CarriedError, register_type
from tests.support import rows


def test_register_type_gives_the_class_back_and_may_be_repeated() -> None:
    class Mode(Enum):
        ON = 1

    assert register_type(Mode) is Mode
    assert register_type(Mode) is Mode


def test_another_class_of_the_same_name_is_refused() -> None:
    def make() -> Any:
        @dataclass
        class Twin:
            x: int

        return Twin

    register_type(make())
    with pytest.raises(ValueError, match=r"another class is already registered as .*Twin"):
        register_type(make())


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

    class Plain:
        pass

    return [Listing, WithInitVar, OwnInit, OwnNew, Plain, int, 3, "Enum", Plain()]


@rows("cls", not_classes())
def test_what_cannot_be_made_again_is_refused(cls: Any) -> None:
    with pytest.raises(TypeError, match=r"register_type expects|cannot be made again|also a collection"):
        register_type(cls)


def test_a_carried_error_can_be_pickled() -> None:
    back = pickle.loads(pickle.dumps(CarriedError("ValueError", "x", "trace")))
    assert (back.type, back.message, back.traceback) == ("ValueError", "x", "trace")
    assert str(CarriedError("KeyboardInterrupt", "")) == "KeyboardInterrupt"
