"""Registered types and exceptions.

Instances of a class that the author registers (`@register_type` above an Enum, a dataclass or a namedtuple) can be
stored. Only the name of the class and the fields are written. For decoding, the name is looked up only among the
registered classes: a name in the store never imports a module and never finds a function.

An exception is stored as three texts (type, message, traceback) and decoded as a `CarriedError`, because restoring the
original would mean calling whatever class the store names.
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

# A dataclass that is also one of these would lose the contents of the base, because only its fields are written.
_HOLDERS = (int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)


@dataclass(frozen=True)
class RegisteredType:
    """A registered class. `fields` is empty for an Enum; `late` fields are set after construction."""

    name: str  # module.qualname, as stored
    cls: Any
    fields: tuple[str, ...] = ()
    late: frozenset[str] = frozenset()

    def parts(self, value: Any) -> Iterator[tuple[str, Any]]:
        """The fields of an instance by name, without late fields that are not set."""
        for name in self.fields:
            if name not in self.late or hasattr(value, name):
                yield name, getattr(value, name)

    def member(self, value: Any) -> str | int:
        """The stored form of an Enum member: its name, or for a Flag its bits, because a combination has no name."""
        bits_or_name: str | int = value._value_ if isinstance(value, enum.Flag) else value._name_
        return bits_or_name

    def build(self, stored: Any) -> Any:
        """The instance for stored fields, created by its constructor, which may refuse them.

        Raises TypeMisfit, UndecodableError, or whatever the constructor raises.
        """
        if issubclass(self.cls, enum.Flag):
            return self.cls(expect(stored, int))
        self._refuse_unknown(stored)
        if issubclass(self.cls, enum.Enum):
            return self.cls[stored]
        given = {name: stored[name] for name in stored if name not in self.late}
        try:
            value = self.cls(**given)
        except TypeError:
            self._require_fit(given)
            raise
        for name in stored.keys() & self.late:
            object.__setattr__(value, name, stored[name])  # also for frozen dataclasses
        return value

    def refuse_misfit(self, stored: Any) -> None:
        """Raise TypeMisfit if the class has changed so that no instance can be made of this. Makes none."""
        if not issubclass(self.cls, enum.Flag):
            self._refuse_unknown(stored)
        if not issubclass(self.cls, enum.Enum):
            self._require_fit({name: stored[name] for name in stored if name not in self.late})

    def _refuse_unknown(self, stored: Any) -> None:
        """Raise TypeMisfit for a member or a field that the class does not have."""
        if issubclass(self.cls, enum.Enum):
            if expect(stored, str) not in self.cls.__members__:
                raise TypeMisfit(f"{self.name} has no member {stored[:100]!r}")
        elif unknown := expect(stored, dict).keys() - self.fields:
            raise TypeMisfit(f"{self.name} has no field {min(map(str, unknown))[:100]!r}")

    def _require_fit(self, given: dict[str, Any]) -> None:
        try:
            inspect.signature(self.cls).bind(**given)
        except TypeError as error:
            raise TypeMisfit(f"{self.name} cannot be made of the fields that are stored: {error}") from None


_by_class: dict[type, RegisteredType] = {}
_by_name: dict[str, RegisteredType] = {}

registered_class = _by_class.get


def registered_name(name: Any) -> RegisteredType:
    """The registered type for a stored name. Raises UnregisteredTypeError."""
    found = _by_name.get(expect(name, str))
    if found is None:
        raise UnregisteredTypeError(name)
    return found


def shown_member(name: str, stored: Any) -> Any:
    """The display form of a stored member of a registered Enum: its value, if that is a plain one."""
    entry = _by_name.get(name)
    member = entry.cls.__members__.get(stored) if entry is not None and issubclass(entry.cls, enum.Enum) else None
    value = None if member is None else member._value_
    return value if type(value) in (int, float, str) else stored


def register_type(cls: T) -> T:
    """Decorator for an Enum, dataclass or namedtuple class: allows its instances as arguments and results.

    The store contains `module.qualname`. If a class is moved, stored jobs with its instances cannot be read until it is
    back. A dataclass is restored by its constructor, including `__post_init__`. Raises TypeError for any other class,
    and ValueError if another class has the same name.
    """
    entry = _describe(cls)
    other = _by_name.get(entry.name)
    if other is not None and other.cls is not cls:
        raise ValueError(f"another class is already registered as {entry.name}: give one of them another name")
    _by_class[cls] = _by_name[entry.name] = entry
    return cls


def is_registrable(cls: type) -> bool:
    """Whether register_type accepts a class, so that it can be suggested."""
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
        raise TypeError(f"{name} cannot be rebuilt from its fields alone ({error})") from None
    return RegisteredType(name, cls, fields, late)


def _is_namedtuple(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


class CarriedError(Exception):
    """An exception that was read from the store: its qualified `type`, `message` and `traceback`."""

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
    """str() of an exception, or a replacement if that raises."""
    try:
        return printable(str(error))
    except BaseException:  # any class may raise anything here
        return "<its message could not be made>"


def exception_texts(error: BaseException) -> list[str]:
    """Type, message and traceback of an exception as texts that can be stored. Never raises an Exception."""
    if isinstance(error, CarriedError):
        return [printable(text) for text in (error.type, error.message, error.traceback)]
    try:
        trace = printable("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    except BaseException:  # any class may raise anything here
        trace = ""
    return [printable(exception_type(error)), exception_message(error), trace]


def printable(text: str) -> str:
    """The text with lone surrogates escaped. They occur in file names that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8: it holds no half of a surrogate pair."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def expect(stored: Any, kind: type) -> Any:
    """The stored value, if its type is exactly this one. Raises UndecodableError."""
    if type(stored) is not kind:
        raise UndecodableError(f"expected {kind.__name__}, found {type(stored).__name__}")
    return stored
