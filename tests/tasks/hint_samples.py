"""Classes to hint at, and what a signature makes of a value or says about it."""

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from typing import Any, Literal, NamedTuple, NewType, Protocol, TypeVar

import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from duey.control.call import bind
from duey.errors import InvalidArguments
from duey.tasks.signature import Signature

UTC = timezone.utc


class Color(Enum):
    RED = "red"
    GREEN = "green"
    ROUGE = "red"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Right(Flag):
    READ = 1
    WRITE = 2


class Loose(Enum):
    A = "a"

    @classmethod
    def _missing_(cls, value):
        if value == "boom":
            raise ZeroDivisionError
        return cls.A if value == "ah" else None


class Switch(Enum):
    ON = True
    ONE = [1]


@dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = field(default_factory=list)
    length: int = field(default=0, init=False)


@dataclass
class Node:
    name: str
    children: "list[Node]" = field(default_factory=list)
    parent: "Node | None" = None


@dataclass
class Even:
    n: int

    def __post_init__(self):
        if self.n % 2:
            raise ValueError(f"{self.n} is odd")


@dataclass
class Unreadable:
    n: int
    engine: "NoSuchName"  # noqa: F821


@dataclass
class Cat:
    kind: Literal["cat"]
    lives: int
    friend: "Cat | Dog | None" = None


@dataclass
class Dog:
    kind: Literal["dog"]
    lives: int
    friend: "Cat | Dog | None" = None


@dataclass
class Moment:
    at: datetime


class Pair(NamedTuple):
    left: int
    right: str = "r"


Loosely = collections.namedtuple("Loosely", "a b")


class Movie(TypedDict):
    title: str
    year: int


class PartMovie(Movie, total=False):
    note: str


class Model(BaseModel):
    n: int


class Custom:
    pass


class Shaped(Protocol):
    def area(self) -> float: ...


UserId = NewType("UserId", int)
Number = TypeVar("Number", int, Decimal)
Bound = TypeVar("Bound", bound=date)
Free = TypeVar("Free")


def signature_of(hint: Any) -> Signature:
    def task(value): ...

    task.__annotations__ = {"value": hint}
    return Signature(task, "task")


def made(hint: Any, value: Any) -> Any:
    """The value as the task gets it, by place and by name."""
    (by_place,), _ = bind(signature_of(hint), [value], {})
    _, by_name = bind(signature_of(hint), [], {"value": value})
    assert repr(by_name["value"]) == repr(by_place)
    return by_place


def problems(signature: Signature, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The sentences by path of a call that is refused."""
    with pytest.raises(InvalidArguments) as caught:
        bind(signature, args, kwargs or {})
    assert len({error.path for error in caught.value.errors}) == len(caught.value.errors)
    return {error.path: error.message for error in caught.value.errors}


def refusal(hint: Any, value: Any) -> str:
    """The one sentence about the value itself."""
    (sentence,) = problems(signature_of(hint), [value]).values()
    return sentence
