"""The check of one parameter: its hint as a strict pydantic schema.

A value that is what the hint says is passed as it is; any other is read as JSON. Where pydantic reads a value otherwise
than a task should get it, its schema is changed: docs/internals/control.md lists each case. A hint that pydantic cannot
use accepts anything, so that it costs one parameter and never the start.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Callable
from datetime import timedelta, timezone
from enum import Enum, Flag
from functools import partial
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import (
    PydanticCustomError,
    PydanticSerializationError,
    SchemaValidator,
    TzInfo,
    ValidationError,
    core_schema,
    to_json,
)  # fmt: skip

from duey.control.refusal import MAX_CONVERSIONS, TOO_MANY, Refused, problems_of, unsound
from duey.errors import FieldError
from duey.payload.plain import to_plain
from duey.payload.types import exception_message

_CONFIG = ConfigDict(arbitrary_types_allowed=True)
_JSON_NODES = frozenset({
    "any", "bool", "default", "definition-ref", "definitions", "dict", "dict-schema", "float", "int", "list", "literal",
    "none", "nullable", "str", "tuple", "set", "frozenset", "typed-dict", "typed-dict-field", "union",
})  # fmt: skip
_EXACT = {"int": int, "str": str, "bool": bool}
_LOOKED_THROUGH = frozenset({str, float, list, tuple, dict})
Fix = Callable[[dict[str, Any]], Any]


class Check:
    """The schema of one parameter. Calling it returns the value for the task, or raises Refused."""

    def __init__(self, hint: Any) -> None:
        self.unusable = ""
        try:
            self._build(hint)
        except Exception as exc:  # pydantic and an author's metaclass may raise anything
            self.unusable = exception_message(exc).partition("\n")[0][:200]
            self._build(Any)

    def _build(self, hint: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about hints that are no types
            self._adapter = _adapter(hint)
            schema = self._adapter.core_schema
        fixing = _Fixing(schema)
        validator = SchemaValidator(fixing.fixed(schema))
        self._is_loose = fixing.is_loose
        self.converts = fixing.converts
        self._rebuilds = fixing.rebuilds
        self._exact = _EXACT.get(schema["type"]) if len(schema) == 1 else None  # of which every value is accepted
        self._python = partial(validator.validate_python, strict=True, extra="forbid")
        self._json = partial(validator.validate_json, strict=True, extra="forbid")

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind is self._exact and (kind is not str or value.isascii()):
            return value
        if self._is_loose and kind in _LOOKED_THROUGH and (problems := unsound(value)):
            raise Refused(problems)
        try:
            if self.converts and kind is list and len(value) > 2 * MAX_CONVERSIONS:
                self._python(value[: MAX_CONVERSIONS + 1])  # the errors of all would cost far more
            return self._python(value)
        except ValidationError as error:
            return self._read(value, error)
        except Exception as exc:  # code of an author's class
            raise _refused_by_author(exc) from None

    def json_schema(self) -> dict[str, Any]:
        return self._adapter.json_schema(schema_generator=_JsonSchemas)

    def _read(self, value: Any, error: ValidationError) -> Any:
        if self.converts and not self._rebuilds and error.error_count() > MAX_CONVERSIONS:
            raise Refused([FieldError("", TOO_MANY)])
        try:
            return self._json(to_json(value, bytes_mode="base64", fallback=to_plain))
        except ValidationError as exc:
            error = exc
        except (PydanticSerializationError, ValueError, RecursionError):
            if problems := unsound(value):  # it holds itself, or text that is not Unicode
                raise Refused(problems) from None
        except Exception as exc:
            raise _refused_by_author(exc) from None
        raise Refused(problems_of(error, value))


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=_CONFIG)
    except PydanticUserError:  # a TypedDict, a dataclass and a BaseModel have a config of their own
        return TypeAdapter(hint)


def _refused_by_author(exc: Exception) -> Refused:
    message = f"it is refused: {type(exc).__name__}: {exception_message(exc)[:200]}"
    return Refused([FieldError("", message.rstrip(": "))])


class _Fixing:
    """Makes what pydantic reads differently from what a task should get: docs/internals/control.md lists it."""

    def __init__(self, schema: Any) -> None:
        self.is_loose = False  # it accepts any value somewhere, so that what cannot be stored must be looked for
        self.converts = False  # it makes what is no JSON value
        self.rebuilds = False  # it makes another collection of JSON values
        self._named = {each["ref"]: each for each in schema.get("definitions", ())}
        fixes: dict[str, Fix] = {"any": self._any, "is-instance": self._instance, "union": self._union}
        self._fixes = FIXES | fixes

    def fixed(self, node: Any) -> Any:
        """A core schema with the fixes applied at any depth."""
        if isinstance(node, (list, tuple)):
            return type(node)(map(self.fixed, node))
        if not isinstance(node, dict):
            return node
        kind = node.get("type")
        if not isinstance(kind, str):  # fields by name
            return {name: self.fixed(each) for name, each in node.items()}
        self.converts = self.converts or kind not in _JSON_NODES
        self.rebuilds = self.rebuilds or kind in ("tuple", "set", "frozenset", "call")
        keep = ("metadata", "default", "serialization", "members", "expected", "config")
        made = {name: each if name in keep else self.fixed(each) for name, each in node.items()}
        return self._fixes[kind](made) if kind in self._fixes else made

    def _any(self, node: dict[str, Any]) -> Any:
        self.is_loose = True
        return node

    def _instance(self, node: dict[str, Any]) -> Any:
        self.is_loose = True
        return _instance(node)

    def _union(self, node: dict[str, Any]) -> Any:
        """Of several classes with fields, only the one that is meant looks into a value: each level of a tree of such
        objects would otherwise double the work."""
        choices = [each[0] if isinstance(each, tuple) else each for each in node["choices"]]
        shapes = [_shape(self._named.get(each.get("schema_ref"), each)) for each in choices]
        several = {n: each for n, each in enumerate(choices) if shapes[n]}
        if len(several) < 2:
            return node

        def meant(value: Any) -> int | None:
            of = [(n, shape) for n, shape in enumerate(shapes) if shape]
            by_class = (n for n, shape in of if not isinstance(value, dict) and isinstance(value, shape.cls))
            by_names = (n for n, shape in of if isinstance(value, dict) and shape.fits(value))
            return next(by_class, next(by_names, None))

        # tagged-union answers with its own error where none is meant
        tagged = core_schema.tagged_union_schema(several, meant)
        others = [each for n, each in enumerate(choices) if n not in several]
        return {**node, "choices": [*others, tagged]} if others else tagged


class _Shape:
    """The fields of a class, as far as they tell it from other members of a union."""

    def __init__(self, cls: Any, fields: dict[str, dict[str, Any]]) -> None:
        self.cls = cls if not issubclass(cls, dict) else ()
        self._names = fields.keys()
        self._required = {name for name, each in fields.items() if _is_required(each)}
        literals = {name: each["schema"] for name, each in fields.items()}
        self._tags = {name: each["expected"] for name, each in literals.items() if each["type"] == "literal"}

    def fits(self, value: dict[str, Any]) -> bool:
        named = value.keys() <= self._names and value.keys() >= self._required
        return named and all(value[name] in tags for name, tags in self._tags.items() if name in value)


def _is_required(field: dict[str, Any]) -> bool:
    return bool(field.get("required", field["schema"]["type"] != "default"))


def _shape(node: dict[str, Any]) -> _Shape | None:
    if node["type"] == "dataclass":
        return _Shape(node["cls"], {each["name"]: each for each in node["schema"].get("fields", ())})
    if node["type"] == "typed-dict":
        return _Shape(node.get("cls", dict), node["fields"])
    return None


def _wrapped(read: Callable[[Any, Any], Any]) -> Fix:
    return lambda node: core_schema.no_info_wrap_validator_function(read, node)


def _read(kind: str, lax: Any, sign: str) -> Fix:
    """A date, a time or a duration from text that holds `sign`: pydantic also reads digits, as seconds since 1970. The
    zone of what is made can be stored, so that no class of pydantic's gets into a consumer."""
    parse = SchemaValidator(lax).validate_python

    def read(value: Any, handler: Any) -> Any:
        try:
            if type(value) is str:
                value = parse(value if sign in value else "")
            elif kind == "time_delta" and type(value) in (int, float):
                value = timedelta(seconds=value)
        except (ValueError, OverflowError):  # also pydantic's own ValidationError
            raise PydanticCustomError(f"{kind}_parsing", "not read") from None
        made = handler(value)
        zone = getattr(made, "tzinfo", None)
        return made.replace(tzinfo=timezone(zone.utcoffset(None) or timedelta())) if isinstance(zone, TzInfo) else made

    return _wrapped(read)


def _bytes(value: Any, handler: Any) -> Any:
    if type(value) is str:
        try:
            value = base64.b64decode(value, validate=True)
        except ValueError:
            raise PydanticCustomError("bytes_type", "not base64") from None
    return handler(value)


def _enum(node: dict[str, Any]) -> Any:
    """A member by its value, by what `_missing_` makes of it, or by its name."""
    members = list(dict.fromkeys(node["members"]))
    cls = type(members[0])

    def read(value: Any, handler: Any) -> Any:
        made = value
        if not isinstance(value, cls):
            try:
                made = cls(value)
            except ValueError:
                made = cls.__members__.get(value) if type(value) is str else None
        if isinstance(made, Flag) and made is not value and made.value != value and type(value) is int:
            raise ValueError("no member has some of its bits")  # which some versions of Python drop
        fits = isinstance(made, cls) and (made in members or issubclass(cls, Flag))
        return made if fits else handler(value)

    return core_schema.no_info_wrap_validator_function(read, {**node, "members": members})


def _literal(node: dict[str, Any]) -> Any:
    """Members of an Enum in a Literal are read as those of an Enum are."""
    cls = type(node["expected"][0])
    if issubclass(cls, Enum) and all(type(each) is cls for each in node["expected"]):
        return _enum({"type": "enum", "cls": cls, "members": node["expected"]})
    return node


def _instance(node: dict[str, Any]) -> Any:
    """A class that JSON has no form for: only instances are accepted."""
    kind: Any = {"callable": Callable, "is-subclass": type}.get(node["type"]) or node["cls"]

    def check(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        raise PydanticCustomError("is_instance_of", "no instance", {"class": getattr(kind, "__name__", str(kind))})

    isinstance(None, kind)  # raises TypeError for a Protocol that is not runtime_checkable
    return core_schema.no_info_plain_validator_function(check)


FIXES: dict[str, Fix] = {
    "bytes": _wrapped(_bytes),
    "callable": _instance,
    "date": _read("date", core_schema.date_schema(), "-"),
    "datetime": _read("datetime", core_schema.datetime_schema(), ":"),
    "enum": _enum,
    "float": lambda node: {**node, "allow_inf_nan": False},
    "generator": lambda node: {**node, "type": "list"},
    "is-subclass": _instance,
    "literal": _literal,
    "str": lambda node: {"min_length": 0, **node},  # with a limit, pydantic refuses half of a surrogate pair
    "time": _read("time", core_schema.time_schema(), ":"),
    "timedelta": _read("time_delta", core_schema.timedelta_schema(), "P"),
}


class _JsonSchemas(GenerateJsonSchema):
    ignored_warning_kinds = {"non-serializable-default", "skipped-choice", "skipped-discriminator"}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        made = super().decimal_schema(schema)
        return {
            "anyOf": [{**each, "format": "decimal"} if each["type"] == "string" else each for each in made["anyOf"]]
        }

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}  # only instances of a class are accepted
