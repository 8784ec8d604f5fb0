"""Values that are carried by name: registered types and exceptions.

A class that the author registers (`@register_type` above an Enum, a dataclass or a namedtuple) may travel
through the store. Only its name and its fields are written. On the way back the name is looked up among the
registered classes, and nowhere else: a name in the store never imports a module and never finds a function.

An exception travels as three texts (type, message, traceback) and comes back as a `CarriedError`, because
to make the original again one would have to call whatever class the store names.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from duey.errors import TypeMisfit, UndecodableError, UnregisteredTypeError

T = TypeVar("T", bound=type)

# A dataclass that is also one of these would lose what the base holds, since only its fields are written.
_HOLDERS = (int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)


@dataclass(frozen=True)
class RegisteredType:
    """A class that may travel. `fields` is empty for an enum; `late` fields are set after construction."""

    name: str  # module.qualname, as it stands in the store
    cls: Any
    fields: tuple[str, ...] = ()
    late: frozenset[str] = frozenset()

    def parts(self, value: Any) -> Iterator[tuple[str, Any]]:
        """The fields of an instance by name; a late field that was never set is left out."""
        for name in self.fields:
            if name not in self.late or hasattr(value, name):
                yield name, getattr(value, name)

    def member(self, value: Any) -> str | int:
        """What names an enum member: its name, or for a Flag its bits, since a combination has no name."""
        bits_or_name: str | int = value._value_ if isinstance(value, enum.Flag) else value._name_
        return bits_or_name

    def build(self, stored: Any) -> Any:
        """The instance again, through its own constructor, which may refuse what the store holds.

        Raises: TypeMisfit, UndecodableError, or whatever the constructor raises.
        """
        if issubclass(self.cls, enum.Flag):
            return self.cls(expect(stored, int))
        if issubclass(self.cls, enum.Enum):
            if expect(stored, str) not in self.cls.__members__:
                raise TypeMisfit(f"{self.name} has no member {stored[:100]!r}")
            return self.cls[stored]
        unknown = expect(stored, dict).keys() - self.fields
        if unknown:
            raise TypeMisfit(f"{self.name} has no field {min(map(str, unknown))[:100]!r}")
        given = {name: stored[name] for name in stored if name not in self.late}
        try:
            value = self.cls(**given)
        except TypeError:
            self._require_fit(given)
            raise
        for name in stored.keys() & self.late:
            object.__setattr__(value, name, stored[name])  # also for frozen dataclasses
        return value

    def _require_fit(self, given: dict[str, Any]) -> None:
        try:
            inspect.signature(self.cls).bind(**given)
        except TypeError as error:
            raise TypeMisfit(f"{self.name} cannot be made of the fields that are stored: {error}") from None


_by_class: dict[type, RegisteredType] = {}
_by_name: dict[str, RegisteredType] = {}

registered_class = _by_class.get


def registered_name(name: Any) -> RegisteredType:
    """The registered type of a stored name. Raises UnregisteredTypeError."""
    found = _by_name.get(expect(name, str))
    if found is None:
        raise UnregisteredTypeError(name)
    return found


def register_type(cls: T) -> T:
    """Let instances of an Enum, dataclass or namedtuple class travel as arguments and results; a decorator.

    The store holds `module.qualname`, so a class that moves leaves the jobs that name it unreadable until it
    is back. A dataclass is made again by its constructor, `__post_init__` included.
    Raises: TypeError for any other class, ValueError when another class already has the name.
    """
    entry = _describe(cls)
    other = _by_name.get(entry.name)
    if other is not None and other.cls is not cls:
        raise ValueError(f"another class is already registered as {entry.name}: give one of them another name")
    _by_class[cls] = _by_name[entry.name] = entry
    return cls


def is_registrable(cls: type) -> bool:
    """Whether register_type is the thing to advise for a class."""
    return issubclass(cls, enum.Enum) or _is_namedtuple(cls) or dataclasses.is_dataclass(cls)


def _describe(cls: Any) -> RegisteredType:
    if not isinstance(cls, type) or not is_registrable(cls):
        raise TypeError(f"register_type expects an Enum, dataclass or namedtuple class, found {cls!r:.100}")
    name = f"{cls.__module__}.{cls.__qualname__}"
    if issubclass(cls, enum.Enum):
        return RegisteredType(name, cls)
    if _is_namedtuple(cls):
        fields: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]
        late: frozenset[str] = frozenset()
    else:
        if issubclass(cls, _HOLDERS):
            raise TypeError(f"{name} is a dataclass that is also a collection or scalar: make it a plain one")
        declared = dataclasses.fields(cls)  # type: ignore[arg-type]
        fields = tuple(f.name for f in declared)
        late = frozenset(f.name for f in declared if not f.init)
    try:
        inspect.signature(cls).bind(**dict.fromkeys(set(fields) - late))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} cannot be made again from its fields alone ({error})") from None
    return RegisteredType(name, cls, fields, late)


def _is_namedtuple(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


class CarriedError(Exception):
    """An exception that has been through the store: its `type` (qualified), `message` and `traceback`."""

    def __init__(self, type: str, message: str, traceback: str = "") -> None:
        super().__init__(type, message, traceback)
        self.type, self.message, self.traceback = type, message, traceback

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


def exception_type(error: BaseException) -> str:
    """The qualified name of an exception's class, without `builtins`."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def exception_message(error: BaseException) -> str:
    """What str() says of an exception, or that it says nothing because its own __str__ fails."""
    try:
        return printable(str(error))
    except BaseException:  # any class may raise anything here
        return "<its message could not be made>"


def exception_texts(error: BaseException) -> list[str]:
    """Type, message and traceback of an exception as text that can be stored. Never raises an Exception."""
    if isinstance(error, CarriedError):
        return [printable(text) for text in (error.type, error.message, error.traceback)]
    try:
        trace = printable("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    except BaseException:  # any class may raise anything here
        trace = ""
    return [printable(exception_type(error)), exception_message(error), trace]


def printable(text: str) -> str:
    """The text with lone surrogates (as in names of files that are no UTF-8) written out as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def expect(stored: Any, kind: type) -> Any:
    """What was read, if it is exactly of this type. Raises UndecodableError."""
    if type(stored) is not kind:
        raise UndecodableError(f"expected {kind.__name__}, found {type(stored).__name__}")
    return stored
